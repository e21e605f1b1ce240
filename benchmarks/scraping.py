"""Compare our scraper with img2dataset's own downloader: same loopback server, same list, one run.

    python benchmarks/scraping.py                     # about four minutes on two cores
    python benchmarks/scraping.py --urls 500 --slow-urls 100

CPU is that of the client's process, threads included; the server has a process of its own. Both trust the
usual authorities and the server's. img2dataset makes a TLS context of them for every HTTPS request on
Python 3.11, so it gets a shorter list there (`--slow-urls`).
Both fetch, decode, check and write shards, in 16 threads of one process; "fetch alone" leaves out all but
the request. img2dataset scales as we do, encodes only what it scaled, and extracts no EXIF, which we do not
either. Ours has the plan, the owners' rules, the ledger and fsync on top. Each process warms up before its
clock starts; the two take turns, and every figure is the median of `--repeats`.
"""

import argparse
import json
import os
import platform
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

import certifi
import pandas as pd
import trustme

HERE = Path(__file__)
PICTURES = 200
HOSTILE = 48
START_ROWS = 100_000
WARM_UP = 20  # URLs, before the clock starts: what libraries load on first use is in no figure


@contextmanager
def served(folder: Path) -> Iterator[dict[str, str]]:
    """Serve pictures in another process; yield the addresses by scheme."""
    authority, key, chain = trustme.CA(), folder / "key.pem", folder / "chain.pem"
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(key))
    certificate.cert_chain_pems[0].write_to_path(str(chain))
    usual = Path(ssl.get_default_verify_paths().cafile or certifi.where())
    (folder / "authorities.pem").write_bytes(usual.read_bytes() + authority.cert_pem.bytes())
    command = [sys.executable, str(HERE.with_name("loopback.py")), str(PICTURES), str(key), str(chain)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        plain, secure = server.stdout.readline().split()
        yield {"http": f"http://127.0.0.1:{plain}", "https": f"https://127.0.0.1:{secure}"}
    finally:
        server.kill()
        server.wait()


def measured(task: str, folder: Path, *arguments: str) -> dict[str, float]:
    """Run one task of `TASKS` in a fresh process that trusts the server."""
    settings = {"SSL_CERT_FILE": str(folder / "authorities.pem"), "NO_ALBUMENTATIONS_UPDATE": "1"}
    command = [sys.executable, "-W", "ignore", str(HERE), "--task", task, "--folder", str(folder), *arguments]
    found = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True)
    if found.returncode:
        raise RuntimeError(f"{task} failed:\n{found.stderr}")
    return json.loads(found.stdout.splitlines()[-1])


