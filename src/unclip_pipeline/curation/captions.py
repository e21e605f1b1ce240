"""What a caption says of itself, without any model: lengths, repetition, symbols, phrases."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

import pandas as pd

_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # written without spaces: each is a word
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|[^\W{_IDEOGRAPHS}]+")
_FILENAME = re.compile(r"\S+\.(jpe?g|png|gif|webp|bmp|tiff?|avif|svg|ico)|https?://\S+", re.IGNORECASE)
_CONTROL = frozenset({"Cc", "Cn", "Co", "Cs"})  # not Cf: joiners belong to emoji and to Indic scripts
_REPLACEMENT = "\ufffd"  # what a wrong decoding leaves behind


class CaptionMeasures(NamedTuple):
    """Numbers of one caption; shares lie in [0, 1]."""

    caption_is_filename: bool  # nothing but a file name or an address
    caption_words: int
    caption_characters: int
    repeated_words: float  # share of words that were there before
    repeated_pairs: float  # share of neighbouring pairs of words that were there before
    character_run: int  # the longest run of one character
    symbol_share: float  # of what is not space: neither letter nor a mark on one
    control_characters: int


def measure_caption(caption: str) -> CaptionMeasures:
    """Measure one caption."""
    words = _WORD.findall(caption.casefold())
    inked = [unicodedata.category(letter) for letter in caption if not letter.isspace()]
    return CaptionMeasures(
        is_filename(caption),
        len(words),
        len(caption.strip()),
        _repeated(words),
        _repeated(list(pairwise(words))),
        max((len(list(run)) for letter, run in groupby(caption) if not letter.isspace()), default=0),
        sum(kind[0] not in "LM" for kind in inked) / len(inked) if inked else 0.0,
        sum(kind in _CONTROL for kind in inked) + caption.count(_REPLACEMENT),
    )


def is_filename(caption: str) -> bool:
    """Tell whether a caption is nothing but a file name or an address."""
    return _FILENAME.fullmatch(caption.strip()) is not None


def mentions(captions: pd.Series, words: Sequence[str]) -> pd.Series:
    """Tell which captions have any of the words, whole and in any case."""
    pattern = "|".join(re.escape(word.casefold()) for word in words)
    return captions.str.casefold().str.contains(rf"(?<!\w)(?:{pattern})(?!\w)", regex=True)


def is_boilerplate(captions: pd.Series, phrases: Sequence[str], patterns: Sequence[str]) -> pd.Series:
    """Tell which captions are one of the phrases and no more, or have any of the patterns in them.

    Case, spacing and punctuation around the words do not count for phrases; patterns are regular
    expressions that ignore case.
    """
    exact = {_bare(phrase) for phrase in phrases}
    search = re.compile("|".join(f"(?:{pattern})" for pattern in patterns) or r"(?!)", re.IGNORECASE)
    answers = {
        caption: _bare(caption) in exact or search.search(caption) is not None
        for caption in captions.unique()
    }
    return captions.map(answers).astype(bool)


def normalised(captions: pd.Series) -> pd.Series:
    """Write captions alike that differ in case and spacing alone."""
    return captions.str.casefold().str.split().str.join(" ")


def _bare(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def _repeated(items: Sequence[object]) -> float:
    return 1 - len(Counter(items)) / len(items) if items else 0.0
