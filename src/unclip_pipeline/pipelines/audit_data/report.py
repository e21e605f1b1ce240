"""The audit as a page."""

from collections.abc import Mapping

import pandas as pd

from unclip_pipeline.bias.config import AuditConfig
from unclip_pipeline.bias.representation import keep_ratios, reference_group, shares
from unclip_pipeline.bias.reweighting import Weighting
from unclip_pipeline.cards import html


def audit_page(
    labels: pd.DataFrame,
    stages: dict[str, pd.Index],
    weighting: Weighting,
    metrics: Mapping[str, int | float],
    config: AuditConfig,
) -> str:
    """Show shares by stage, what each stage did, and what the weights do about it."""
    return html.page(
        "Who is in the data",
        html.paragraph(
            "Labels are what CLIP reads off a picture by the prompts of audit_axes; they are readings with errors, "
            "not properties of anyone. Shares are of all training pictures at a stage, those that no "
            "label fits among them, with Wilson's 95% interval."
        ),
        *(html.section(f"Axis: {axis}", *_axis(labels[axis], stages, weighting)) for axis in labels),
        html.section("Weights", *_weights(weighting, metrics, config)),
    )


def _axis(labels: pd.Series, stages: dict[str, pd.Index], weighting: Weighting) -> list[str]:
    reference = reference_group(labels)
    table = shares(labels, stages)
    wide = table.pivot(index="group", columns="stage", values="share")[list(stages)]
    wide["weighted"] = weighting.weights.groupby(labels.reindex(weighting.weights.index)).sum() / len(
        weighting.weights
    )
    ratios = keep_ratios(labels, stages, reference=reference)
    return [
        html.heading("Share by stage"),
        html.table(wide.reset_index()),
        html.details("With counts and intervals", html.table(table)),
        html.heading(f"Log keep ratio against {reference} (0: kept alike; stages add up to the total)"),
        html.table(ratios.rename(columns={"log_keep_ratio": "log keep ratio"})),
    ]


def _weights(weighting: Weighting, metrics: Mapping[str, int | float], config: AuditConfig) -> list[str]:
    axes = ", ".join(config.weighted_axes) or "none"
    facts = {
        "axes weighed": axes,
        "target": config.target,
        "smallest weight": float(weighting.weights.min()),
        "largest weight": float(weighting.weights.max()),
        "effective share of the rows": weighting.effective_share,
        **{name.replace("_", " "): value for name, value in metrics.items() if name.startswith("unsafe_")},
    }
    return [html.facts(facts)]
