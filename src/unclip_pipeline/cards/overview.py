"""`report.html`: the whole run on one page, pictures first."""

from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from unclip_pipeline.cards import charts, html
from unclip_pipeline.cards.evaluation import copies_section, figures_section, samples_section, ways_section
from unclip_pipeline.cards.figures import figure, figures, interval, label, number
from unclip_pipeline.cards.tables import cross_table, figure_table, rows_table
from unclip_pipeline.corpus.ledger import waterfall

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
    evaluated, scored = measured.get("evaluate", {}), measured.get("scorecard", {})
    return html.page(
        "From a list of URLs to a model you can account for",
        _header(origin, ledger, measured),
        samples_section(samples, GRID_PICTURES),
        ways_section(samples, pictures_by_uid, COMPARED_PROMPTS),
        attributes_section(scored),
        figures_section(evaluated),
        waterfall_section(ledger),
        curves_section(histories),
        encoder_section(measured.get("train_clip", {})),
        copies_section(evaluated, samples, nearest, pictures_by_uid, NEAREST_SHOWN),
        data_audit_section(measured.get("audit_data", {})),
        sample_audit_section(measured.get("audit_samples", {})),
        scorecard_section(scored),
        links_section(measured),
        "<footer>Intervals are 95%. Chance is what guessing reaches; the value of real pictures is what a "
        "perfect model would score at the same number of pictures.</footer>",
        title="unCLIP Pipeline: report",
    )


def waterfall_section(ledger: pd.DataFrame) -> str:
    """Show what became of every URL: rows lost by stage and reason, and rows kept."""
    total = len(ledger)
    rows = []
    for one in waterfall(ledger).itertuples():
        if one.reason:
            lost, share = -one.pairs, -one.pairs / total
            name = f"&emsp;{escape(one.stage)}: {escape(label(one.reason))}"
            rows.append([name, "", f"−{number(lost)}", _percent(share), charts.bar(share), number(one.left)])
        else:
            share = one.left / total
            name = f"<b>{escape(one.stage)}</b>"
            rows.append(
                [name, f"<b>{number(one.left)}</b>", "", _percent(share), charts.bar(share, "kept"), ""]
            )
    columns = ["", "URLs", "lost", "of all", "", "left"]
    lead = "Every URL has one fate. The rows add up: nothing is dropped without a counted reason."
    return html.section(
        "From URLs to a dataset", html.paragraph(lead), rows_table(columns, rows, frozenset({1, 2, 3}))
    )


def curves_section(histories: Mapping[str, pd.DataFrame]) -> str:
    """Show the loss of each training over images seen, raw and smoothed."""
    panels = []
    for stage, history in histories.items():
        if not {"images_seen", "loss"} <= set(history):  # a CLIP that was loaded, not trained
            continue
        x, y = history["images_seen"].to_numpy(), history["loss"].to_numpy()
        series = {"loss": (x, y), "running mean": (x, charts.smooth(y))}
        last = (
            f"{number(float(np.mean(y[-max(1, len(y) // 20) :])))} after {number(int(x[-1]))} images"
            if len(y)
            else ""
        )
        chart = charts.line_chart(
            series, x_name="images seen", logarithmic=bool((y > 0).all()), raw=frozenset({"loss"})
        )
        panels.append(f'<div><h3>{escape(label(stage))}</h3><p class="quiet">{last}</p>{chart}</div>')
    lead = "Loss over images seen, on a logarithmic scale."
    return html.section("Training", html.paragraph(lead), f'<div class="curves">{"".join(panels)}</div>')


def encoder_section(trained: Metrics) -> str:
    """Show what the encoder reads off pictures held back, by the classes that their captions name."""
    columns = {"zero_shot_{row}": "right", "zero_shot_{row}_chance": "commonest class"}
    columns |= {"zero_shot_{row}_n": "pictures", "zero_shot_{row}_left_out": "left out"}
    lead = (
        "Pictures held back from training, each labelled by the one class of a set that its caption names; wrong "
        "captions count against the encoder. Left out are pictures whose captions name no class or several."
    )
    table = cross_table(trained, r"zero_shot_(.+)_left_out", columns)
    asked = any(name.startswith("zero_shot_") for name in trained)
    return html.section("What the encoder knows", html.paragraph(lead), table) if asked else ""


def attributes_section(scored: Metrics) -> str:
    """Show how often drawings have what their captions name, for each way of drawing."""
    if not scored:
        return ""
    ways = {"text": "text embedding", "prior": "prior", "image": "true embedding"}
    columns = {
        "drawn_chance_{row}": "chance",
        **{f"drawn_{way}_heldout_{{row}}": words for way, words in ways.items()},
        "drawn_gain_of_prior_{row}": "gain of the prior",
        "drawn_prior_seen_{row}": "prior, seen combinations",
        "zero_shot_{row}_heldout": "CLIP zero-shot",
        "judge_clean_{row}": "judge on real pictures",
    }
    lead = (
        "An independent network, trained on the embedded world's own renders, reads each drawing. Shares of "
        "drawings that show what the caption names, on combinations that no training picture shows unless said."
    )
    table = cross_table(scored, r"drawn_chance_([a-z]+)", columns)
    return html.section("Does it draw what is asked", html.paragraph(lead), table)


