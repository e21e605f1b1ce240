"""The page of a scrape: what became of the URLs, and what the pictures look like."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from unclip_pipeline.cards import html
from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.images import contact_sheet, decode_rgb
from unclip_pipeline.corpus.shards import Sample, read_shard

SHOWN = 48
SHOWN_FROM_SHARDS = 8
ODD_SHOWN = 8  # of each kind
HOSTS_SHOWN = 15
CASES_SHOWN = 3  # of each fate
COLUMNS = 12
MAX_SIDE_PX = 96


def scrape_page(raw_shards: Path, ledger: pd.DataFrame) -> str:
    """Write the page; pictures come from a few shards only."""
    kept = ledger[ledger["fate"] == KEPT]
    return html.page(
        "Scrape",
        html.paragraph(
            f"{int(ledger['listed'].sum()):,} rows name {len(ledger):,} distinct pairs of URL and caption; "
            f"{len(kept):,} pictures were kept. Every pair has exactly one fate."
        ),
        html.section("Fates", html.table(fates(ledger))),
        html.section("Hosts", html.table(hosts(ledger).head(HOSTS_SHOWN))),
        html.section("Pictures kept", *_sheet(raw_shards, _spread(kept), "an even choice from a few shards")),
        html.section(
            "Odd pictures",
            *_sheet(raw_shards, _smallest(kept), "the smallest"),
            *_sheet(raw_shards, _longest(kept), "the most elongated"),
            html.heading("The same bytes behind many URLs"),
            html.table(repeated_bytes(kept)),
        ),
        html.section("Cases", html.paragraph("The first of each fate."), html.table(cases(ledger))),
    )


def fates(ledger: pd.DataFrame) -> pd.DataFrame:
    """Count the fates, most frequent first."""
    counts = ledger["fate"].value_counts().rename_axis("fate").reset_index(name="pairs")
    return counts.assign(share=counts["pairs"] / max(1, len(ledger)))


def hosts(ledger: pd.DataFrame) -> pd.DataFrame:
    """Count by host: how much was kept, and what went wrong most often."""
    by_host = ledger.assign(host=[_host(url) for url in ledger["url"]]).groupby("host")["fate"]
    table = pd.DataFrame(
        {
            "pairs": by_host.size(),
            "kept share": by_host.agg(lambda fate: (fate == KEPT).mean()),
            "most frequent failure": by_host.agg(_most_frequent_failure),
        }
    )
    return table.sort_values("pairs", ascending=False, kind="stable").reset_index()


def repeated_bytes(kept: pd.DataFrame) -> pd.DataFrame:
    """List the contents found behind most URLs: placeholders show here."""
    groups = kept.groupby("sha256").agg(URLs=("url", "nunique"), example=("url", "first")).reset_index()
    return groups[groups["URLs"] > 1].nlargest(ODD_SHOWN, "URLs")[["URLs", "sha256", "example"]]


def cases(ledger: pd.DataFrame) -> pd.DataFrame:
    """Give the first rows of each fate but `kept`, with the reason in words."""
    lost = ledger[ledger["fate"] != KEPT].groupby("fate", sort=True).head(CASES_SHOWN)
    return lost.sort_values("fate", kind="stable")[["fate", "url", "http_status", "error"]]


def _spread(kept: pd.DataFrame) -> pd.DataFrame:
    shards = sorted(kept["shard"].unique())
    chosen = shards[:: -(-len(shards) // SHOWN_FROM_SHARDS) or 1]
    of_chosen = kept[kept["shard"].isin(chosen)]
    return of_chosen.iloc[:: max(1, -(-len(of_chosen) // SHOWN))]


def _smallest(kept: pd.DataFrame) -> pd.DataFrame:
    return kept.assign(side=kept[["width", "height"]].min(axis=1)).nsmallest(ODD_SHOWN, "side")


def _longest(kept: pd.DataFrame) -> pd.DataFrame:
    sides = kept[["width", "height"]].astype("float64")
    return kept.assign(ratio=sides.max(axis=1) / sides.min(axis=1)).nlargest(ODD_SHOWN, "ratio")


def _sheet(raw_shards: Path, rows: pd.DataFrame, caption: str) -> list[str]:
    samples = _samples(raw_shards, rows)
    if not samples:
        return [html.paragraph("There are none.")]
    pictures = [decode_rgb(sample.image) for sample in samples]
    side_px = min(MAX_SIDE_PX, max(max(picture.shape) for picture in pictures))
    sheet = contact_sheet(pictures, [sample.caption for sample in samples], COLUMNS, side_px)
    return [html.picture(sheet, caption)]


def _samples(raw_shards: Path, rows: pd.DataFrame) -> Sequence[Sample]:
    wanted = set(rows["uid"])
    found = {
        sample.uid: sample
        for shard in sorted(rows["shard"].unique())
        for sample in read_shard(raw_shards / f"{shard}.tar")
        if sample.uid in wanted
    }
    return [found[uid] for uid in rows["uid"]]


def _most_frequent_failure(fate: pd.Series) -> str | None:
    failures = fate[fate != KEPT].value_counts()
    return str(failures.index[0]) if len(failures) else None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "(none)"
    except ValueError:
        return "(none)"
