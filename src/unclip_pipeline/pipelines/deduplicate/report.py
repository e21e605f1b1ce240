"""The page of the duplicates: counts, and groups side by side with what stands for them."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from unclip_pipeline.cards import html
from unclip_pipeline.cards.sheets import find_samples, pairs, sheet
from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.shards import Sample
from unclip_pipeline.curation.duplicate_config import DuplicateConfig
from unclip_pipeline.curation.duplicates import REASONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_SHOWN = 12
FAMILIES_SHOWN = 10
MEMBERS_SHOWN = 10
PAIRS_SHOWN = 20


def duplicate_page(
    verdicts: pd.DataFrame,
    families: pd.DataFrame,
    metrics: dict[str, int | float],
    scrape_ledger: pd.DataFrame,
    raw_shards: Path,
    config: DuplicateConfig,
) -> str:
    """Write the page; the pictures shown are read from the raw shards."""
    rows = verdicts.merge(
        scrape_ledger[["uid", "shard", "caption", "split"]], on="uid", validate="one_to_one"
    )
    dropped = rows[rows["fate"] != KEPT].sort_values(["cosine", "uid"])
    groups = _largest(rows, "group", LARGEST_SHOWN)
    shown_families = _largest(families, "family", FAMILIES_SHOWN)
    unsure = {reason: _of(dropped, reason).head(PAIRS_SHOWN) for reason in REASONS[1:]}
    leaks = dropped[dropped["uid"].isin(_gave_way(rows)["uid"])].head(PAIRS_SHOWN)
    paired = pd.concat([*unsure.values(), leaks])
    named = pd.concat([paired["uid"], paired["duplicate_of"], *(part["uid"] for part in shown_families)])
    shown = pd.concat([*groups, rows[rows["uid"].isin(named)]]).drop_duplicates("uid")
    samples = find_samples(raw_shards, shown)
    return html.page(
        "Deduplicate",
        html.paragraph(
            f"{len(rows) - len(dropped):,} of {len(rows):,} pictures are kept. Every dropped one names a "
            "kept one that stands for it; held-out pictures are kept before training pictures."
        ),
        html.section(
            "Reasons",
            html.table(reason_table(rows), {"share": html.percent, "lowest cosine": "{:.4f}".format}),
        ),
        html.section("What the search found", html.paragraph(probe_sentence(metrics, config))),
        html.section(
            "Held-out pictures and training",
            html.paragraph(heldout_sentence(metrics, config)),
            _side_by_side("training pictures that gave way", leaks, samples),
        ),
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
        html.section(
            "Families",
            html.paragraph(
                f"{metrics['pictures_in_families']:,} kept pictures in {metrics['families']:,} families: "
                f"near-identical (cosine of at least {config.family_cosine}, most of the picture in place) "
                "and no copies; their captions share half of their words and differ in others."
            ),
            *(_family(part, rows, samples) for part in shown_families),
        ),
    )


def probe_sentence(metrics: dict[str, int | float], config: DuplicateConfig) -> str:
    """Say what share of the near pairs of random rows was found."""
    asked = f"{metrics['probe_rows']:,} random pictures were compared with all others by brute force"
    if not metrics["probe_recall_n"]:
        return f"{asked}; none has another within a cosine of {config.min_cosine}."
    return (
        f"{asked}. Of their {metrics['probe_recall_n']:,} pairs with a cosine of at least {config.min_cosine} "
        f"the search had found {metrics['probe_recall']:.4%} (95% interval {metrics['probe_recall_low']:.4%} "
        f"to {metrics['probe_recall_high']:.4%}, as if pairs were independent)."
    )


def heldout_sentence(metrics: dict[str, int | float], config: DuplicateConfig) -> str:
    """Say what was done so that no held-out picture is left in training, and what proves it."""
    return (
        f"{metrics['dropped_for_heldout']:,} training pictures gave way to a held-out one, "
        f"{metrics['dropped_near_heldout']:,} of them for a cosine of at least {config.decontaminate_cosine} "
        "alone. Afterwards all kept held-out pictures were compared with all kept training pictures, "
        f"{metrics['decontamination_pairs_compared']:,} pairs: {metrics['decontamination_near_pairs']:,} are "
        f"near enough to be looked at closely, and {metrics['decontamination_left']} are one picture. "
        f"{metrics['train_captions_also_heldout']:,} kept training captions have the words of a held-out one; "
        "they describe other pictures."
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
        color=["#8a8a8a", "#c9a15a", "#4b78a8", "#b04a5a"],
    )
    axes.axvline(config.min_cosine, color="black", linewidth=1, linestyle="--")
    axes.set(xlabel="cosine", ylabel="dropped", yscale="symlog")
    axes.legend(frameon=False)
    return drawing


def _of(rows: pd.DataFrame, reason: str) -> pd.DataFrame:
    return rows[rows["fate"] == f"deduplicate.{reason}"]


def _gave_way(rows: pd.DataFrame) -> pd.DataFrame:
    """Choose training rows that a held-out one stands for."""
    split_of = rows.set_index("uid")["split"]
    heldout = (split_of.reindex(rows["duplicate_of"]) == "heldout").to_numpy()
    return rows[heldout & (rows["split"] == "train").to_numpy()]


def _largest(rows: pd.DataFrame, key: str, count: int) -> list[pd.DataFrame]:
    """Choose the largest groups of more than one, each with the row first that it is named after."""
    sizes = rows[key].value_counts()
    largest = sorted(sizes[sizes > 1].index, key=lambda uid: (-sizes[uid], uid))[:count]
    parts = (rows[rows[key] == uid] for uid in largest)
    return [part.assign(head=part["uid"] != part[key]).sort_values(["head", "uid"]) for part in parts]


def _family(part: pd.DataFrame, rows: pd.DataFrame, samples: dict[str, Sample]) -> str:
    uids = part["uid"].tolist()[:MEMBERS_SHOWN]
    notes = [difference or "first" for difference in part["differs"].tolist()[:MEMBERS_SHOWN]]
    caption = rows.set_index("uid").loc[uids[0], "caption"]
    words = html.details("words that differ", html.table(part[["uid", "cosine", "differs"]]))
    return sheet(samples, uids, f"{len(part)} pictures: {caption}", notes=notes) + words


def _title(group: pd.DataFrame) -> str:
    return f"{len(group)} pictures, {group['uid'].iloc[0]} is kept: {group['caption'].iloc[0]}"


def _side_by_side(reason: str, part: pd.DataFrame, samples: dict[str, Sample]) -> str:
    notes = [f"{cosine:.3f}" for cosine in part["cosine"]]
    return pairs(samples, part["duplicate_of"].tolist(), part["uid"].tolist(), reason, notes)
