"""The filters as one table of rules: every rule answers for every row, the first that fails is the fate."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unclip_pipeline.corpus.fates import KEPT, check_fates
from unclip_pipeline.corpus.intervals import share_metrics

RULES = (  # in the order in which they name the fate
    "caption_is_filename",
    "caption_too_short",
    "image_too_small",
    "image_blank",
    "unsafe",
    "watermark",
    "similarity_too_low",
)
CONCEPTS = ("unsafe", "watermark")
_FILENAME = re.compile(r"\S+\.(jpe?g|png|gif|webp|bmp|tiff?|avif|svg|ico)|https?://\S+", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """What a pair must be to pass. Evidence is in nats over chance (`corpus.vectors`)."""

    min_caption_words: int = 2
    min_side_px: int = 16
    min_contrast: float = 3.0  # standard deviation of a 16x16 grey thumbnail, of 255
    min_evidence: float = 1.0  # that the caption belongs to the image; e times likelier than by chance
    min_similarity: float = -1.0  # raw cosine of image and caption; -1 lets all pass
    drop_lowest_share: float = 0.0  # of the pairs that pass all other rules, by evidence
    unsafe_prompts: Sequence[str] = ()
    unsafe_words: Sequence[str] = ()  # whole words; a caption that has one says that the image shows it
    max_unsafe: float = 1.0  # evidence that the image shows any of the prompts
    watermark_prompts: Sequence[str] = ()
    watermark_words: Sequence[str] = ()
    max_watermark: float = 1.0
    bank_size: int = 4096  # random pairs that chance is measured on

    def __post_init__(self) -> None:
        if not 0 <= self.drop_lowest_share < 1:
            raise ValueError(f"filter.drop_lowest_share must lie in [0, 1), got {self.drop_lowest_share}")
        if not -1 <= self.min_similarity <= 1:
            raise ValueError(f"filter.min_similarity is a cosine in [-1, 1], got {self.min_similarity}")
        if self.bank_size < 2:
            raise ValueError(f"filter.bank_size must be at least 2, got {self.bank_size}; try 4096")
        for name in (f"{concept}_{kind}" for concept in CONCEPTS for kind in ("prompts", "words")):
            texts = getattr(self, name)
            if isinstance(texts, str) or not all(isinstance(text, str) and text for text in texts):
                raise ValueError(f"filter.{name} must be a list of texts, got {texts!r}")

    @property
    def prompts(self) -> dict[str, list[str]]:
        """List the prompts of each concept that has any."""
        return {name: list(prompts) for name in CONCEPTS if (prompts := getattr(self, f"{name}_prompts"))}

    @property
    def words(self) -> dict[str, list[str]]:
        """List the caption words of each concept that has any."""
        return {name: list(words) for name in CONCEPTS if (words := getattr(self, f"{name}_words"))}


def caption_words(captions: pd.Series) -> pd.Series:
    """Count words: runs of letters or digits in any script."""
    return captions.str.count(r"\w+").astype("int64")


def is_filename(captions: pd.Series) -> pd.Series:
    """Tell which captions are nothing but a file name or an address."""
    return captions.map(lambda caption: _FILENAME.fullmatch(caption.strip()) is not None).astype(bool)


def mentions(captions: pd.Series, words: Sequence[str]) -> pd.Series:
    """Tell which captions have any of the words, whole and in any case."""
    pattern = "|".join(re.escape(word.casefold()) for word in words)
    return captions.str.casefold().str.contains(rf"(?<!\w)(?:{pattern})(?!\w)", regex=True)


def judge(facts: pd.DataFrame, config: FilterConfig) -> pd.DataFrame:
    """Answer every rule for every row and name the fate.

    `facts` has one row per uid: caption, width, height, contrast, similarity, evidence, score_<concept>.
    """
    words = caption_words(facts["caption"])
    fails = pd.DataFrame(
        {
            "caption_is_filename": is_filename(facts["caption"]),
            "caption_too_short": words < config.min_caption_words,
            "image_too_small": facts[["width", "height"]].min(axis=1) < config.min_side_px,
            "image_blank": facts["contrast"] < config.min_contrast,
            **_concepts(facts, config),
        }
    ).astype(bool)
    passed = ~fails.any(axis="columns")
    too_low = (facts["evidence"] < config.min_evidence) | (facts["similarity"] < config.min_similarity)
    fails["similarity_too_low"] = too_low | _lowest(
        facts["evidence"], passed & ~too_low, config.drop_lowest_share
    )
    first = fails.idxmax(axis="columns").radd("filter.")
    scores = [name for name in facts if name.startswith("score_")]
    verdicts = pd.concat(
        [
            facts[["uid", "similarity", "evidence", "contrast"]],
            words.rename("caption_words"),
            facts[scores],
            fails.add_prefix("fails_"),
            first.where(fails.any(axis="columns"), KEPT).rename("fate"),
        ],
        axis="columns",
    )
    check_fates(verdicts["fate"])
    return verdicts.sort_values("uid", ignore_index=True)


def _concepts(facts: pd.DataFrame, config: FilterConfig) -> dict[str, pd.Series]:
    """Answer for each concept that has prompts or words: seen in the image, or said by the caption."""
    answers = {}
    for name in CONCEPTS:
        if name in config.prompts:
            answers[name] = facts[f"score_{name}"] > getattr(config, f"max_{name}")
        if name in config.words:
            said = mentions(facts["caption"], config.words[name])
            answers[name] = answers[name] | said if name in answers else said
    return answers


def _lowest(evidence: pd.Series, eligible: pd.Series, share: float) -> pd.Series:
    """Mark the lowest share of the eligible rows: exactly floor(share * n) of them, ties by row."""
    count = int(share * eligible.sum())
    lowest = np.argsort(evidence.where(eligible, np.inf).to_numpy(), kind="stable")[:count]
    marked = np.zeros(len(evidence), bool)
    marked[lowest] = True
    return pd.Series(marked, index=evidence.index)


def filter_metrics(verdicts: pd.DataFrame) -> dict[str, int | float]:
    """Count what the rules did: rows kept, rows by fate, and rows that each rule would drop by itself."""
    counts = verdicts["fate"].value_counts()
    kept = int(counts.get(KEPT, 0))
    return {
        **share_metrics("kept_share", kept, len(verdicts)),
        "kept": kept,
        **{f"dropped_{rule}": int(counts.get(f"filter.{rule}", 0)) for rule in RULES},
        **{name: int(verdicts[name].sum()) for name in verdicts if name.startswith("fails_")},
        "similarity_median": float(verdicts["similarity"].median()),
        "evidence_median": float(verdicts["evidence"].median()),
    }
