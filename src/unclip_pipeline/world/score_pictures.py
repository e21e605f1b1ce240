"""Compare what the models drew with what the captions asked for, as the judge reads it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from unclip_pipeline.corpus.images import decode_rgb, to_square
from unclip_pipeline.corpus.intervals import share_metrics
from unclip_pipeline.world.captions import SYNONYMS, named_values
from unclip_pipeline.world.scenes import ATTRIBUTES, WorldConfig, vocabulary


def pictures_of(pngs: Sequence[bytes], side_px: int) -> UInt8[np.ndarray, "n s s 3"]:
    """Decode pictures to one array."""
    return np.stack([to_square(decode_rgb(png), side_px) for png in pngs])


def score_samples(
    truth: pd.DataFrame, samples: pd.DataFrame, readings: pd.DataFrame, config: WorldConfig
) -> dict[str, int | float]:
    """Measure attribute accuracy by condition, on held-out combinations and on seen ones.

    `drawn_<condition>_<heldout|seen>_<attribute>`; what the caption does not name does not count.
    `readings` are the judge's, row by row those of `samples`. `drawn_chance_<attribute>` stands beside.
    """
    unseen = truth.set_index("uid")["heldout_kind"].reindex(samples["uid"]).notna().to_numpy()
    hits = attribute_hits(samples["caption"], readings)
    metrics: dict[str, int | float] = {}
    for attribute, options in vocabulary(config).items():
        if len(options) == 1 or hits[attribute].isna().all():
            continue
        metrics[f"drawn_chance_{attribute}"] = 1 / len(options)
        for condition in sorted(samples["condition"].unique()):
            for which, part in (("heldout", unseen), ("seen", ~unseen)):
                own = hits[attribute][part & (samples["condition"] == condition).to_numpy()].dropna()
                metrics |= share_metrics(f"drawn_{condition}_{which}_{attribute}", int(own.sum()), len(own))
        metrics |= _gain_of_the_prior(attribute, samples[unseen], hits[attribute][unseen])
    return metrics


def attribute_hits(captions: pd.Series, readings: pd.DataFrame) -> pd.DataFrame:
    """Tell for each picture and attribute whether it is read as asked for; missing where nothing is asked."""
    asked = pd.DataFrame(
        [named_values(caption) for caption in captions], columns=list(SYNONYMS), dtype=object
    )
    hits = (readings[list(SYNONYMS)].reset_index(drop=True) == asked).astype("boolean")
    return hits.mask(asked.isna())


def samples_table(truth: pd.DataFrame, samples: pd.DataFrame, readings: pd.DataFrame) -> pd.DataFrame:
    """List each drawn picture with its caption and what the judge reads there."""
    table = samples[["sample", "uid", "condition", "caption"]].reset_index(drop=True)
    table["heldout_kind"] = truth.set_index("uid")["heldout_kind"].reindex(table["uid"]).to_numpy()
    table["judged"] = [
        " ".join(readings.at[place, name] for name in ATTRIBUTES[kind])
        for place, kind in enumerate(readings["kind"])
    ]
    table["missed"] = [
        " ".join(name for name, hit in row.items() if hit is False)
        for row in attribute_hits(samples["caption"], readings).astype(object).to_dict("records")
    ]
    return table


def score_bias_samples(
    bias_samples: pd.DataFrame, readings: pd.DataFrame, config: WorldConfig
) -> dict[str, int | float]:
    """Give what the judge reads on the sample audit's pictures: what the prompts name, shares of groups."""
    hits = attribute_hits(bias_samples["prompt"], readings)
    metrics: dict[str, int | float] = {}
    for attribute in ATTRIBUTES["avatar"]:
        own = hits[attribute].dropna()
        metrics |= share_metrics(f"bias_samples_{attribute}", int(own.sum()), len(own))
    for group in vocabulary(config)["group"]:
        count = int((readings["group"] == group).sum())
        metrics |= share_metrics(f"bias_samples_share_{group}", count, len(readings))
    return metrics


def _gain_of_the_prior(attribute: str, samples: pd.DataFrame, hits: pd.Series) -> dict[str, int | float]:
    """Compare the prior's embedding with the caption's own on the same captions, as a paired difference."""
    table = pd.DataFrame(
        {
            "uid": samples["uid"].to_numpy(),
            "condition": samples["condition"].to_numpy(),
            "hit": hits.to_numpy(object),
        }
    )
    by_way = table.dropna().pivot_table(index="uid", columns="condition", values="hit", aggfunc="mean")
    if not {"prior", "text"} <= set(by_way.columns) or len(by_way := by_way.dropna()) < 2:
        return {}
    gains = (by_way["prior"] - by_way["text"]).to_numpy(float)
    half = 1.96 * gains.std(ddof=1) / np.sqrt(len(gains))
    name, gain = f"drawn_gain_of_prior_{attribute}", float(gains.mean())
    return {name: gain, f"{name}_low": gain - half, f"{name}_high": gain + half, f"{name}_n": len(gains)}
