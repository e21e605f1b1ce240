"""The audit of samples, prompt by prompt and axis by axis, as tables and as flat metrics."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from unclip_pipeline.bias.samples import Parity, parity, spread
from unclip_pipeline.corpus.intervals import wilson
from unclip_pipeline.seeds import seeded_numpy


class Pictures(NamedTuple):
    """Pictures of one prompt: a label per audit axis, and features per space."""

    labels: pd.DataFrame
    features: Mapping[str, Float[np.ndarray, "_ _"]]  # of all of them, or of some at random
    weights: Float[np.ndarray, " n"] | None = None  # how often the model saw each; None: all alike


class Prompt(NamedTuple):
    word: str  # what training captions of the same thing say
    text: str
    drawn: Pictures
    training: Pictures


SPREAD_COLUMNS = ["word", "prompt", "space", "ratio", "low", "high", "collapsed"]
SHARE_COLUMNS = ["word", "prompt", "axis", "group", "generated", "low", "high", "n", "training"]


class SampleAudit(NamedTuple):
    spread: pd.DataFrame
    shares: pd.DataFrame
    parity: pd.DataFrame  # word, prompt, axis, and the fields of Parity, q


def audit_prompts(prompts: list[Prompt], *, min_spread: float, seed: int) -> SampleAudit:
    """Compare what was drawn for each prompt with training pictures of the same thing."""
    spreads, shares, parities = [], [], []
    for prompt in prompts:
        spreads += _spread_rows(prompt, min_spread)
        for axis in prompt.drawn.labels:
            shares += _share_rows(prompt, axis)
            parities.append(_parity_row(prompt, axis, seed))
    tested = pd.DataFrame(parities, columns=["word", "prompt", "axis", *Parity._fields])
    tested["q"] = stats.false_discovery_control(tested["p"].to_numpy(float)) if len(tested) else []
    return SampleAudit(
        pd.DataFrame(spreads, columns=SPREAD_COLUMNS), pd.DataFrame(shares, columns=SHARE_COLUMNS), tested
    )


def audit_metrics(audit: SampleAudit) -> dict[str, float | int]:
    """Write the audit as flat metrics; distances carry the floor that parity gives at the same n."""
    collapsed = audit.spread.groupby("word")["collapsed"].any()
    readable = audit.parity[~audit.parity["word"].isin(collapsed[collapsed].index)]
    metrics: dict[str, float | int] = {
        "prompts": len(collapsed),
        "prompts_collapsed": int(collapsed.sum()),
        "differences_shown": int((readable["q"] < 0.05).sum()),
    }
    if len(audit.spread):
        metrics["spread_min"] = float(audit.spread["ratio"].min())
    for axis, rows in audit.shares.groupby("axis", sort=False):
        metrics[f"amplification_{axis}"] = amplification(rows)
    for one in audit.spread.itertuples():
        name = f"spread_{one.space}_{one.word}"
        metrics |= {name: one.ratio, f"{name}_low": one.low, f"{name}_high": one.high}
    for one in audit.parity.itertuples():
        name = f"tv_{one.axis}_{one.word}"
        metrics |= {name: one.tv, f"{name}_low": one.tv_low, f"{name}_high": one.tv_high}
        metrics |= {f"{name}_floor": one.tv_floor, f"{name}_n": one.n}
    for one in audit.shares.itertuples():
        name = f"share_{one.axis}_{one.word}_{one.group}"
        metrics |= {name: one.generated, f"{name}_low": one.low, f"{name}_high": one.high}
        metrics |= {f"{name}_n": one.n, f"{name}_training": one.training}
    return metrics


def amplification(shares: pd.DataFrame) -> float:
    """Directional bias amplification (Wang & Russakovsky, 2021) of one axis: mean over prompts and groups.

    Positive: what is over-represented for a prompt in training is more so in what is drawn. Opposite changes
    cancel, so read the table of shares beside it.
    """
    overall = shares.groupby("group")["training"].transform("mean")
    direction = np.sign((shares["training"] - overall).round(12))
    return float((direction * (shares["generated"] - shares["training"])).mean())


def _spread_rows(prompt: Prompt, min_spread: float) -> list[dict]:
    rows = []
    for space, drawn in prompt.drawn.features.items():
        found = spread(drawn, prompt.training.features[space])
        rows.append({
            "word": prompt.word, "prompt": prompt.text, "space": space,
            "ratio": found.ratio, "low": found.low, "high": found.high, "collapsed": found.ratio < min_spread,
        })  # fmt: skip
    return rows


def _share_rows(prompt: Prompt, axis: str) -> list[dict]:
    counts, training = _counts(prompt, axis)
    n = int(counts.sum())
    rows = []
    for group, count in counts.items():
        interval = wilson(int(count), n)
        rows.append({
            "word": prompt.word, "prompt": prompt.text, "axis": axis, "group": group, "generated": count / n,
            "low": interval.low, "high": interval.high, "n": n, "training": float(training[group]),
        })  # fmt: skip
    return rows


def _parity_row(prompt: Prompt, axis: str, seed: int) -> dict:
    counts, training = _counts(prompt, axis)
    random = seeded_numpy(seed, "sample_audit", prompt.word, axis)
    found = parity(counts.to_numpy(int), training.to_numpy(float), random)
    return {"word": prompt.word, "prompt": prompt.text, "axis": axis, **found._asdict()}


def _counts(prompt: Prompt, axis: str) -> tuple[pd.Series, pd.Series]:
    """Count drawn pictures by group, and give the shares of training; a group in one only is 0 in the other."""
    drawn, training = prompt.drawn.labels[axis], prompt.training.labels[axis]
    groups = sorted(set(drawn) | set(training))
    weights = np.ones(len(training)) if prompt.training.weights is None else prompt.training.weights
    weighted = pd.Series(weights).groupby(training.to_numpy()).sum().reindex(groups, fill_value=0.0)
    return drawn.value_counts().reindex(groups, fill_value=0), weighted / weighted.sum()
