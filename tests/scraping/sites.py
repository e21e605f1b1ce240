"""A friendly site to scrape, and the call that scrapes it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
from hostile_web import Answer, HostileWeb, encoded, message, picture

from unclip_pipeline.engines import EngineConfig, map_shards
from unclip_pipeline.scraping import ScrapeConfig, Scraped, scrape

NOBODY = pd.DataFrame(columns=["kind", "value", "reason"])
HERE = partial(map_shards, engine=EngineConfig(processes=1))
IN_TWO_PROCESSES = partial(map_shards, engine=EngineConfig(processes=2))
PICTURES = 48
SMALL = ScrapeConfig(
    shard_size=8, threads=4, timeout_s=5.0, retries=0, max_side_px=32, private_hosts=["127.0.0.1"]
)


def answers() -> dict[str, Answer]:
    """Serve pictures of several kinds, some too large, and a page."""
    kinds = ("PNG", "JPEG", "WEBP", "GIF")
    site: dict[str, Answer] = {
        f"/{n}": message(200, encoded(picture(n, 24 + n), kinds[n % 4])) for n in range(PICTURES)
    }
    return site | {"/7": message(404, b""), "/13": message(200, b"<html>"), "/21": message(200, b"")}


def listed(web: HostileWeb) -> pd.DataFrame:
    """List the site."""
    paths = [f"/{n}" for n in range(PICTURES)]
    return pd.DataFrame(
        {"url": [web.url(path) for path in paths], "caption": [f"picture {path}" for path in paths]}
    )


def scraped(
    web: HostileWeb,
    folder: Path,
    map_shards: Callable = HERE,
    config: ScrapeConfig = SMALL,
    takedowns: pd.DataFrame = NOBODY,
    urls: pd.DataFrame | None = None,
) -> Scraped:
    """Scrape the site, or the URLs that are given."""
    return scrape(
        listed(web) if urls is None else urls, takedowns, folder, records_of(folder), config, map_shards
    )


def records_of(folder: Path) -> Path:
    """Name the folder where times and evidence go."""
    return folder.with_name(f"{folder.name}_records")


def contents(folder: Path) -> dict[str, bytes]:
    """Read every file of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
