"""`report.html`: the whole run on one page, pictures first."""

from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from unclip_pipeline.cards import charts, theme
from unclip_pipeline.cards.evaluation import copies_section, figures_section, samples_section, ways_section
from unclip_pipeline.cards.figures import figure, figures, interval, label, number
from unclip_pipeline.cards.tables import figure_table, rows_table
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
    evaluated = measured.get("evaluate", {})
    return theme.document(
        "unCLIP Pipeline: report",
        _header(origin, ledger, measured),
        samples_section(samples, GRID_PICTURES),
        ways_section(samples, pictures_by_uid, COMPARED_PROMPTS),
        figures_section(evaluated),
        waterfall_section(ledger),
        curves_section(histories),
        copies_section(evaluated, samples, nearest, pictures_by_uid, NEAREST_SHOWN),
        stage_section("audit_data", "Who is in the data", measured),
        stage_section("audit_samples", "Who the model draws when nobody asks", measured),
        stage_section("scorecard", "Against the planted truth", measured),
        links_section(measured),
        "<footer>Intervals are 95%. Chance is what guessing reaches; the value of real pictures is what a "
        "perfect model would score at the same number of pictures.</footer>",
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
    return theme.section("From URLs to a dataset", lead, rows_table(columns, rows, frozenset({1, 2, 3})))


def curves_section(histories: Mapping[str, pd.DataFrame]) -> str:
    """Show the loss of each training over images seen, raw and smoothed."""
    panels = []
    for stage, history in histories.items():
        if not {"images_seen", "loss"} <= set(history):  # a CLIP that was loaded, not trained
            continue
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
    {
        "scrape",
        "filter",
        "deduplicate",
        "audit_data",
        "release_dataset",
        "evaluate",
        "audit_samples",
        "release_model",
        "scorecard",
    }
)


def _header(origin: Origin, ledger: pd.DataFrame, measured: Mapping[str, Metrics]) -> str:
    facts = {
        "dataset version": origin.dataset_version,
        "embedder": origin.embedder_id,
        "code": origin.code_revision[:12] + ("+dirty" if origin.code_revision.endswith("+dirty") else ""),
        "seed": str(origin.seed),
    }
    kept = int((ledger["fate"] == "kept").sum())
    tiles = [theme.tile("pictures kept", number(kept), f"of {number(len(ledger))} listed")]
    tiles += _evaluation_tiles(measured.get("evaluate", {}))
    released = figure(measured.get("release_model", {}), "gates_passed")
    if released is not None:
        total = measured["release_model"].get("gates", released.value)
        tiles.append(theme.tile("gates passed", number(released.value), f"of {number(total)}"))
    return (
        "<h1>From a list of URLs to a model you can account for</h1>"
        f'{theme.facts_line(facts)}<div class="tiles">{"".join(tiles)}</div>'
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


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
