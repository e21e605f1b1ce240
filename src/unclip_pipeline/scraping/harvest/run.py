"""Harvest a crawl: read every file once, then put together what the pages say of each image."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from unclip_pipeline.corpus.files import SUCCESS
from unclip_pipeline.corpus.intervals import share_metrics
from unclip_pipeline.progress import progress_bar
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.harvest.config import HarvestConfig
from unclip_pipeline.scraping.harvest.crawl_file import (
    HTML_SUFFIXES,
    SCHEMA,
    WARC_SUFFIXES,
    CrawlFile,
    read_crawl_file,
)
from unclip_pipeline.scraping.harvest.tally import LISTED, Tally

# `engines.map_shards` with its engine: (function, shards) -> results as they come
MapShards = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
COLUMNS = (
    "url caption licence caption_source alt title_attribute figure_caption page_url page_title page_language "
    "page_language_source licence_url licence_source width_attr height_attr opt_out pages"
).split()
CONTENT_TYPES_NAMED = 12
_POLICY = ("refused_directives", "refuse_tdm_reservation", "refused_usages")  # what pages can forbid
_WHOLE = ("width_attr", "height_attr")


class Harvested(NamedTuple):
    """What a harvest gives: the list, and the account of everything that is not in it."""

    url_list: pd.DataFrame
    tally: Tally
    files: int
    ignored: list[str]  # files of other kinds


def harvest(
    crawl: Path, scratch: Path, config: HarvestConfig, policy: ScrapeConfig, map_shards: MapShards
) -> Harvested:
    """Read the files of a crawl into one list of images with captions, sorted by uid.

    What pages forbid is read by the policy of the scraper. Files that were read before an interruption,
    under the same choices, are not read again. Raises ValueError if any image is unaccounted for.
    """
    choices = [config, *(getattr(policy, name) for name in _POLICY)]
    files, ignored = crawl_files(crawl, scratch, f"{choices!r}{_own_code()}")
    ordered = sorted(files, key=lambda file: file.path.stat().st_size, reverse=True)
    total = sum(file.path.stat().st_size for file in files)
    read = partial(read_crawl_file, config=config, policy=policy)
    with progress_bar(None, label="harvest", total=total, unit="B") as bar:
        for size in map_shards(read, ordered):
            bar.update(size)
    tally = Tally()
    for file in files:
        tally.add(Tally.of_json(json.loads(file.tally.read_text())))
    url_list = merged([pq.read_table(file.table) for file in files], tally)
    tally.check(len(url_list))
    shutil.rmtree(scratch, ignore_errors=True)
    return Harvested(url_list, tally, len(files), ignored)


def crawl_files(crawl: Path, scratch: Path, choices: str) -> tuple[list[CrawlFile], list[str]]:
    """List the files of a crawl in the order of their names, and the names of files of other kinds."""
    found = sorted(path for path in crawl.rglob("*") if path.is_file() and not _is_mark(path, crawl))
    names = {path: path.relative_to(crawl).as_posix() for path in found}
    known = [path for path in found if path.name.lower().endswith((*HTML_SUFFIXES, *WARC_SUFFIXES))]
    if not known:
        raise ValueError(
            f"a crawl needs files that end in {', '.join((*WARC_SUFFIXES, *HTML_SUFFIXES))}, got none of "
            f"{len(found)} in {crawl}; put them there, or name your folder as `crawl` in conf/local/catalog.yml"
        )
    files = [CrawlFile(path, names[path], scratch / _identity(path, names[path], choices)) for path in known]
    return files, [names[path] for path in found if path not in set(known)]


def merged(tables: list[pa.Table], tally: Tally) -> pd.DataFrame:
    """Put together what pages say: one row per uid, sorted by it, with the number of pages that say so.

    A page on the image's own host speaks for it before others do, then the first by address. An address
    that any page refuses is refused in all its rows.
    """
    rows = pa.concat_tables([SCHEMA.empty_table(), *tables]).to_pandas()
    refused = rows[rows["opt_out"].notna()].groupby("url")["opt_out"].min()
    order = ["uid", "is_own_host", "page_url", "file", "record", "place"]
    listed = rows[rows["reason"] == LISTED].astype({"is_own_host": bool})
    listed = listed.sort_values(order, ascending=[True, False, True, True, True, True], ignore_index=True)
    pages = listed.groupby("uid")["page_url"].nunique()
    again = listed["uid"].duplicated()
    for url, page_url in listed.loc[again, ["url", "page_url"]].itertuples(index=False, name=None):
        tally.drop("repeated_elsewhere", url, page_url)
    chosen = listed[~again].reset_index(drop=True)
    chosen["pages"] = chosen["uid"].map(pages).astype("int64")
    chosen["opt_out"] = (
        chosen["url"].map(refused).astype(object).where(chosen["url"].isin(refused.index), None)
    )
    return chosen[COLUMNS].astype(dict.fromkeys(_WHOLE, "Int64"))


def harvest_metrics(harvested: Harvested) -> dict[str, int | float]:
    """Count a harvest: what was read, what is listed, and why the rest is not."""
    rows, tally = harvested.url_list, harvested.tally
    kinds = tally.content_types.most_common()
    named = sorted(kinds, key=lambda kind: (-kind[1], kind[0]))[:CONTENT_TYPES_NAMED]
    counts: dict[str, int | float] = {
        "rows": len(rows),
        "pages": tally.records["page"],
        "candidates": tally.candidates,
        "opted_out_rows": int(rows["opt_out"].notna().sum()),
        **share_metrics("listed_share", len(rows), tally.candidates),
        **share_metrics("licensed_share", int(rows["licence"].notna().sum()), len(rows)),
        "files": harvested.files,
        "files_broken": len(tally.faults),
        "files_ignored": len(harvested.ignored),
        "records": tally.records.total(),
        "refused_pages": tally.refused_pages,
        "content_type/other": tally.content_types.total() - sum(count for _, count in named),
    }
    groups = {"dropped": tally.drops, "record": tally.records, "status": tally.statuses}
    groups |= {
        "content_type": {name.replace("+", "-"): count for name, count in named},
        "caption": dict(rows["caption_source"].value_counts()),
    }
    return counts | {
        f"{group}/{name}": int(count)
        for group, found in groups.items()
        for name, count in sorted(found.items())
    }


def _is_mark(path: Path, crawl: Path) -> bool:
    """Tell files that are no content: hidden ones, and the mark of a finished folder."""
    return path.name == SUCCESS or any(part.startswith(".") for part in path.relative_to(crawl).parts)


def _identity(path: Path, name: str, choices: str) -> str:
    stat = path.stat()
    return hashlib.sha256(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\0{choices}".encode()).hexdigest()[:24]


def _own_code() -> str:
    """Name the code of the scraper, so that another version does not go on where this one stopped."""
    sources = sorted(Path(__file__).parents[1].rglob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
