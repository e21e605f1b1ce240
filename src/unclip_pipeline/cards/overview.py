"""`report.html`: the whole run on one page, pictures first."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from unclip_pipeline.cards import charts, gallery, theme
from unclip_pipeline.cards.evaluation import (
    EMBEDDING_MEASURES,
    EMBEDDINGS,
    PICTURE_MEASURES,
    WAYS,
    copies_table,
    measures_table,
)
from unclip_pipeline.cards.figures import Figure, figure, figures, interval, label, number

Metrics = Mapping[str, Any]
GRID_PICTURES = 32
COMPARED_PROMPTS = 8
NEAREST_SHOWN = 6


class Origin(NamedTuple):
    """What the figures on the page were computed from."""

    dataset_version: str
    embedder_id: str
    code_revision: str
    seed: int


def overview_page(
    origin: Origin,
    *,
    ledger: pd.DataFrame,
    samples: pd.DataFrame,
    nearest: pd.DataFrame,
    pictures_by_uid: Mapping[str, bytes],
    histories: Mapping[str, pd.DataFrame],
    metrics: Mapping[str, Metrics | None],
) -> str:
    """Write the page; a stage whose metrics are None (the scorecard outside the world) is left out."""
    measured = {stage: stage_metrics for stage, stage_metrics in metrics.items() if stage_metrics}
    evaluated = measured.get("evaluate", {})
    return theme.document(
        "unCLIP Pipeline: report",
        _header(origin, ledger, measured),
        samples_section(samples),
        ways_section(samples, pictures_by_uid),
        figures_section(evaluated),
        waterfall_section(ledger),
        curves_section(histories),
        copies_section(evaluated, samples, nearest, pictures_by_uid),
        stage_section("audit_data", "Who is in the data", measured),
        stage_section("audit_samples", "Who the model draws when nobody asks", measured),
        stage_section("scorecard", "Against the planted truth", measured),
        links_section(measured),
        "<footer>Intervals are 95%. Chance is what guessing reaches; the value of real pictures is what a "
        "perfect model would score at the same number of pictures.</footer>",
    )


def samples_section(samples: pd.DataFrame) -> str:
    """Show what the model draws for captions that were never trained on."""
    drawn = samples[(samples["condition"] == "prior") & samples["held_out"]].head(GRID_PICTURES)
    pictures = [gallery.Picture(one.png, one.caption) for one in drawn.itertuples()]
    lead = "Drawn for captions of held-out pictures, in the order of the dice, none left out."
    return theme.section("Samples", lead, gallery.grid(pictures))


def ways_section(samples: pd.DataFrame, pictures_by_uid: Mapping[str, bytes]) -> str:
    """Show the same prompts drawn from the text embedding, the prior's and the true image embedding."""
    by_way = {
        way: samples[samples["condition"] == way].set_index("uid")["png"] for way in WAYS if way != "real"
    }
    prompts = by_way["image"].index[:COMPARED_PROMPTS]
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
    return theme.section("What each part adds", lead, gallery.side_by_side(columns, rows))


def figures_section(evaluated: Metrics) -> str:
    """Show every measure of the evaluation beside what real pictures score."""
    if not evaluated:
        return ""
    lead = (
        "Each way of drawing against held-out pictures at equal n. Scores in the space of the CLIP that was "
        "trained here flatter, so each distance is also measured by a network of random convolutions."
    )
    return theme.section(
        "Figures with floors",
        lead,
        "<h3>Pictures</h3>",
        measures_table(evaluated, PICTURE_MEASURES, WAYS),
        "<h3>Image embeddings</h3>",
        measures_table(evaluated, EMBEDDING_MEASURES, EMBEDDINGS),
        _super_resolution(evaluated),
    )


