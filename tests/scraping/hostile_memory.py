"""A worker that fetches and decodes the URLs it is given, and prints its peak memory and its fates.

Run as a process of its own: `python hostile_memory.py OWN_HOST URL...`
"""

import json
import sys
from collections import Counter
from multiprocessing.pool import ThreadPool
from pathlib import Path

from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.decoding_room import DecodingRoom
from unclip_pipeline.scraping.failure import ScrapeFailure
from unclip_pipeline.scraping.fetch import Fetcher
from unclip_pipeline.scraping.stored_image import store_image


def main(own_host: str, urls: list[str]) -> None:
    """Fetch and decode in as many threads as the default has, as a worker does."""
    config = ScrapeConfig(private_hosts=[own_host], per_host_connections=100)
    fetcher, decoding = Fetcher(config), DecodingRoom()

    def fate(url: str) -> str:
        try:
            body = fetcher.fetch(url)
            return "kept " + " ".join(store_image(body.content, config, "", decoding.room_for).flags)
        except ScrapeFailure as failure:
            return failure.fate

    with ThreadPool(config.threads) as pool:
        found = Counter(pool.imap_unordered(fate, urls))
    status = Path("/proc/self/status").read_text()  # getrusage would count the process that started this one
    peak_kib = int(status.split("VmHWM:")[1].split()[0])
    sys.stdout.write(json.dumps({"peak_mb": peak_kib / 1024, "fates": found}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