@contextmanager
def stopwatch(found: dict[str, float]) -> Iterator[None]:
    """Take wall and CPU seconds of the block, and the peak memory so far."""
    began_s, cpu_s = time.perf_counter(), time.process_time()
    yield
    found |= {
        "wall_s": time.perf_counter() - began_s,
        "cpu_s": time.process_time() - cpu_s,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    """Read this process's peak resident memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def listed(urls: list[str]) -> pd.DataFrame:
    """Make a list of URLs."""
    return pd.DataFrame({"url": urls, "caption": [f"picture {n}" for n in range(len(urls))]})


def ours(folder: Path, urls: list[str]) -> dict[str, float]:
    """Scrape as the pipeline does, in this process."""
    from unclip_pipeline.engines import EngineConfig, map_shards
    from unclip_pipeline.scraping import ScrapeConfig, scrape
    from unclip_pipeline.scraping.downloader import ShardDownloader  # noqa: F401 (imported late otherwise)

    config = ScrapeConfig(
        private_hosts=["127.0.0.1"], per_host_connections=16, threads=16, total_timeout_s=60
    )
    nobody = pd.DataFrame(columns=["kind", "value", "reason"])
    here = partial(map_shards, engine=EngineConfig(processes=1))
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=folder) as target, stopwatch(found):
        scraped = scrape(listed(urls), nobody, Path(target, "shards"), Path(target, "records"), config, here)
    return found | {"kept": float((scraped.ledger["fate"] == "kept").sum())}


def ours_fetch(folder: Path, urls: list[str]) -> dict[str, float]:
    """Ask for the URLs as our workers do, and do nothing with them."""
    from unclip_pipeline.scraping import ScrapeConfig
    from unclip_pipeline.scraping.ahead import work_ahead
    from unclip_pipeline.scraping.fetch import Fetcher

    fetcher = Fetcher(ScrapeConfig(private_hosts=["127.0.0.1"], per_host_connections=16))
    found: dict[str, float] = {}
    with stopwatch(found):
        rows = fetcher.in_turn(urls, lambda url: url)
        kept = sum(len(body.content) > 0 for body in work_ahead(fetcher.fetch, rows, 16, 16))
    return found | {"kept": float(kept)}


def theirs(folder: Path, urls: list[str]) -> dict[str, float]:
    """Download with img2dataset's classes, put together as its `download` does, in this process."""
    import unclip_pipeline.scraping.img2dataset_guard as img2dataset  # isort: skip (first, or torch comes too)
    from img2dataset.downloader import Downloader
    from img2dataset.reader import Reader
    from img2dataset.writer import WebDatasetSampleWriter

    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=folder) as target:
        listed(urls).to_parquet(f"{target}/list.parquet", index=False)
        Path(target, "_tmp").mkdir()
        reader = Reader(
            f"{target}/list.parquet",
            "parquet",
            "url",
            "caption",
            None,
            None,
            None,
            1000,
            set(),
            f"{target}/_tmp",
        )
        resizer = img2dataset.Resizer(
            512, "keep_ratio_largest", resize_only_if_bigger=True, skip_reencode=True
        )
        downloader = Downloader(
            WebDatasetSampleWriter, resizer, 16, True, False, target, reader.column_list, 10, 1000, 5, "sha256",
            None, "jpg", 0, None, ["noai", "noimageai", "noindex", "noimageindex"],
        )  # fmt: skip
        with stopwatch(found):
            for shard in reader:
                if not downloader(shard)[0]:
                    raise RuntimeError(f"img2dataset lost shard {shard}")
        stats = [json.loads(path.read_text()) for path in Path(target).glob("*_stats.json")]
    return found | {"kept": float(sum(shard["successes"] for shard in stats))}


def theirs_fetch(folder: Path, urls: list[str]) -> dict[str, float]:
    """Ask for the URLs with img2dataset's `download_image`."""
    from multiprocessing.pool import ThreadPool

    from img2dataset.downloader import download_image

    def ask(url: str) -> bool:
        return download_image((0, url), 10, None, ["noai"])[1] is not None

    found: dict[str, float] = {}
    with ThreadPool(16) as threads, stopwatch(found):
        kept = sum(threads.imap_unordered(ask, urls))
    return found | {"kept": float(kept)}


def start_up(folder: Path, urls: list[str]) -> dict[str, float]:
    """Plan a list that is in memory already; the growth of memory until the first shard is handed out."""
    from unclip_pipeline.scraping import ScrapeConfig
    from unclip_pipeline.scraping.contact import check_contact
    from unclip_pipeline.scraping.plan import make_plan, read_at_hand
    from unclip_pipeline.scraping.takedowns import read_takedowns
    from unclip_pipeline.scraping.url_list import rows_to_scrape

    address, config = urls[0].rsplit("/", 1)[0], ScrapeConfig(private_hosts=["127.0.0.1"])
    url_list = listed([f"{address}/{n}.jpg" for n in range(START_ROWS)])
    takedowns = read_takedowns(pd.DataFrame(columns=["kind", "value", "reason"]))
    rows_to_scrape(url_list.head(1000), takedowns, config)  # what libraries load on first use
    before_mb, found = peak_mb(), {}
    with stopwatch(found):
        rows = rows_to_scrape(url_list, takedowns, config)
        check_contact(rows["url"], config)
        plan = make_plan(rows, read_at_hand([]), takedowns, shard_size=1000, retry_failed=False)
        next(plan.tasks())
    list_mb = url_list.memory_usage(deep=True).sum() / 2**20
    return found | {"growth_mb": found["peak_mb"] - before_mb, "list_mb": float(list_mb)}


