"""The page of the filters: counts, distributions with their thresholds, and the pictures on both sides."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from unclip_pipeline.cards import html
from unclip_pipeline.cards.sheets import find_samples, sheet
from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.curation.rules import RULES, FilterConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 20


class Scale(NamedTuple):
    """The column a rule decides by, its threshold, and whether it drops what lies below."""

    column: str
    threshold: float
    drops_below: bool


def scales(config: FilterConfig) -> dict[str, Scale]:
    """Name what each rule that has a score decides by."""
    return {
        "similarity_too_low": Scale("evidence", config.min_evidence, True),
        "unsafe": Scale("score_unsafe", config.max_unsafe, False),
        "watermark": Scale("score_watermark", config.max_watermark, False),
        "image_blank": Scale("contrast", config.min_contrast, True),
    }


def filter_page(
    verdicts: pd.DataFrame, scrape_ledger: pd.DataFrame, raw_shards: Path, config: FilterConfig
) -> str:
    """Write the page; the pictures shown are read from the raw shards."""
    rows = verdicts.merge(
        scrape_ledger[["uid", "shard", "caption", "split"]], on="uid", validate="one_to_one"
    )
    kept = int((rows["fate"] == KEPT).sum())
    return html.page(
        "Filter",
        html.paragraph(
            f"{kept:,} of {len(rows):,} scraped pairs pass every rule. A pair is counted under the first "
            "rule it fails, in the order of the table; every rule answers for every pair."
        ),
        html.section("Rules", html.table(rule_table(rows))),
        html.section(
            "How well captions fit",
            html.paragraph(
                "Evidence says how much likelier a caption is for its picture than for a random one, in "
                "nats: 0 is chance, 1 is e times likelier. The line is the threshold."
            ),
            html.figure(histogram(rows, Scale("evidence", config.min_evidence, True))),
            html.figure(histogram(rows, Scale("similarity", config.min_similarity, True))),
        ),
        *(
            _rule_section(rule, scale, rows, raw_shards)
            for rule, scale in scales(config).items()
            if f"fails_{rule}" in rows and scale.column in rows
        ),
        html.section("Captions", *_caption_tables(rows)),
    )


def rule_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Count by rule: rows it ends, rows it would drop alone, and how many of those only it drops."""
    rules = [rule for rule in RULES if f"fails_{rule}" in rows]
    answers = rows[[f"fails_{rule}" for rule in rules]]
    alone = answers.sum(axis="columns") == 1
    return pd.DataFrame(
        {
            "rule": rules,
            "fate of": [int((rows["fate"] == f"filter.{rule}").sum()) for rule in rules],
            "fails": answers.sum().to_numpy(),
            "fails this rule only": [int((answers[name] & alone).sum()) for name in answers],
            "share that fails": answers.mean().to_numpy(),
        }
    )


def histogram(rows: pd.DataFrame, scale: Scale) -> "Figure":
    """Draw the distribution of a score, held-out rows apart, with the threshold."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(7, 2.6))
    axes = drawing.subplots()
    splits = [part for _, part in rows.groupby("split", sort=True)]
    axes.hist(
        [part[scale.column] for part in splits],
        bins=80,
        stacked=True,
        label=[part["split"].iloc[0] for part in splits],
        color=["#c9a15a", "#4b78a8"][: len(splits)],
    )
    if rows[scale.column].min() <= scale.threshold <= rows[scale.column].max():
        axes.axvline(scale.threshold, color="black", linewidth=1, linestyle="--")
    axes.set(xlabel=scale.column, ylabel="pairs", yscale="log")
    axes.legend(frameon=False)
    return drawing


def _rule_section(rule: str, scale: Scale, rows: pd.DataFrame, raw_shards: Path) -> str:
    ordered = rows.sort_values([scale.column, "uid"], ascending=[scale.drops_below, True])
    failing = ordered[ordered[f"fails_{rule}"]]
    passing = ordered[ordered["fate"] == KEPT]
    groups = {
        "dropped most surely": failing.head(SHOWN),
        "dropped least surely": failing.tail(SHOWN),
        "kept least surely": passing.head(SHOWN),
    }
    samples = find_samples(raw_shards, pd.concat(groups.values()).drop_duplicates("uid"))
    return html.section(
        rule.replace("_", " "),
        html.figure(histogram(rows, scale)),
        *(
            piece
            for title, group in groups.items()
            for piece in (
                sheet(samples, group["uid"].tolist(), title, notes=group[scale.column].map("{:.2f}".format)),
                html.details("captions", html.table(group[["uid", scale.column, "caption"]])),
            )
        ),
    )


def _caption_tables(rows: pd.DataFrame) -> list[str]:
    pieces = []
    for rule in ("caption_is_filename", "caption_too_short"):
        counts = rows.loc[rows["fate"] == f"filter.{rule}", "caption"].value_counts().head(SHOWN)
        pieces += [html.heading(rule.replace("_", " ")), html.table(counts.rename("pairs").reset_index())]
    return pieces
