"""Join what was asked for with what came of it."""

import pandas as pd

from unclip_pipeline.corpus.fates import check_fates

RESULT_COLUMNS = ("fate", "http_status", "error", "sha256", "width", "height", "bytes", "shard")
_WHOLE = ("http_status", "width", "height", "bytes")
_FIRST = ("uid", "url", "caption", "licence", "split", "listed")


def scrape_ledger(rows: pd.DataFrame, statuses: pd.DataFrame) -> pd.DataFrame:
    """Give each row its status; every other column of the rows is carried as it is, whatever its type."""
    check_accounted(rows["uid"], statuses["uid"])
    found = statuses.sort_values("uid", ignore_index=True)
    results = pd.DataFrame({name: found.get(name, pd.Series(dtype=object)) for name in RESULT_COLUMNS})
    results = results.astype(dict.fromkeys(_WHOLE, "Int64"))
    check_fates(results["fate"])
    asked = rows.sort_values("uid", ignore_index=True).drop(columns=["refused", "refused_reason"])
    carried = [name for name in asked.columns if name not in _FIRST]
    return pd.concat([asked[list(_FIRST)], results, asked[carried]], axis="columns")


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
