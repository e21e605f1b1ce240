"""The page of a scrape: what became of the URLs, how it went, and what the pictures look like."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from unclip_pipeline.cards import html
from unclip_pipeline.cards.sheets import find_samples, sheet
from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.pipelines.scrape import tables
from unclip_pipeline.scraping.ledger import PLACEHOLDER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 50
SHOWN_FROM_SHARDS = 8
ODD_SHOWN = 10  # of each kind
ELONGATED = 1.5  # longer side over shorter
MOMENTS = 60  # on the line of the rate


def scrape_page(
    raw_shards: Path, ledger: pd.DataFrame, requests: pd.DataFrame, evidence: pd.DataFrame
) -> str:
    """Write the page; pictures come from a few shards only."""
    kept = ledger[ledger["fate"] == KEPT]
    return html.page(
        "Scrape",
        html.paragraph(
            f"{int(ledger['listed'].sum()):,} rows name {len(ledger):,} distinct pairs of URL and caption; "
            f"{len(kept):,} pictures were kept. Every pair has exactly one fate."
        ),
        html.section("Fates", html.table(tables.fates(ledger), {"share": html.percent})),
        html.section("Speed", *_speed(requests)),
        html.section(
            "Hosts",
            html.table(tables.classes(ledger), {"kept share": html.percent}),
            html.table(tables.hosts(ledger).head(tables.HOSTS_SHOWN), {"kept share": html.percent}),
        ),
        html.section("Permission", *_permission(ledger, evidence)),
        html.section(
            "Pictures kept", *_sheets(raw_shards, {"an even choice from a few shards": _spread(kept)})
        ),
        html.section(
            "Odd pictures",
            *_sheets(raw_shards, _odd(ledger, kept)),
            html.heading("The same bytes behind many URLs"),
            html.table(tables.repeated_bytes(ledger)),
        ),
        html.section(
            "Cases", html.paragraph("The first few of each fate."), html.table(tables.cases(ledger))
        ),
    )


def _speed(requests: pd.DataFrame) -> list[str]:
    facts = html.facts(tables.times(requests))
    if len(requests) < 2:
        return [facts]
    return [facts, html.figure(_rate(requests), "URLs answered per second, and how long each took")]


def _rate(requests: pd.DataFrame) -> "Figure":
    """Draw the rate over the hours of asking; a list that was asked for in several runs has gaps."""
    from matplotlib.figure import Figure

    asked = requests["asked_at"].sort_values()
    at_s = (asked - asked.iloc[0]).dt.total_seconds().to_numpy()
    counts, edges = np.histogram(at_s, bins=min(MOMENTS, max(2, len(at_s) // 20)))
    width_s = max(edges[1] - edges[0], 1e-3)
    figure = Figure(figsize=(9, 2.4))
    rate, took = figure.subplots(1, 2)
    rate.stairs(counts / width_s, edges, fill=True, color="#2b6cb0")
    rate.set(xlabel="seconds since the first request", ylabel="URLs per second")
    elapsed_ms = requests["elapsed_ms"].clip(lower=1).to_numpy()
    bins = np.geomspace(1, max(10, elapsed_ms.max()) * 1.01, 40)
    took.hist(elapsed_ms, bins=bins, color="#c2571a")
    took.set(xlabel="milliseconds for one URL", ylabel="URLs", xscale="log", yscale="log")
    for axes in (rate, took):
        axes.spines[["top", "right"]].set_visible(False)
    figure.subplots_adjust(wspace=0.25)
    return figure


def _permission(ledger: pd.DataFrame, evidence: pd.DataFrame) -> list[str]:
    pieces = [
        html.paragraph(
            "What all signals about a URL came to. Unknown is not permission: it says that nobody spoke."
        ),
        html.table(tables.permissions(ledger)),
    ]
    if evidence.empty:
        return [*pieces, html.paragraph("No signal was read.")]
    return [*pieces, html.heading("Signals"), html.table(tables.signals(evidence))]


def _odd(ledger: pd.DataFrame, kept: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Choose a few pictures of every odd kind."""
    found = kept["flags"].fillna("").str.split(",")
    flags = sorted({flag for flags in found for flag in flags if flag and flag != "resized"})
    by_flag = {
        f"{flag}: {int(held.sum()):,}": kept[held].head(ODD_SHOWN)
        for flag in flags
        for held in [found.map(lambda flags, flag=flag: flag in flags)]
    }
    return {
        **by_flag,
        "the smallest": kept.assign(side=kept[["width", "height"]].min(axis=1)).nsmallest(ODD_SHOWN, "side"),
        f"the most elongated, {ELONGATED:g} times as long as wide or more": _longest(kept),
        "placeholders, one of each": _placeholders(ledger),
    }


def _longest(kept: pd.DataFrame) -> pd.DataFrame:
    sides = kept[["source_width", "source_height"]].astype("float64")
    ratio = sides.max(axis=1) / sides.min(axis=1)
    return kept.assign(ratio=ratio)[ratio >= ELONGATED].nlargest(ODD_SHOWN, "ratio")


def _placeholders(ledger: pd.DataFrame) -> pd.DataFrame:
    found = ledger[ledger["fate"] == PLACEHOLDER]
    most = found["sha256"].value_counts().index[:ODD_SHOWN]
    return found.drop_duplicates("sha256").set_index("sha256", drop=False).loc[most]


def _spread(kept: pd.DataFrame) -> pd.DataFrame:
    shards = sorted(kept["shard"].unique())
    chosen = shards[:: -(-len(shards) // SHOWN_FROM_SHARDS) or 1]
    of_chosen = kept[kept["shard"].isin(chosen)]
    return of_chosen.iloc[:: max(1, -(-len(of_chosen) // SHOWN))]


def _sheets(raw_shards: Path, groups: dict[str, pd.DataFrame]) -> list[str]:
    shown = [rows[["uid", "shard"]] for rows in groups.values() if len(rows)]
    samples = find_samples(raw_shards, pd.concat(shown).drop_duplicates("uid")) if shown else {}
    return [sheet(samples, rows["uid"].tolist(), title) for title, rows in groups.items()]
