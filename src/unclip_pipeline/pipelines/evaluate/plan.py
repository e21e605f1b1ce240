"""Which captions are drawn, and which pictures they are held against."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.seeds import seeded_numpy

LEAST_PROMPTS = 16

Rows = Int[np.ndarray, "_"]


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """How much is drawn, and how it is measured."""

    heldout_prompts: int = 240  # drawn in three ways; at most half of the held-out pictures
    seen_prompts: int = 60  # captions of training pictures, drawn with the prior
    retrieval_among: int = 50  # candidates; chance is one in that many
    neighbours: int = 5  # k of precision, recall, density, coverage
    copies_false_positive_rate: float = 0.02  # of pictures that cannot be copies
    copies_side_px: int = 32  # size at which pixels are compared
    seen_references: int = 400  # training pictures that stand for "no copy" beside the seen prompts
    batch_size: int = 80
    guidance_prompts: int = (
        60  # of the held-out ones, drawn once more at every scale of the decoder's guidance
    )
    guidance_scales: Sequence[float] = (1.0, 1.5, 2.0, 3.0, 5.0)

    def __post_init__(self) -> None:
        if self.heldout_prompts < LEAST_PROMPTS or self.seen_prompts < LEAST_PROMPTS:
            raise ValueError(
                f"evaluate.heldout_prompts and evaluate.seen_prompts must be at least {LEAST_PROMPTS}, got "
                f"{self.heldout_prompts} and {self.seen_prompts}; fewer tell nothing"
            )
        if self.guidance_prompts < LEAST_PROMPTS or len(set(self.guidance_scales)) < 2:
            raise ValueError(
                f"evaluate.guidance_prompts must be at least {LEAST_PROMPTS} and evaluate.guidance_scales two or "
                f"more, got {self.guidance_prompts} and {self.guidance_scales}; a sweep compares"
            )
        if not 0 < self.copies_false_positive_rate < 0.5:
            raise ValueError(
                "evaluate.copies_false_positive_rate must lie between 0 and 0.5, got "
                f"{self.copies_false_positive_rate}; 0.02 is usual"
            )
        if self.copies_side_px % 4:
            raise ValueError(f"evaluate.copies_side_px must be a multiple of 4, got {self.copies_side_px}")


class Plan(NamedTuple):
    """Rows of the dataset version; no row is in two of them."""

    heldout: Rows  # their captions are drawn, in three ways
    others: Rows  # as many held-out pictures: what drawn and true ones are held against
    seen: Rows  # training rows whose captions are drawn
    seen_references: Rows  # training rows that look for neighbours beside themselves


def make_plan(dataset: Dataset, config: EvaluateConfig, *, seed: int) -> Plan:
    """Draw the rows; the same dataset version, config and seed give the same plan."""
    random = seeded_numpy(seed, "evaluate", "plan")
    heldout, train = (random.permutation(dataset.rows(split)) for split in ("heldout", "train"))
    count = min(config.heldout_prompts, len(heldout) // 2)
    seen = min(config.seen_prompts, len(train) // 2)
    if count < LEAST_PROMPTS or seen < LEAST_PROMPTS:
        raise ValueError(
            f"an evaluation needs {2 * LEAST_PROMPTS} held-out and as many training pictures, got "
            f"{len(heldout)} and {len(train)}; raise the share that is held out, or give more URLs"
        )
    return Plan(
        heldout=heldout[:count],
        others=heldout[count : 2 * count],
        seen=train[:seen],
        seen_references=train[seen : seen + config.seen_references],
    )
