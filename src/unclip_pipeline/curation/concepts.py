"""A concept that pairs are dropped for: what shows it, what says it, and how sure is sure enough."""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

WORLDWIDE = ("unsafe", "watermark")  # whose fates bear their bare names
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Concept:
    """An image is taken to show a concept when both limits are passed, or its caption has a word."""

    prompts: Sequence[str] = ()
    words: Sequence[str] = ()  # whole words; a caption that has one says that the image shows it
    max_evidence: float = 1.0  # that the image shows any of the prompts, in nats over chance
    neutral_prompts: Sequence[str] = ()  # what is easily taken for it
    min_margin: float = 0.0  # of the evidence for the prompts over that for the neutral ones


def concept_rule(name: str) -> str:
    """Name the rule of a concept; its fate is `filter.<rule>`."""
    return name if name in WORLDWIDE else f"concept_{name}"


def read_concepts(given: Any) -> dict[str, Concept]:
    """Build concepts from nested settings; null leaves out one that another environment has.

    Every error names its place, such as filter.concepts.unsafe.max_evidence.
    """
    if not isinstance(given, Mapping):
        raise ValueError(f"filter.concepts maps names to settings, got {given!r}")
    for name in given:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"filter.concepts: a name is lower-case letters, digits and _, got {name!r}; it becomes a fate"
            )
    return {name: _concept(name, settings) for name, settings in given.items() if settings is not None}


def _concept(name: str, settings: Any) -> Concept:
    place = f"filter.concepts.{name}"
    if not isinstance(settings, Mapping):
        raise ValueError(f"{place} takes settings such as {{prompts: [a sign]}}, got {settings!r}")
    known = [field.name for field in fields(Concept)]
    for key in settings:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {known}"
            raise ValueError(f"{place}.{key} is no setting of a concept; {hint}")
    for key in ("prompts", "words", "neutral_prompts"):
        check_texts(settings.get(key, ()), f"{place}.{key}")
    for key in ("max_evidence", "min_margin"):
        check_number(settings.get(key, 0.0), f"{place}.{key}")
    if not settings.get("prompts") and not settings.get("words"):
        raise ValueError(f"{place} needs prompts or words to be seen or said by; null leaves the concept out")
    if settings.get("neutral_prompts") and not settings.get("prompts"):
        raise ValueError(f"{place}.neutral_prompts needs prompts that it is the contrast to")
    return Concept(**settings)


def check_texts(texts: Any, place: str) -> None:
    """Raise unless this is a list of texts."""
    is_list = isinstance(texts, Sequence) and not isinstance(texts, str)
    if not is_list or not all(isinstance(text, str) and text for text in texts):
        raise ValueError(f"{place} must be a list of texts, got {texts!r}")


def check_number(value: Any, place: str) -> None:
    """Raise unless this is a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ValueError(f"{place} must be a number, got {value!r}")
