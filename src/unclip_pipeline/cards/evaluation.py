"""How the evaluation reads: its measures by name, side by side for each way of drawing."""

from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple

import pandas as pd

from unclip_pipeline.cards import gallery, html
from unclip_pipeline.cards.figures import figure, label, number
from unclip_pipeline.cards.guidance import guidance_section
from unclip_pipeline.cards.tables import cell, figure_table, rows_table

Metrics = Mapping[str, Any]
PROMPTS_COMPARED = 20
COPIES_SHOWN = 16

WAYS = {"text": "text embedding", "prior": "prior", "image": "true image embedding", "real": "real pictures"}
EMBEDDINGS = {
    "text": "text as is",
    "shifted": "text, mean-shifted",
    "prior": "prior",
    "real": "real pictures",
}


class Measure(NamedTuple):
    stem: str  # metric names are <stem>_<way>
    words: str
    better: str


PICTURE_MEASURES = (
    Measure("clip_score", "CLIPScore", "higher"),
    Measure("r_precision", "R-precision@1: the picture finds its caption", "higher"),
    Measure("fd_clip", "Fréchet distance, own CLIP", "lower"),
    Measure("fd_random", "Fréchet distance, random convolutions", "lower"),
    Measure("kid_clip", "KID, own CLIP", "lower"),
    Measure("kid_random", "KID, random convolutions", "lower"),
    Measure("mmd_clip", "MMD (Gaussian), own CLIP", "lower"),
    Measure("mmd_random", "MMD (Gaussian), random convolutions", "lower"),
    Measure("precision_clip", "precision, own CLIP", "higher"),
    Measure("recall_clip", "recall, own CLIP", "higher"),
    Measure("density_clip", "density, own CLIP", "near 1"),
    Measure("coverage_clip", "coverage, own CLIP", "higher"),
    Measure("precision_random", "precision, random convolutions", "higher"),
    Measure("recall_random", "recall, random convolutions", "higher"),
    Measure("density_random", "density, random convolutions", "near 1"),
    Measure("coverage_random", "coverage, random convolutions", "higher"),
    Measure("sharpness", "sharpness, mean |Laplacian|", "near real"),
)
EMBEDDING_MEASURES = (
    Measure("embedding_cosine", "cosine to the true image embedding", "higher"),
    Measure("embedding_retrieval", "finds the true image embedding", "higher"),
    Measure("embedding_fd", "Fréchet distance to real image embeddings", "lower"),
    Measure("seen_embedding_cosine", "the same cosine, captions of training pictures", "higher"),
    Measure("seen_embedding_retrieval", "the same retrieval, captions of training pictures", "higher"),
)


COPY_GROUPS = {"heldout": "held-out captions", "seen": "captions of training pictures"}
COPY_MEASURES = {
    "tiles": "worst of 16 tiles, pixels",
    "ratio": "nearest over second nearest, pixels",
    "clip": "own CLIP",
}


def evaluation_page(
    evaluated: Metrics,
    *,
    samples: pd.DataFrame,
    guided: pd.DataFrame,
    nearest: pd.DataFrame,
    pictures_by_uid: Mapping[str, bytes],
) -> str:
    """Write the evaluation's own report."""
    return html.page(
        "Evaluation",
        _protocol(evaluated),
        samples_section(samples, 48),
        ways_section(samples, pictures_by_uid, PROMPTS_COMPARED),
        guidance_section(evaluated, guided),
        figures_section(evaluated),
        copies_section(evaluated, samples, nearest, pictures_by_uid, COPIES_SHOWN),
    )


def uids_shown(samples: pd.DataFrame, nearest: pd.DataFrame) -> set[str]:
    """Name the dataset's pictures that the page shows: true ones of compared prompts, and near neighbours."""
    prompts = samples.loc[samples["condition"] == "image", "uid"].head(PROMPTS_COMPARED)
    return set(prompts) | set(_most_copied(nearest, COPIES_SHOWN)["uid"])


