"""The page of a release: the waterfall, and pictures kept and dropped by every reason."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from unclip_pipeline.cards import html
from unclip_pipeline.cards.sheets import find_samples, sheet
from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.seeds import seeded_numpy

SHOWN = 20


def release_page(
    ledger: pd.DataFrame,
    steps: pd.DataFrame,
    raw_shards: Path,
    dataset: Path,
    metrics: Mapping[str, int | float],
) -> str:
    """Write the page; pictures are drawn at random, the same ones for the same ledger."""
    version = json.loads((dataset / "dataset.json").read_text())["version"]
    fetched = ledger[~ledger["fate"].str.startswith("scrape.")]
    groups = {fate: _some(rows) for fate, rows in fetched.groupby("fate")}
    samples = find_samples(raw_shards, pd.concat(groups.values()))
    order = [KEPT, *sorted(set(groups) - {KEPT})]
    sheets = [
        sheet(samples, groups[fate]["uid"].tolist(), f"{fate}: {int((ledger['fate'] == fate).sum()):,}")
        for fate in order
        if fate in groups
    ]
    return html.page(
        "The dataset version",
        html.facts_line({"version": version}),
        html.section(
            "Figures", html.facts({name.replace("_", " "): value for name, value in metrics.items()})
        ),
        html.section("What became of every URL", html.table(steps)),
        html.section("Kept, and dropped by reason (drawn at random)", *sheets),
        html.section("The card", html.markdown((dataset / "card.md").read_text())),
    )


def _some(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.sort_values("uid")
    places = seeded_numpy(0, "release page").permutation(len(rows))[:SHOWN]
    return rows.iloc[sorted(places)]