TASKS = {
    "ours": ours, "theirs": theirs, "ours_fetch": ours_fetch, "theirs_fetch": theirs_fetch,
    "start_up": start_up,
}  # fmt: skip


def in_turns(
    task: str, folder: Path, address: str, counts: dict[str, int], repeats: int
) -> dict[str, dict[str, float]]:
    """Measure one task of both, one after the other, several times; returns medians."""
    runs = [
        {
            who: measured(who + task, folder, "--address", address, "--urls", str(count))
            for who, count in counts.items()
        }
        for _ in range(repeats)
    ]
    return {who: {name: median(run[who][name] for run in runs) for name in runs[0][who]} for who in counts}


def compare(folder: Path, web: dict[str, str], urls: int, slow_urls: int, repeats: int) -> list[str]:
    """Measure both over HTTPS and HTTP; returns a table."""
    lines = [
        "| | ms CPU per image | images/s | peak MB | ours: CPU | ours: images/s |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for scheme in ("https", "http"):
        for name, task in (("whole shards", ""), ("fetch alone", "_fetch")):
            counts = {"ours": urls, "theirs": slow_urls if scheme == "https" else urls}
            found = in_turns(task, folder, web[scheme], counts, repeats)
            for who, count in counts.items():
                if found[who]["kept"] != count:
                    raise RuntimeError(f"{who}, {scheme}, {name}: {found[who]['kept']:g} of {count} kept")
            cpu_ms = {who: 1000 * found[who]["cpu_s"] / count for who, count in counts.items()}
            speed = {who: count / found[who]["wall_s"] for who, count in counts.items()}
            for who, label in (("theirs", "img2dataset"), ("ours", "ours")):
                ratios = "| |"
                if who == "ours":
                    ratios = f"{cpu_ms['theirs'] / cpu_ms['ours']:.1f} times less | "
                    ratios += f"{speed['ours'] / speed['theirs']:.2f} times |"
                lines.append(
                    f"| {scheme}, {name}, {label} | {cpu_ms[who]:.2f} | {speed[who]:.0f} | "
                    f"{found[who]['peak_mb']:.0f} | {ratios}"
                )
    return lines


def main() -> None:
    """Run all tasks and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--urls", type=int, default=2000)
    parser.add_argument("--slow-urls", type=int, default=400, help="for img2dataset over HTTPS")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--address", default="http://127.0.0.1", help=argparse.SUPPRESS)
    parser.add_argument("--hostile", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task:
        kinds = ("endless/{}", "bomb/{}") if given.hostile else ("{}.jpg",)
        urls = [f"{given.address}/{kinds[n % len(kinds)]}".format(n) for n in range(given.urls)]
        if given.task != "start_up" and not given.hostile:
            TASKS[given.task](given.folder, urls[:WARM_UP])
        print(json.dumps(TASKS[given.task](given.folder, urls)))
        return
    names = ("img2dataset", "urllib3", "pillow", "pyarrow")
    print(
        f"{os.cpu_count()} cores, Python {platform.python_version()},", *(f"{n} {version(n)}" for n in names)
    )
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as web:
        print(*compare(Path(folder), web, given.urls, given.slow_urls, given.repeats), sep="\n")
        plain = ("--address", web["http"])
        hostile = measured("ours", Path(folder), *plain, "--urls", str(HOSTILE), "--hostile")
        print(
            f"\nhostile: {HOSTILE} endless bodies and bombs through one worker of 16 threads: "
            f"peak {hostile['peak_mb']:.0f} MB, kept {hostile['kept']:g}"
        )
        start = measured("start_up", Path(folder), *plain, "--urls", "1")
        print(
            f"start: a list of {START_ROWS:,} rows ({start['list_mb']:.0f} MB in memory) until its first shard is "
            f"handed out: {start['growth_mb']:.0f} MB more, {start['wall_s']:.1f} s"
        )


if __name__ == "__main__":
    main()
