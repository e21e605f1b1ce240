"""From a user's list to the rows to ask for: named, counted, split, refused where that is known before."""

from urllib.parse import urlsplit

import pandas as pd

from unclip_pipeline.corpus.uids import DEFAULT_PORTS, canonical_url, pair_uid
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.takedowns import TAKEN_DOWN, Takedowns

SPLITS = ("train", "heldout")
_NO_OPT_OUT = frozenset({"", "false", "0", "0.0", "no", "none"})  # a column of flags says so, too
# Columns that this or a later stage writes: a list's own column of that name is carried as `listed_<name>`.
RESERVED = frozenset(
    "uid listed refused refused_reason fate http_status error sha256 width height source_width source_height "
    "flags bytes shard final_url content_type etag permission "
    "similarity duplicate_of cosine weight released_shard".split()
)  # fmt: skip


def rows_to_scrape(url_list: pd.DataFrame, takedowns: Takedowns, config: ScrapeConfig) -> pd.DataFrame:
    """Make one row per uid, sorted by uid; every column of the list is carried, the first of a repeat wins.

    A row that is not to be asked for has its fate in `refused`; so has one whose column `opt_out` says why.
    A repeat that says `heldout` or has an `opt_out` anywhere has it everywhere, so that a test set stays
    untouched and a no is a no.
    """
    rows = _named_columns(url_list, config)
    uids = [pair_uid(url, caption) for url, caption in zip(rows.url, rows.caption, strict=True)]
    rows.insert(0, "uid", pd.Series(uids, dtype=object))
    rows["split"] = _splits(rows, config.heldout_share)
    heldout = set(rows.loc[rows["split"] == "heldout", "uid"])
    opted_out = _opted_out(rows)
    listed = rows["uid"].value_counts()
    rows = rows.drop_duplicates("uid").sort_values("uid", ignore_index=True)
    rows["split"] = ["heldout" if uid in heldout else "train" for uid in rows["uid"]]
    rows["listed"] = rows["uid"].map(listed).astype("int64")
    refusals = [_refusal(uid, url, takedowns, opted_out) for uid, url in zip(rows.uid, rows.url, strict=True)]
    rows["refused"] = pd.Series([fate for fate, _ in refusals], dtype=object)
    rows["refused_reason"] = pd.Series([reason for _, reason in refusals], dtype=object)
    return rows


def _named_columns(url_list: pd.DataFrame, config: ScrapeConfig) -> pd.DataFrame:
    """Copy the list with its URL and caption columns named so, and no column that a stage would write."""
    for name in (config.url_column, config.caption_column):
        if name not in url_list.columns:
            raise ValueError(
                f"the URL list needs a column {name!r}, got {sorted(map(str, url_list.columns))}; "
                "name yours with scrape.url_column and scrape.caption_column"
            )
    names = {name: f"listed_{name}" for name in RESERVED if name in url_list.columns}
    names |= {config.url_column: "url", config.caption_column: "caption"}
    rows = url_list.rename(columns=names).reset_index(drop=True)
    repeated = rows.columns[rows.columns.duplicated()].tolist()
    if repeated:
        raise ValueError(
            f"the columns of a URL list must stay distinct when renamed, got twice: {repeated}; rename one of each"
        )
    for name in ("url", "caption"):
        rows[name] = pd.Series([_text(value) for value in rows[name]], dtype=object)
    if "licence" not in rows.columns:
        rows["licence"] = pd.Series([None] * len(rows), dtype=object)
    return rows


def _splits(rows: pd.DataFrame, heldout_share: float) -> list[str]:
    """Keep the splits that are given; draw the others by the uid, by digits that do not order the shards."""
    given = rows["split"] if "split" in rows.columns else [None] * len(rows)
    unknown = sorted({str(split) for split in given if not pd.isna(split) and split not in SPLITS})
    if unknown:
        raise ValueError(
            f"split must be one of {SPLITS} or empty, got {unknown[:5]}; rename that column if it means another thing"
        )
    drawn = [SPLITS[int(uid[8:], 16) < heldout_share * 16**8] for uid in rows["uid"]]
    return [draw if pd.isna(split) else split for draw, split in zip(drawn, given, strict=True)]


def _opted_out(rows: pd.DataFrame) -> dict[str, str]:
    """Name the uids that the list itself marks as refused, with the first reason it gives."""
    if "opt_out" not in rows.columns:
        return {}
    said = [(uid, _text(reason).strip()) for uid, reason in zip(rows.uid, rows.opt_out, strict=True)]
    return {uid: reason for uid, reason in reversed(said) if reason.lower() not in _NO_OPT_OUT}


def _refusal(
    uid: str, url: str, takedowns: Takedowns, opted_out: dict[str, str]
) -> tuple[str | None, str | None]:
    """Decide before any request whether a row may be asked for."""
    if uid in takedowns.uid:
        return TAKEN_DOWN, takedowns.uid[uid]
    try:
        name = canonical_url(url)
        parts = urlsplit(name)
    except ValueError as fault:
        return "scrape.bad_url", str(fault)
    if (reason := takedowns.of_address(name)) is not None:
        return TAKEN_DOWN, reason
    if parts.scheme not in DEFAULT_PORTS:
        return "scrape.bad_url", f"only http and https are fetched, not {parts.scheme or 'a bare path'}"
    if not parts.hostname:
        return "scrape.bad_url", "no host"
    if uid in opted_out:
        return "scrape.opted_out", opted_out[uid]
    return None, None


def _text(value: object) -> str:
    """Write a cell as text that every file format can hold; a missing one is empty."""
    if pd.isna(value):
        return ""
    text = str(value)
    written = text.encode("utf-8", "replace").decode()
    return text if text == written else written  # the list's own string where it will do: no second copy
