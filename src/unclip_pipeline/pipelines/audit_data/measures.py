"""The audit's figures, flat, each with its interval."""

import pandas as pd

from unclip_pipeline.bias.config import AuditConfig
from unclip_pipeline.bias.representation import keep_ratios, reference_group, shares
from unclip_pipeline.bias.reweighting import Weighting, weighted_mean

UNSAFE = "score_unsafe"


def audit_metrics(
    labels: pd.DataFrame, stages: dict[str, pd.Index], weighting: Weighting
) -> dict[str, int | float]:
    """Write shares and log keep ratios of every axis as flat metrics."""
    metrics: dict[str, int | float] = {"rows": len(stages["deduplicated"])}
    for axis in labels:
        for row in shares(labels[axis], stages).itertuples():
            name = f"share_{axis}_{row.group}_{row.stage}"
            metrics |= {name: row.share, f"{name}_low": row.low, f"{name}_high": row.high}
            metrics[f"{name}_n"] = len(stages[row.stage])
        ratios = keep_ratios(labels[axis], stages, reference=reference_group(labels[axis]))
        for row in ratios.dropna().itertuples():
            name = f"log_keep_ratio_{axis}_{row.group}_{row.stage}"
            metrics |= {name: row.log_keep_ratio, f"{name}_low": row.low, f"{name}_high": row.high}
            metrics[f"{name}_n"] = row.n
    return metrics | {
        "effective_share": weighting.effective_share,
        "max_weight": float(weighting.weights.max()),
    }


def check_unsafe(verdicts: pd.DataFrame, weights: pd.Series, config: AuditConfig) -> dict[str, int | float]:
    """Raise if weighing brings back what the unsafe filter left at its boundary."""
    if UNSAFE not in verdicts:
        return {}
    scores = verdicts.set_index("uid")[UNSAFE].reindex(weights.index)
    plain, weighted = float(scores.mean()), weighted_mean(scores.to_numpy(float), weights.to_numpy(float))
    rise = (weighted - plain) / max(float(scores.std()), 1e-12)
    if rise > config.max_unsafe_rise:
        raise ValueError(
            f"weighing raises the mean unsafe score by {rise:.4f} standard deviations, more than "
            f"audit_data.max_unsafe_rise={config.max_unsafe_rise}; lower audit_data.clip or weigh fewer axes"
        )
    return {"unsafe_score_mean": plain, "unsafe_score_mean_weighted": weighted, "unsafe_score_rise": rise}