def data_audit_section(audited: Metrics) -> str:
    """Show the share of each group at every stage."""
    if not audited:
        return ""
    stages = ("scraped", "filtered", "deduplicated")
    columns = {f"share_{{row}}_{stage}": stage for stage in stages}
    columns |= {"log_keep_ratio_{row}_total": "log keep ratio, all stages"}
    lead = (
        "Shares of groups among training pictures as CLIP reads them. A log keep ratio below 0 means that the "
        "stages together kept fewer of the group than of the largest one."
    )
    return html.section(
        "Who is in the data", html.paragraph(lead), cross_table(audited, r"share_(.+)_scraped", columns)
    )


def sample_audit_section(audited: Metrics) -> str:
    """Show variety, distance from the training shares, and the shares themselves."""
    if not audited:
        return ""
    lead = (
        "Prompts that name no group. Variety first: 1 is that of training pictures, and the shares of a model "
        "that draws one picture over and over say nothing. Distances are read beside what parity gives."
    )
    spread = {"spread_clip_{row}": "variety, own CLIP", "spread_random_{row}": "variety, random convolutions"}
    distance = {
        "tv_{row}": "distance from training shares (TV)",
        "tv_{row}_floor": "under parity",
        "tv_{row}_n": "n",
    }
    shares = {"share_{row}_training": "training", "share_{row}": "drawn"}
    return html.section(
        "Who the model draws when nobody asks",
        html.paragraph(lead),
        cross_table(audited, r"spread_clip_([^_]+)", spread),
        cross_table(audited, r"tv_(.+)_floor", distance),
        f"<details><summary>Shares by group</summary>{cross_table(audited, r'share_(.+)_training', shares)}</details>",
    )


def scorecard_section(scored: Metrics) -> str:
    """List what the scorecard found about the data stages."""
    told = ("drawn_", "zero_shot_", "judge_", "bias_samples_")
    found = [one for one in figures(scored) if not one.name.startswith(told)]
    lead = "Every stage of the data against what the embedded world planted; no stage saw this truth."
    return (
        html.section("Against the planted truth", html.paragraph(lead), figure_table(found)) if found else ""
    )


def links_section(measured: Mapping[str, Metrics]) -> str:
    """Link each stage's own report and fold away its figures."""
    pieces = []
    for stage, metrics in measured.items():
        link = f'<a href="{stage}_report.html">report</a>' if _has_report(stage) else ""
        table = figure_table(figures(metrics))
        pieces.append(f"<details><summary>{escape(label(stage))} {link}</summary>{table}</details>")
    return html.section(
        "Stage by stage", html.paragraph("Each stage's own report, and all it measured."), *pieces
    )


def _has_report(stage: str) -> bool:
    return stage not in ("render_world", "embed") and not stage.startswith("train_")


def _header(origin: Origin, ledger: pd.DataFrame, measured: Mapping[str, Metrics]) -> str:
    facts = {
        "dataset version": origin.dataset_version,
        "embedder": origin.embedder_id,
        "code": origin.code_revision[:12] + ("+dirty" if origin.code_revision.endswith("+dirty") else ""),
        "seed": str(origin.seed),
    }
    kept = int((ledger["fate"] == "kept").sum())
    tiles = [html.tile("pictures kept", number(kept), f"of {number(len(ledger))} listed")]
    tiles += _figure_tiles({**measured.get("scorecard", {}), **measured.get("evaluate", {})})
    released = figure(measured.get("release_model", {}), "gates_passed")
    if released is not None:
        total = measured["release_model"].get("gates", released.value)
        tiles.append(html.tile("gates passed", number(released.value), f"of {number(total)}"))
    return f'{html.facts_line(facts)}<div class="tiles">{"".join(tiles)}</div>'


def _figure_tiles(measured: Metrics) -> list[str]:
    wanted = (
        ("drawn_prior_heldout_shape", "shape as asked, held-out", "drawn_chance_shape", "chance"),
        ("r_precision_prior", "picture finds its caption", "r_precision_chance", "chance"),
        ("embedding_retrieval_prior", "prior finds the picture", "embedding_retrieval_chance", "chance"),
        ("fd_clip_prior", "Fréchet distance, own CLIP", "fd_clip_real", "real pictures"),
        ("fd_random_prior", "Fréchet distance, random", "fd_random_real", "real pictures"),
        ("copies_tiles_heldout_excess", "copies above fresh pictures", "", ""),
    )
    tiles = []
    for name, words, reference, reference_words in wanted:
        one = figure(measured, name)
        if one is not None:
            beside = interval(one)
            if reference in measured:
                beside += f" · {reference_words} {number(measured[reference])}"
            tiles.append(html.tile(words, number(one.value), beside))
    return tiles


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
