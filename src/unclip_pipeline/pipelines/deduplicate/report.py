"""The page of the duplicates: counts, and groups side by side with what stands for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from unclip_pipeline.cards import html
from unclip_pipeline.cards.sheets import find_samples, sheet
from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.shards import Sample
from unclip_pipeline.curation.duplicate_config import DuplicateConfig
from unclip_pipeline.curation.duplicates import REASONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_SHOWN = 12
MEMBERS_SHOWN = 10
PAIRS_SHOWN = 20


def duplicate_page(
    verdicts: pd.DataFrame, scrape_ledger: pd.DataFrame, raw_shards: Path, config: DuplicateConfig
) -> str:
    """Write the page; the pictures shown are read from the raw shards."""
    rows = verdicts.merge(
        scrape_ledger[["uid", "shard", "caption", "split"]], on="uid", validate="one_to_one"
    )
    dropped = rows[rows["fate"] != KEPT].sort_values(["cosine", "uid"])
    groups = _largest_groups(rows)
    unsure = {reason: _of(dropped, reason).head(PAIRS_SHOWN) for reason in REASONS[1:]}
    stand_ins = rows[rows["uid"].isin(pd.concat(unsure.values())["duplicate_of"])]
    shown = pd.concat([*groups, *unsure.values(), stand_ins]).drop_duplicates("uid")
    samples = find_samples(raw_shards, shown)
    return html.page(
        "Deduplicate",
        html.paragraph(
            f"{len(rows) - len(dropped):,} of {len(rows):,} pictures are kept. Every dropped one names a "
            "kept one that stands for it; held-out pictures are kept before training pictures."
        ),
        html.section("Reasons", html.table(reason_table(rows))),
        html.section("Cosine to what stands for them", html.figure(histogram(dropped, config))),
        html.section(
            "Least alike",
            html.paragraph(
                "Dropped pictures with the lowest cosine: the kept one first, then the dropped one."
            ),
            *(_side_by_side(reason, part, samples) for reason, part in unsure.items()),
        ),
        html.section(
            "Largest groups",
            *(sheet(samples, group["uid"].tolist()[:MEMBERS_SHOWN], _title(group)) for group in groups),
        ),
    )


def reason_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Count by reason, and how many of the dropped gave way to a held-out picture."""
    split_of = rows.set_index("uid")["split"]
    parts = {reason: _of(rows, reason) for reason in REASONS}
    return pd.DataFrame(
        {
            "reason": list(parts),
            "dropped": [len(part) for part in parts.values()],
            "share": [len(part) / max(1, len(rows)) for part in parts.values()],
            "of held-out pictures": [
                int((split_of.reindex(part["duplicate_of"]) == "heldout").sum()) for part in parts.values()
            ],
            "lowest cosine": [part["cosine"].min() for part in parts.values()],
        }
    )


def histogram(dropped: pd.DataFrame, config: DuplicateConfig) -> "Figure":
    """Draw the cosines of dropped pictures by reason, with the threshold."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(7, 2.6))
    axes = drawing.subplots()
    axes.hist(
        [_of(dropped, reason)["cosine"] for reason in REASONS],
        bins=60,
        stacked=True,
        label=list(REASONS),
        color=["#8a8a8a", "#c9a15a", "#4b78a8"],
    )
    axes.axvline(config.min_cosine, color="black", linewidth=1, linestyle="--")
    axes.set(xlabel="cosine", ylabel="dropped", yscale="symlog")
    axes.legend(frameon=False)
    return drawing


def _of(rows: pd.DataFrame, reason: str) -> pd.DataFrame:
    return rows[rows["fate"] == f"deduplicate.{reason}"]


def _largest_groups(rows: pd.DataFrame) -> list[pd.DataFrame]:
    sizes = rows["group"].value_counts()
    largest = sorted(sizes[sizes > 1].index, key=lambda uid: (-sizes[uid], uid))[:LARGEST_SHOWN]
    return [
        rows[rows["group"] == uid].sort_values(["duplicate_of", "uid"], na_position="first")
        for uid in largest
    ]


def _title(group: pd.DataFrame) -> str:
    return f"{len(group)} pictures, {group['uid'].iloc[0]} is kept: {group['caption'].iloc[0]}"


def _side_by_side(reason: str, part: pd.DataFrame, samples: dict[str, Sample]) -> str:
    uids: Sequence[str] = [
        uid for pair in zip(part["duplicate_of"], part["uid"], strict=True) for uid in pair
    ]
    notes = [note for cosine in part["cosine"] for note in ("kept", f"{cosine:.3f}")]
    return sheet(samples, uids, reason, notes=notes)
