"""How the evaluation reads: its measures by name, side by side for each way of drawing."""

from collections.abc import Mapping
from html import escape
from typing import NamedTuple

from unclip_pipeline.cards.figures import figure, interval, number
from unclip_pipeline.cards.theme import rows_table

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


def measures_table(
    metrics: Mapping[str, float], measures: tuple[Measure, ...], ways: Mapping[str, str]
) -> str:
    """Write one row per measure and one column per way of drawing; what was not measured is a dash."""
    rows = []
    for measure in measures:
        cells = [_cell(metrics, f"{measure.stem}_{way}") for way in ways]
        chance = metrics.get(f"{measure.stem}_chance")
        if any(cell != "–" for cell in cells):
            rows.append(
                [escape(measure.words), *cells, number(chance) if chance is not None else "–", measure.better]
            )
    columns = ["", *ways.values(), "chance", "better"]
    return rows_table(columns, rows, frozenset(range(1, len(columns) - 1)))


def copies_table(metrics: Mapping[str, float]) -> str:
    """Write how often samples come nearer to a training picture than pictures that were never trained on."""
    measures = {
        "tiles": "worst of 16 tiles, pixels",
        "ratio": "nearest over second nearest, pixels",
        "clip": "own CLIP",
    }
    groups = {"heldout": "held-out captions", "seen": "captions of training pictures"}
    rows = []
    for group, group_words in groups.items():
        for measure, words in measures.items():
            stem = f"copies_{measure}_{group}"
            if f"{stem}_flagged" in metrics:
                p = metrics.get(f"{stem}_nearer_p")
                cells = [_cell(metrics, f"{stem}_{kind}") for kind in ("flagged", "reference", "excess")]
                rows.append([group_words, words, *cells, number(p)])
    columns = ["samples for", "distance", "flagged", "flagged without copying", "excess", "p (nearer)"]
    return rows_table(columns, rows, frozenset({2, 3, 4, 5}))


def _cell(metrics: Mapping[str, float], name: str) -> str:
    one = figure(metrics, name)
    if one is None:
        return "–"
    return f'{number(one.value)}<span class="interval">{interval(one)}</span>'
