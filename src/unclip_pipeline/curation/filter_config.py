"""What a pair must be to pass the filters."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from unclip_pipeline.curation.concepts import Concept, check_number, check_texts, read_concepts
from unclip_pipeline.curation.languages import check_languages

BOILERPLATE = (
    "image", "picture", "photo", "untitled", "no title", "no caption", "no description", "no image",
    "no image available", "image not available", "image not found", "default image", "placeholder",
    "placeholder image", "thumbnail", "image for", "photo of the day", "picture of the day", "stock photo",
    "stock image", "stock vector", "stock illustration", "royalty free image", "view larger image",
)  # fmt: skip
BOILERPLATE_PATTERNS = (
    r"\b(click|tap) (here )?to (enlarge|zoom|view|expand)\b",
    r"\ball rights reserved\b",
    r"^\W*(image|photo|picture|slide|page|figure|fig) *(no\.?|#)? *\d+( of \d+)?\W*$",
)
RANKS = ("evidence", "similarity")


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """What a pair must be to pass; null switches a limit off. Evidence is in nats over chance.

    A score on the limit passes. `curation.rules` has the table of what each limit is a limit of.
    """

    min_caption_words: int | None = 2
    max_caption_words: int | None = 256
    max_caption_characters: int | None = 2000
    max_repeated_words: float | None = 0.6  # share of words that were there before
    max_repeated_pairs: float | None = 0.4  # share of neighbouring pairs of words that were there before
    max_character_run: int | None = 10  # "!!!!!!!!!!!"
    max_symbol_share: float | None = 0.7  # digits, punctuation and pictographs, of all that is not space
    max_control_characters: int | None = 0
    boilerplate: Sequence[str] = BOILERPLATE  # captions that are no more than this
    boilerplate_patterns: Sequence[str] = BOILERPLATE_PATTERNS  # regular expressions, anywhere in a caption
    languages: Sequence[str] = ()  # ISO 639 codes that pass; none: all
    min_language_probability: float = 0.5  # below it a language is unknown, as it is for most short captions
    keep_unknown_language: bool = True
    max_images_per_caption: int | None = None  # different images under one caption, case and spacing aside
    max_captions_per_image: int | None = None  # different captions of the very same file
    min_side_px: int | None = 16
    max_aspect: float | None = 3.0  # longer side over shorter
    min_contrast: float | None = 3.0  # standard deviation of a 16x16 grey thumbnail, of 255
    min_colour: float | None = None  # strongest channel less weakest, mean, of 255; 0 is grey
    max_text_density: float | None = None  # share of the area that looks like writing
    concepts: Mapping[str, Any] = field(default_factory=dict)  # name: settings of curation.concepts.Concept
    reference_captions: Sequence[str] = ()  # what the wanted images are like, in words
    reference_embeddings: str = ""  # or a folder of embeddings of such images, by the same CLIP
    reference_clusters: int = 0  # clusters of the corpus; 0: the square root of its size
    min_evidence: float | None = 1.0  # that the caption belongs to the image; e times likelier than by chance
    min_similarity: float | None = -1.0  # raw cosine of image and caption
    min_similarity_by_language: Mapping[str, float] = field(default_factory=dict)  # in place of the former
    rank_by: str = "evidence"  # or "similarity": what the two shares below go by
    top_fraction: float = 1.0  # of all pairs; the others fail
    drop_lowest_share: float = 0.0  # of the pairs that pass all other rules
    bank_size: int = 4096  # random pairs that chance is measured on

    def __post_init__(self) -> None:
        for name in (one.name for one in fields(self) if one.name.startswith(("min_", "max_"))):
            if name != "min_similarity_by_language" and getattr(self, name) is not None:
                check_number(getattr(self, name), f"filter.{name}")
        for name in ("boilerplate", "boilerplate_patterns", "languages", "reference_captions"):
            check_texts(getattr(self, name), f"filter.{name}")
        for pattern in self.boilerplate_patterns:
            _check_pattern(pattern)
        _check_languages(self.languages, self.min_similarity_by_language)
        _check_within("drop_lowest_share", self.drop_lowest_share, 0 <= self.drop_lowest_share < 1, "[0, 1)")
        _check_within("top_fraction", self.top_fraction, 0 < self.top_fraction <= 1, "(0, 1]")
        if self.max_aspect is not None and self.max_aspect < 1:
            raise ValueError(
                f"filter.max_aspect is the longer side over the shorter, at least 1, got {self.max_aspect}; "
                "try 3, or null for any"
            )
        if self.min_similarity is not None and not -1 <= self.min_similarity <= 1:
            raise ValueError(f"filter.min_similarity is a cosine in [-1, 1], got {self.min_similarity}")
        if self.rank_by not in RANKS:
            raise ValueError(f"filter.rank_by must be one of {RANKS}, got {self.rank_by!r}")
        if self.bank_size < 2:
            raise ValueError(f"filter.bank_size must be at least 2, got {self.bank_size}; try 4096")
        if self.reference_clusters < 0:
            raise ValueError(f"filter.reference_clusters must be 0 or more, got {self.reference_clusters}")
        read_concepts(self.concepts)

    @cached_property
    def active_concepts(self) -> dict[str, Concept]:
        """Build the concepts that are not left out."""
        return read_concepts(self.concepts)

    @property
    def prompts(self) -> dict[str, Sequence[str]]:
        """List the prompts whose evidence is a score, by the name of its column."""
        concepts = self.active_concepts
        seen = {f"score_{name}": one.prompts for name, one in concepts.items() if one.prompts}
        neutral = {f"neutral_{name}": one.neutral_prompts for name, one in concepts.items()}
        return seen | {name: prompts for name, prompts in neutral.items() if prompts}

    @property
    def min_references(self) -> int | None:
        """Ask for one reference in each image's cluster, if there is a reference set."""
        return 1 if self.reference_captions or self.reference_embeddings else None


def _check_within(name: str, value: float, holds: bool, interval: str) -> None:
    if not holds:
        raise ValueError(f"filter.{name} must lie in {interval}, got {value}")


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as fault:
        raise ValueError(
            f"filter.boilerplate_patterns takes regular expressions, {pattern!r} is none: {fault}"
        ) from fault


def _check_languages(languages: Sequence[str], limits: Any) -> None:
    if not isinstance(limits, Mapping):
        raise ValueError(f"filter.min_similarity_by_language maps codes to cosines, got {limits!r}")
    for code, limit in limits.items():
        check_number(limit, f"filter.min_similarity_by_language.{code}")
    if languages:
        check_languages(languages, "filter.languages")
    if limits:
        check_languages(limits, "filter.min_similarity_by_language")