def samples_section(samples: pd.DataFrame, shown: int) -> str:
    """Show what the model draws for captions that were never trained on."""
    drawn = samples[(samples["condition"] == "prior") & samples["held_out"]].head(shown)
    familiar = samples[(samples["condition"] == "prior") & ~samples["held_out"]].head(shown // 2)
    held_out, seen = (
        [gallery.Picture(one.png, one.caption) for one in rows.itertuples()] for rows in (drawn, familiar)
    )
    lead = "Drawn for captions of held-out pictures, in the order of the dice, none left out."
    more = ["<h3>For captions of training pictures</h3>", gallery.grid(seen)] if seen else []
    return html.section("Samples", html.paragraph(lead), gallery.grid(held_out), *more)


def ways_section(samples: pd.DataFrame, pictures_by_uid: Mapping[str, bytes], shown: int) -> str:
    """Show the same prompts drawn from the text embedding, the prior's and the true image embedding."""
    by_way = {
        way: samples[samples["condition"] == way].set_index("uid")["png"] for way in WAYS if way != "real"
    }
    prompts = by_way["image"].index[:shown]
    captions = samples.drop_duplicates("uid").set_index("uid")["caption"]
    rows = []
    for uid in prompts:
        drawn = [gallery.Picture(by_way[way][uid]) if uid in by_way[way].index else None for way in by_way]
        real = gallery.Picture(pictures_by_uid[uid]) if uid in pictures_by_uid else None
        rows.append(gallery.Row(captions[uid], (*drawn, real)))
    lead = (
        "The same decoder given the caption's own embedding, the prior's image embedding, and the embedding "
        "of the true picture, beside that picture: what the prior adds, and what the decoder loses."
    )
    columns = ["text embedding", "prior", "true embedding", "true picture"]
    return html.section("What each part adds", html.paragraph(lead), gallery.side_by_side(columns, rows))


def figures_section(evaluated: Metrics) -> str:
    """Show every measure of the evaluation beside what real pictures score."""
    if not evaluated:
        return ""
    lead = (
        "Each way of drawing against held-out pictures at equal n. Scores in the space of the CLIP that was "
        "trained here flatter, so each distance is also measured by a network of random convolutions."
    )
    return html.section(
        "Figures with floors",
        html.paragraph(lead),
        "<h3>Pictures</h3>",
        measures_table(evaluated, PICTURE_MEASURES, WAYS),
        "<h3>Image embeddings</h3>",
        measures_table(evaluated, EMBEDDING_MEASURES, EMBEDDINGS),
        _super_resolution(evaluated),
    )


def copies_section(
    evaluated: Metrics,
    samples: pd.DataFrame,
    nearest: pd.DataFrame,
    pictures_by_uid: Mapping[str, bytes],
    shown: int,
) -> str:
    """Show the samples nearest to a training picture, and how many are flagged beyond fresh pictures."""
    lead = (
        "The samples that lie nearest to a training picture, nearest first, with the three pictures they are "
        "nearest to. A sample counts as flagged below the distance that few never-trained pictures reach; "
        "only the excess over their share speaks of copying."
    )
    drawn = samples.set_index("sample")
    rows = []
    for name, found in _most_copied(nearest, shown).groupby("sample", sort=False):
        originals = [_training_picture(one, pictures_by_uid) for one in found.itertuples()]
        originals += [None] * (3 - len(originals))
        rows.append(
            gallery.Row(drawn.loc[name, "caption"], (gallery.Picture(drawn.loc[name, "png"]), *originals))
        )
    columns = ["sample", "nearest training picture", "second", "third"]
    return html.section(
        "Does it copy", html.paragraph(lead), copies_table(evaluated), gallery.side_by_side(columns, rows)
    )


def measures_table(metrics: Metrics, measures: tuple[Measure, ...], ways: Mapping[str, str]) -> str:
    """Write one row per measure and one column per way of drawing; what was not measured is a dash."""
    rows = []
    for measure in measures:
        cells = [cell(metrics, f"{measure.stem}_{way}") for way in ways]
        chance = metrics.get(f"{measure.stem}_chance")
        if any(text != "–" for text in cells):
            rows.append(
                [escape(measure.words), *cells, number(chance) if chance is not None else "–", measure.better]
            )
    columns = ["", *ways.values(), "chance", "better"]
    return rows_table(columns, rows, frozenset(range(1, len(columns) - 1)))


def copies_table(metrics: Metrics) -> str:
    """Write how often samples come nearer to a training picture than pictures that were never trained on."""
    rows = []
    for group, group_words in COPY_GROUPS.items():
        for measure, words in COPY_MEASURES.items():
            stem = f"copies_{measure}_{group}"
            if f"{stem}_flagged" in metrics:
                p = metrics.get(f"{stem}_nearer_p")
                cells = [cell(metrics, f"{stem}_{kind}") for kind in ("flagged", "reference", "excess")]
                rows.append([group_words, words, *cells, number(p)])
    columns = ["samples for", "distance", "flagged", "flagged without copying", "excess", "p (nearer)"]
    return rows_table(columns, rows, frozenset({2, 3, 4, 5}))


def _most_copied(nearest: pd.DataFrame, shown: int) -> pd.DataFrame:
    """The samples nearest to a training picture, nearest first, with three neighbours each."""
    by_tiles = nearest[(nearest["measure"] == "tiles") & (nearest["rank"] <= 3)]
    first = by_tiles[by_tiles["rank"] == 1].sort_values(["distance", "sample"]).head(shown)
    order = {name: place for place, name in enumerate(first["sample"])}
    placed = by_tiles.assign(place=by_tiles["sample"].map(order)).dropna(subset="place")
    return placed.sort_values(["place", "rank"])


def _super_resolution(evaluated: Metrics) -> str:
    names = ("upsampler_psnr_db", "bicubic_psnr_db", "upsampler_gain_db")
    found = [one for one in (figure(evaluated, name) for name in names) if one is not None]
    return "<h3>Super-resolution of real pictures</h3>" + figure_table(found) if found else ""


def _training_picture(found: Any, pictures_by_uid: Mapping[str, bytes]) -> gallery.Picture | None:
    if found.uid not in pictures_by_uid:
        return None
    return gallery.Picture(pictures_by_uid[found.uid], f"{found.uid} · {found.distance:.3f}")


def _protocol(evaluated: Metrics) -> str:
    """Say what the figures were computed with: guidance, extractors, dataset version."""
    texts = {label(name): value for name, value in evaluated.items() if isinstance(value, str)}
    used = {label(name): f"{value:g}" for name, value in evaluated.items() if name.startswith("guidance_")}
    return html.facts_line({**texts, **used})
