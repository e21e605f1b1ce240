"""Who is in the data at each stage, and what each stage did to the balance."""

import math
from collections.abc import Mapping

import pandas as pd

from unclip_pipeline.bias.axes import UNKNOWN
from unclip_pipeline.corpus.intervals import wilson

Stages = Mapping[str, pd.Index]
"""The uids that are still there after each stage, in running order."""


def shares(labels: pd.Series, stages: Stages) -> pd.DataFrame:
    """Count each group of one axis at each stage: n, its share of all pictures there, Wilson's interval.

    `labels` are indexed by uid; "unknown" is a level of its own and in the denominator of every share.
    """
    groups = sorted(labels.unique(), key=lambda group: (group == UNKNOWN, group))
    rows = []
    for stage, uids in stages.items():
        counts = labels.reindex(uids).value_counts()
        for group in groups:
            n = int(counts.get(group, 0))
            bounds = wilson(n, len(uids))
            rows.append((stage, group, n, n / len(uids) if len(uids) else None, bounds.low, bounds.high))
    return pd.DataFrame(rows, columns=["stage", "group", "n", "share", "low", "high"])


def keep_ratios(labels: pd.Series, stages: Stages, *, reference: str) -> pd.DataFrame:
    """Tell how much likelier each stage was to keep a group than the reference group, as a log ratio.

    Log keep ratios of sequential stages add up exactly to that of the whole (Hong et al., 2024, measure the same
    exclusion); 0 is no effect, `low` and `high` are at 95%. A stage that kept none of a group has no ratio.
    """
    names = list(stages)
    pairs = [(names[i], names[i + 1]) for i in range(len(names) - 1)] + [(names[0], names[-1])]
    rows = []
    for place, (before, after) in enumerate(pairs):
        step = "total" if place == len(pairs) - 1 else after
        came, stayed = (labels.reindex(stages[stage]).value_counts() for stage in (before, after))
        for group in sorted(set(labels) - {reference}):
            ratio, error = log_keep_ratio(
                int(stayed.get(group, 0)),
                int(came.get(group, 0)),
                int(stayed.get(reference, 0)),
                int(came.get(reference, 0)),
            )
            rows.append(
                (step, group, int(came.get(group, 0)), ratio, ratio - 1.96 * error, ratio + 1.96 * error)
            )
    return pd.DataFrame(rows, columns=["stage", "group", "n", "log_keep_ratio", "low", "high"])


def log_keep_ratio(kept: int, n: int, kept_reference: int, n_reference: int) -> tuple[float, float]:
    """Compute the log of the ratio of two keep rates and its standard error; NaN where nothing was kept."""
    if not (kept and kept_reference):
        return math.nan, math.nan
    rate, rate_reference = kept / n, kept_reference / n_reference
    variance = (1 - rate) / (n * rate) + (1 - rate_reference) / (n_reference * rate_reference)
    return math.log(rate / rate_reference), math.sqrt(variance)


def reference_group(labels: pd.Series) -> str:
    """Name the largest known group: the one the others are compared with."""
    known = labels[labels != UNKNOWN].value_counts()
    if known.empty:
        raise ValueError(
            f"no picture has a label on the axis {labels.name!r}; mend its prompts in audit_axes"
        )
    return str(known.index[0])
