"""How the evaluation's sweep of the decoder's guidance reads: two curves, a table, the pictures themselves."""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from unclip_pipeline.cards import charts, gallery, html
from unclip_pipeline.cards.tables import cell, rows_table

PROMPTS_SHOWN = 8
MEASURES = {  # stem of the metric: what it says
    "clip_score": "CLIPScore, higher is nearer to the caption",
    "r_precision": "R-precision@1: the picture finds its caption",
    "fd_clip": "Fréchet distance, own CLIP, lower is nearer to real pictures",
    "fd_random": "Fréchet distance, random convolutions",
    "recall_random": "recall, random convolutions: share of real pictures that something drawn is like",
}
CHARTS = {"clip_score": "CLIPScore", "fd_clip": "Fréchet distance, own CLIP"}
LEAD = (
    "The same captions, embeddings of the prior and noise at several scales of the decoder's guidance: more "
    "follows the caption more closely, at some point away from what pictures look like. Small pictures, before "
    "super-resolution; few of them, so compare scales with each other and not with other figures. An interval "
    "is that of one scale by itself; as captions and noise are shared, scales differ by less than it."
)


def guidance_section(evaluated: Mapping[str, Any], drawn: pd.DataFrame) -> str:
    """Show what every scale scores and draws, beside real pictures of the same captions."""
    scales = sorted(drawn["guidance"].unique())
    used = evaluated.get("guidance_decoder")
    lead = LEAD if used is None else f"{LEAD} In use: {used:g}."
    drawings = "".join(
        f"<div><h3>{escape(words)}</h3>{_chart(evaluated, stem, scales)}</div>"
        for stem, words in CHARTS.items()
    )
    return html.section(
        "Guidance",
        html.paragraph(lead),
        f'<div class="curves">{drawings}</div>',
        _table(evaluated, scales),
        gallery.side_by_side([f"{scale:g}" for scale in scales], _rows(drawn, scales)),
    )


def _chart(evaluated: Mapping[str, Any], stem: str, scales: list[float]) -> str:
    values = [evaluated.get(f"guided_{stem}_{scale:g}", np.nan) for scale in scales]
    curves = {"drawn": (np.array(scales), np.array(values, float))}
    if f"guided_{stem}_real" in evaluated:
        real = np.full(2, evaluated[f"guided_{stem}_real"])
        curves["real pictures"] = (np.array([scales[0], scales[-1]]), real)
    return charts.line_chart(curves, x_name="guidance", raw=frozenset({"real pictures"}))


def _table(evaluated: Mapping[str, Any], scales: list[float]) -> str:
    ways = [*(f"{scale:g}" for scale in scales), "real"]
    rows = [
        [escape(words), *(cell(evaluated, f"guided_{stem}_{way}") for way in ways)]
        for stem, words in MEASURES.items()
    ]
    columns = ["", *(f"guidance {way}" for way in ways[:-1]), "real pictures"]
    return rows_table(columns, rows, frozenset(range(1, len(columns))))


def _rows(drawn: pd.DataFrame, scales: list[float]) -> list[gallery.Row]:
    by_scale = [drawn[drawn["guidance"] == scale].set_index("uid")["png"] for scale in scales]
    captions = drawn.drop_duplicates("uid").set_index("uid")["caption"].head(PROMPTS_SHOWN)
    return [
        gallery.Row(caption, tuple(gallery.Picture(pngs[uid]) for pngs in by_scale))
        for uid, caption in captions.items()
    ]
