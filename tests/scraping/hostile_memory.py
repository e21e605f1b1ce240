"""A worker that fetches and decodes the URLs it is given, and prints its peak memory and its fates.

Run as a process of its own: `python hostile_memory.py OWN_HOST URL...`
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path

from unclip_pipeline.scraping.answer import Body
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.failure import ScrapeFailure
from unclip_pipeline.scraping.fetch import Fetcher
from unclip_pipeline.scraping.stored_image import store_image


def main(own_host: str, urls: list[str]) -> None:
    """Fetch in as many threads as the default has, decode here."""
    config = ScrapeConfig(private_hosts=[own_host], per_host_connections=100)
    fetcher = Fetcher(config)

    def ask(url: str) -> Body | ScrapeFailure:
        try:
            return fetcher.fetch(url)
        except ScrapeFailure as failure:
            return failure

    def fates(answers: Iterator[Body | ScrapeFailure]) -> Iterator[str]:
        for answer in answers:
            try:
                if isinstance(answer, ScrapeFailure):
                    raise answer
                yield "kept " + " ".join(store_image(answer.content, config).flags)
            except ScrapeFailure as failure:
                yield failure.fate

    with ThreadPool(config.threads) as pool:
        found = Counter(fates(pool.imap_unordered(ask, urls)))
    status = Path("/proc/self/status").read_text()  # getrusage would count the process that started this one
    peak_kib = int(status.split("VmHWM:")[1].split()[0])
    sys.stdout.write(json.dumps({"peak_mb": peak_kib / 1024, "fates": found}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
