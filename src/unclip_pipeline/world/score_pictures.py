"""Compare what the models drew with what the captions asked for, as the judge reads it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from unclip_pipeline.corpus.images import decode_rgb, to_square
from unclip_pipeline.corpus.intervals import share_metrics
from unclip_pipeline.world.scenes import ATTRIBUTES, WorldConfig, vocabulary


def pictures_of(pngs: Sequence[bytes], side_px: int) -> UInt8[np.ndarray, "n s s 3"]:
    """Decode pictures to one array."""
    return np.stack([to_square(decode_rgb(png), side_px) for png in pngs])


def score_samples(
    truth: pd.DataFrame, samples: pd.DataFrame, readings: pd.DataFrame, config: WorldConfig
) -> dict[str, int | float]:
    """Measure attribute accuracy by condition, on held-out combinations and on seen ones.

    `drawn_<condition>_<heldout|seen>_<attribute>`; only attributes that the caption names count.
    `readings` are the judge's, row by row those of `samples`. `drawn_chance_<attribute>` stands beside.
    """
    rows = truth.set_index("uid").reindex(samples["uid"]).reset_index()
    named = rows["named"].fillna("").str.split()
    unseen = rows["heldout_kind"].notna().to_numpy()
    values = vocabulary(config)
    metrics: dict[str, int | float] = {}
    for condition in samples["condition"].unique():
        asked = (samples["condition"] == condition).to_numpy()
        for which, part in (("heldout", unseen), ("seen", ~unseen)):
            for attribute, options in values.items():
                own = asked & part & np.array([attribute in words for words in named], dtype=bool)
                if len(options) == 1 or not own.any():
                    continue
                right = readings[attribute].to_numpy()[own] == rows[attribute].to_numpy()[own]
                name = f"drawn_{condition}_{which}_{attribute}"
                metrics |= share_metrics(name, int(right.sum()), int(own.sum()))
                metrics[f"drawn_chance_{attribute}"] = 1 / len(options)
    return metrics


def samples_table(truth: pd.DataFrame, samples: pd.DataFrame, readings: pd.DataFrame) -> pd.DataFrame:
    """List each drawn picture with what its caption names and what the judge reads there."""
    rows = truth.set_index("uid").reindex(samples["uid"]).reset_index()
    table = samples[["sample", "uid", "condition", "caption"]].reset_index(drop=True)
    table["heldout_kind"] = rows["heldout_kind"]
    table["kind"] = rows["kind"]
    table["judged"] = [
        " ".join(readings.at[place, name] for name in ATTRIBUTES[kind]) if kind in ATTRIBUTES else ""
        for place, kind in enumerate(rows["kind"])
    ]
    return table


def score_bias_samples(
    bias_samples: pd.DataFrame, readings: pd.DataFrame, config: WorldConfig
) -> dict[str, int | float]:
    """Give what the judge reads on the sample audit's pictures: occupations hit, shares of groups."""
    metrics: dict[str, int | float] = {}
    if "occupation" in bias_samples:
        asked = bias_samples["occupation"].isin(vocabulary(config)["occupation"]).to_numpy()
        right = readings["occupation"].to_numpy() == bias_samples["occupation"].to_numpy()
        metrics |= share_metrics("bias_samples_occupation", int(right[asked].sum()), int(asked.sum()))
    for group in vocabulary(config)["group"]:
        hits = int((readings["group"] == group).sum())
        metrics |= share_metrics(f"bias_samples_group_{group}", hits, len(readings))
    return metrics
