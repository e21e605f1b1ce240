"""The drawings of the filter page."""

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEPT_COLOUR, TAKEN_COLOUR, HELDOUT_COLOUR = "#4b78a8", "#b5523b", "#c9a15a"


def waterfall_bars(table: pd.DataFrame) -> "Figure":
    """Draw what each rule takes in its turn, from all pairs down to those that are left."""
    from matplotlib.figure import Figure

    table = table[table["takes"] > 0]
    total = int(table["left"].iloc[0] + table["takes"].iloc[0]) if len(table) else 0
    names = ["scraped", *table["rule"].str.replace("_", " "), "kept"]
    kept = int(table["left"].iloc[-1]) if len(table) else 0
    starts, widths = [0, *table["left"], 0], [total, *table["takes"], kept]
    colours = [KEPT_COLOUR, *[TAKEN_COLOUR] * len(table), KEPT_COLOUR]
    drawing = Figure(figsize=(7, 0.5 + 0.28 * len(names)))
    axes = drawing.subplots()
    bars = axes.barh(names, widths, left=starts, color=colours)
    axes.bar_label(bars, [f"{width:,}" for width in widths], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="pairs", xlim=(0, 1.12 * max(total, 1)))
    axes.spines[["top", "right"]].set_visible(False)
    return drawing


def histogram(rows: pd.DataFrame, column: str, limit: float | None) -> "Figure":
    """Draw the distribution of a score, held-out rows apart, with the threshold."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(7, 2.6))
    axes = drawing.subplots()
    splits = [part for _, part in rows.groupby("split", sort=True)]
    axes.hist(
        [part[column].dropna().to_numpy(float) for part in splits],
        bins=80,
        stacked=True,
        label=[part["split"].iloc[0] for part in splits],
        color=[HELDOUT_COLOUR, KEPT_COLOUR][-len(splits) :],
    )
    if limit is not None and rows[column].min() <= limit <= rows[column].max():
        axes.axvline(limit, color="black", linewidth=1, linestyle="--")
    axes.set(xlabel=column.replace("_", " "), ylabel="pairs", yscale="log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return drawing
