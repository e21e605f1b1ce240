"""Who is in a picture, as far as CLIP can tell: zero-shot labels on the axes of an audit.

A label is a reading of the picture, not a property of a person; "unknown" is a reading like the others.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32

from unclip_pipeline.corpus.vectors import log_mean_exp, unit

UNKNOWN = "unknown"
Axes = Mapping[str, Mapping[str, Sequence[str]]]
EncodeTexts = Callable[[Sequence[str]], Float[np.ndarray, "n d"]]


def check_axes(axes: Axes) -> None:
    """Raise unless every axis has two groups or more, prompts for each, and prompts for "unknown"."""
    for axis, groups in axes.items():
        if UNKNOWN not in groups:
            raise ValueError(
                f"audit_axes.{axis} needs prompts for `{UNKNOWN}`: what a picture shows that shows none of "
                f"{sorted(groups)}; otherwise every picture would be forced into a group"
            )
        if len(groups) < 3:
            raise ValueError(
                f"audit_axes.{axis} needs at least two groups beside `{UNKNOWN}`, got {list(groups)}"
            )
        for group, prompts in groups.items():
            if isinstance(prompts, str) or not prompts:
                raise ValueError(f"audit_axes.{axis}.{group} needs a list of prompts, got {prompts!r}")


def named_groups(axes: Axes) -> Axes:
    """Leave out axes and groups that are null: an environment drops those of `conf/base` that way."""
    return {
        axis: {group: prompts for group, prompts in groups.items() if prompts is not None}
        for axis, groups in axes.items()
        if groups is not None
    }


def label_images(
    images: Float32[np.ndarray, "n d"],
    axes: Axes,
    encode_texts: EncodeTexts,
    *,
    scale: float,
    min_probability: float,
) -> pd.DataFrame:
    """Read each picture on each axis: the likeliest group, or "unknown" where none reaches `min_probability`.

    `images` are unit vectors and `scale` is the CLIP's logit scale. A group counts by the mean likelihood of its
    prompts, "unknown" by the likeliest of its own: those name different things, of which a picture shows one.
    """
    axes = named_groups(axes)
    check_axes(axes)
    columns = {}
    for axis, groups in axes.items():
        names = list(groups)
        logits = np.stack(
            [_logits(scale * images @ unit(encode_texts(groups[name])).T, name) for name in names], axis=1
        )
        likeliest = np.exp(logits - logits.max(axis=1, keepdims=True))
        probability = likeliest / likeliest.sum(axis=1, keepdims=True)
        labels = np.array(names, dtype=object)[probability.argmax(axis=1)]
        columns[axis] = np.where(probability.max(axis=1) >= min_probability, labels, UNKNOWN)
    return pd.DataFrame(columns)


def _logits(by_prompt: Float[np.ndarray, "n p"], group: str) -> Float[np.ndarray, " n"]:
    return by_prompt.max(axis=1) if group == UNKNOWN else log_mean_exp(by_prompt)