def waterfall_section(ledger: pd.DataFrame) -> str:
    """Show what became of every URL: rows lost by stage and reason, and rows kept."""
    total, rows = len(ledger), []
    fates = ledger["fate"].value_counts()
    left = total
    dropped = {fate: int(count) for fate, count in fates.items() if fate != "kept"}
    rows.append([_strong("listed"), number(total), "", "100%", charts.bar(1, "kept")])
    for stage in _stage_order(dropped):
        reasons = {fate: count for fate, count in dropped.items() if fate.partition(".")[0] == stage}
        left -= sum(reasons.values())
        for fate, count in sorted(reasons.items(), key=lambda item: -item[1]):
            reason = escape(label(fate.partition(".")[2]))
            rows.append(
                [
                    f"&emsp;{stage}: {reason}",
                    "",
                    f"−{number(count)}",
                    _percent(count / total),
                    charts.bar(count / total),
                ]
            )
        rows.append(
            [
                _strong(f"after {stage}"),
                number(left),
                "",
                _percent(left / total),
                charts.bar(left / total, "kept"),
            ]
        )
    columns = ["", "rows", "lost", "of all", ""]
    lead = "Every URL has one fate. The rows add up: nothing is dropped without a counted reason."
    return theme.section(
        "From URLs to a dataset", lead, theme.rows_table(columns, rows, frozenset({1, 2, 3}))
    )


def curves_section(histories: Mapping[str, pd.DataFrame]) -> str:
    """Show the loss of each training over images seen, raw and smoothed."""
    panels = []
    for stage, history in histories.items():
        x, y = history["images_seen"].to_numpy(), history["loss"].to_numpy()
        series = {"loss": (x, y), "running mean": (x, charts.smooth(y))}
        last = (
            f"{number(float(np.mean(y[-max(1, len(y) // 20) :])))} after {number(float(x[-1]))} images"
            if len(y)
            else ""
        )
        chart = charts.line_chart(
            series, x_name="images seen", logarithmic=bool((y > 0).all()), raw=frozenset({"loss"})
        )
        panels.append(f'<div><h3>{escape(label(stage))}</h3><p class="quiet">{last}</p>{chart}</div>')
    lead = "Loss over images seen, on a logarithmic scale."
    return theme.section("Training", lead, f'<div class="curves">{"".join(panels)}</div>')


def copies_section(
    evaluated: Metrics, samples: pd.DataFrame, nearest: pd.DataFrame, pictures_by_uid: Mapping[str, bytes]
) -> str:
    """Show the samples nearest to a training picture, and how many are flagged beyond fresh pictures."""
    lead = (
        "The samples that lie nearest to a training picture, nearest first, with the three pictures they are "
        "nearest to. A sample counts as flagged below the distance that few never-trained pictures reach; "
        "only the excess over their share speaks of copying."
    )
    shown = nearest[nearest["measure"] == "tiles"]
    first = shown[shown["rank"] == 1].sort_values("distance").head(NEAREST_SHOWN)
    drawn = samples.set_index("sample")
    rows = []
    for name in first["sample"]:
        found = shown[shown["sample"] == name].sort_values("rank").head(3)
        originals = [_training_picture(one, pictures_by_uid) for one in found.itertuples()]
        originals += [None] * (3 - len(originals))
        rows.append(
            gallery.Row(drawn.loc[name, "caption"], (gallery.Picture(drawn.loc[name, "png"]), *originals))
        )
    columns = ["sample", "nearest training picture", "second", "third"]
    return theme.section("Does it copy", lead, copies_table(evaluated), gallery.side_by_side(columns, rows))


def stage_section(stage: str, title: str, measured: Mapping[str, Metrics]) -> str:
    """List every figure of a stage with its interval on a line."""
    if stage not in measured:
        return ""
    lead = f"Every figure of {label(stage)}; the mark shows chance or floor where there is one."
    return theme.section(title, lead, figure_table(figures(measured[stage])))


def links_section(measured: Mapping[str, Metrics]) -> str:
    """Link each stage's own report and fold away its figures."""
    pieces = []
    for stage, metrics in measured.items():
        link = f'<a href="{stage}_report.html">report</a>' if stage in WITH_REPORT else ""
        table = figure_table(figures(metrics))
        pieces.append(f"<details><summary>{escape(label(stage))} {link}</summary>{table}</details>")
    return theme.section("Stage by stage", "Each stage's own report, and all it measured.", *pieces)


