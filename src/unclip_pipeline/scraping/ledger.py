"""Join what was asked for with what came of it, and see what only the whole list can show."""

import numpy as np
import pandas as pd

from unclip_pipeline.corpus.fates import KEPT, check_fates
from unclip_pipeline.corpus.uids import host_of, url_name
from unclip_pipeline.scraping.config import ScrapeConfig

PLACEHOLDER = "scrape.placeholder"
RESULT_COLUMNS = (
    "fate", "http_status", "error", "sha256", "width", "height", "source_width", "source_height", "flags",
    "bytes", "shard", "final_url", "content_type", "etag", "permission",
)  # fmt: skip
_WHOLE = ("http_status", "width", "height", "source_width", "source_height", "bytes")
_FIRST = ("uid", "url", "caption", "licence", "split", "listed")


def scrape_ledger(rows: pd.DataFrame, statuses: pd.DataFrame, config: ScrapeConfig) -> pd.DataFrame:
    """Give each row its status; every other column of the rows is carried as it is, whatever its type."""
    check_accounted(rows["uid"], statuses["uid"])
    found = statuses.sort_values("uid", ignore_index=True)
    results = pd.DataFrame({name: found.get(name, pd.Series(dtype=object)) for name in RESULT_COLUMNS})
    results = results.astype(dict.fromkeys(_WHOLE, "Int64"))
    asked = rows.sort_values("uid", ignore_index=True).drop(columns=["refused", "refused_reason"])
    reasons = placeholders(
        asked["url"], results, urls=config.placeholder_urls, hosts=config.placeholder_hosts
    )
    results["fate"] = results["fate"].mask(reasons.notna(), PLACEHOLDER)
    results["error"] = results["error"].where(reasons.isna(), reasons)
    check_fates(results["fate"])
    carried = [name for name in asked.columns if name not in _FIRST]
    return pd.concat([asked[list(_FIRST)], results, asked[carried]], axis="columns")


def placeholders(url: pd.Series, results: pd.DataFrame, *, urls: int, hosts: int) -> pd.Series:
    """Say of each kept row why it is a placeholder, null where it is none.

    The same bytes behind this many URLs, or URLs of this many hosts, are what servers give in place of an
    image: "not found", "hot-linking forbidden", a tracking pixel. Their images stay in the raw shards, as
    those of every later verdict do. A URL with several captions counts once.
    """
    kept = results["fate"] == KEPT
    names = pd.DataFrame({"sha256": results["sha256"][kept], "url": [url_name(one) for one in url[kept]]})
    names["host"] = [host_of(one) for one in names["url"]]
    behind = names.groupby("sha256")[["url", "host"]].nunique()
    behind = behind[(behind["url"] >= urls) | (behind["host"] >= hosts)]
    reasons = {
        sha256: f"the same bytes behind {row.url} URLs of {row.host} hosts"
        for sha256, row in zip(behind.index, behind.itertuples(), strict=True)
    }
    found = pd.Series(np.nan, index=results.index, dtype=object)
    found[kept] = results["sha256"][kept].map(reasons)
    return found


def check_accounted(expected: pd.Series, found: pd.Series) -> None:
    """Raise unless every uid asked for has exactly one status and no other uid has any."""
    lost = sorted(set(expected) - set(found))
    strange = sorted(set(found) - set(expected))
    repeated = sorted(found[found.duplicated()])
    if lost or strange or repeated:
        raise ValueError(
            f"every row needs exactly one fate: of {len(expected)} rows {len(lost)} have none {lost[:3]}, "
            f"{len(repeated)} have several {repeated[:3]}, {len(strange)} were never listed {strange[:3]}; "
            "delete the folder of raw shards and scrape again"
        )