WITH_REPORT = frozenset(
    {"filter", "deduplicate", "audit_data", "evaluate", "audit_samples", "release_model", "scorecard"}
)


def figure_table(found: Sequence[Figure]) -> str:
    """Write figures one per line: value, interval, line from 0 to 1 where it is a share, reference, n."""
    rows = []
    for one in found:
        reference = one.chance if one.chance is not None else one.floor
        is_share = one.low is not None and one.high is not None and 0 <= one.low and one.high <= 1
        line = charts.dot(one) if is_share else ""
        others = [number(value) if value is not None else "" for value in (reference, one.n)]
        rows.append([escape(label(one.name)), number(one.value), interval(one), line, *others])
    columns = ["", "value", "95% interval", "0 to 1", "chance or floor", "n"]
    return theme.rows_table(columns, rows, frozenset({1, 2, 4, 5}))


def _header(origin: Origin, ledger: pd.DataFrame, measured: Mapping[str, Metrics]) -> str:
    facts = {
        "dataset version": origin.dataset_version,
        "embedder": origin.embedder_id,
        "code": origin.code_revision[:12] + ("+dirty" if origin.code_revision.endswith("+dirty") else ""),
        "seed": str(origin.seed),
    }
    lines = "".join(
        f"<span>{escape(name)} <code>{escape(value)}</code></span>" for name, value in facts.items()
    )
    kept = int((ledger["fate"] == "kept").sum())
    tiles = [theme.tile("pictures kept", number(kept), f"of {number(len(ledger))} listed")]
    tiles += _evaluation_tiles(measured.get("evaluate", {}))
    released = figure(measured.get("release_model", {}), "gates_passed")
    if released is not None:
        total = measured["release_model"].get("gates", released.value)
        tiles.append(theme.tile("gates passed", number(released.value), f"of {number(total)}"))
    return (
        "<h1>From a list of URLs to a model you can account for</h1>"
        f'<p class="origin">{lines}</p><div class="tiles">{"".join(tiles)}</div>'
    )


def _evaluation_tiles(evaluated: Metrics) -> list[str]:
    wanted = (
        ("r_precision_prior", "picture finds its caption", "r_precision_chance", "chance"),
        ("embedding_retrieval_prior", "prior finds the picture", "embedding_retrieval_chance", "chance"),
        ("fd_clip_prior", "Fréchet distance, own CLIP", "fd_clip_real", "real pictures"),
        ("fd_random_prior", "Fréchet distance, random", "fd_random_real", "real pictures"),
        ("copies_tiles_heldout_excess", "copies above fresh pictures", "", ""),
    )
    tiles = []
    for name, words, reference, reference_words in wanted:
        one = figure(evaluated, name)
        if one is not None:
            beside = interval(one)
            if reference in evaluated:
                beside += f" · {reference_words} {number(evaluated[reference])}"
            tiles.append(theme.tile(words, number(one.value), beside))
    return tiles


def _super_resolution(evaluated: Metrics) -> str:
    names = ("upsampler_psnr_db", "bicubic_psnr_db", "upsampler_gain_db")
    found = [one for one in (figure(evaluated, name) for name in names) if one is not None]
    return "<h3>Super-resolution of real pictures</h3>" + figure_table(found) if found else ""


def _training_picture(found: Any, pictures_by_uid: Mapping[str, bytes]) -> gallery.Picture | None:
    if found.uid not in pictures_by_uid:
        return None
    return gallery.Picture(pictures_by_uid[found.uid], f"{found.uid} · {found.distance:.3f}")


def _stage_order(fates: Mapping[str, int]) -> list[str]:
    known = ("scrape", "filter", "deduplicate")
    stages = {fate.partition(".")[0] for fate in fates}
    return [stage for stage in known if stage in stages] + sorted(stages - set(known))


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _strong(words: str) -> str:
    return f"<b>{escape(words)}</b>"
