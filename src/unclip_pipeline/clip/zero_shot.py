"""What an encoder reads off pictures, told only the names of classes: measured on any captioned corpus.

The label of a picture is the one class of a set that its caption names. Nobody labels anything for it, and
captions that are wrong count against the encoder: what is measured is a lower bound.
"""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int

from unclip_pipeline.clip.encoder import Encoder
from unclip_pipeline.corpus.intervals import share_metrics
from unclip_pipeline.corpus.vectors import unit

ENSEMBLE = 32  # captions that each class is written into
NOT_NAMED = -1
PLACE = "{}"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ZeroShotConfig:
    """Sets of classes that captions tell apart. None: nothing is asked.

    A set is a list of words, each a class of its own, or maps classes to the phrases that name them; phrases at
    the same place of two lists should fit the same sentence. null leaves out a set or class of another
    environment. Without templates the corpus' own captions are the sentences.
    """

    sets: Any = (
        None  # Mapping[str, list[str] | Mapping[str, list[str] | None] | None], checked by `label_sets`
    )
    templates: Sequence[str] = field(default_factory=tuple)  # such as "a photo of a {}"

    def __post_init__(self) -> None:
        for template in self.templates:
            if template.count(PLACE) != 1:
                raise ValueError(
                    f"zero_shot.templates: each has one {PLACE} where the class is named, got {template!r}; "
                    'try "a photo of a {}"'
                )
        _ = self.label_sets  # checks them

    @cached_property
    def label_sets(self) -> "list[LabelSet]":
        """Read and check the sets."""
        given = {} if self.sets is None else self.sets
        if not isinstance(given, Mapping):
            raise ValueError(f"zero_shot.sets maps names of sets to their classes, got {given!r}")
        return [_label_set(name, classes) for name, classes in given.items() if classes is not None]


@dataclass(frozen=True)
class LabelSet:
    """Classes that exclude each other, each with the phrases that name it."""

    name: str
    phrases: dict[str, tuple[str, ...]]

    @cached_property
    def _named(self) -> dict[str, tuple[str, int]]:
        return {
            phrase.lower(): (name, place)
            for name, phrases in self.phrases.items()
            for place, phrase in enumerate(phrases)
        }

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self._named, key=len, reverse=True)  # "dark red" is not "red"
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)

    def class_of(self, caption: str) -> str | None:
        """Give the one class a caption names in whole words; None where it names none or several."""
        classes = {self._named[phrase.lower()][0] for phrase in self._pattern.findall(caption)}
        return classes.pop() if len(classes) == 1 else None

    def rewritten(self, caption: str, name: str) -> str:
        """Name another class in a caption, by the phrase at the place of the one that stands there."""
        phrases = self.phrases[name]
        return self._pattern.sub(
            lambda found: phrases[self._named[found[0].lower()][1] % len(phrases)], caption
        )

    def sentences(self, captions: Sequence[str], templates: Sequence[str]) -> dict[str, list[str]]:
        """Write each class into the templates, or else into captions that name one class."""
        if templates:
            return {
                name: [template.replace(PLACE, phrase) for template in templates for phrase in phrases]
                for name, phrases in self.phrases.items()
            }
        naming = [caption for caption in dict.fromkeys(captions) if self.class_of(caption)][:ENSEMBLE]
        return {name: [self.rewritten(caption, name) for caption in naming] for name in self.phrases}


class Question(NamedTuple):
    """One set asked of the pictures of a corpus; classes that no caption names are left out of the choice."""

    name: str
    labels: Int[
        np.ndarray, " n"
    ]  # places among the classes, NOT_NAMED where the caption names none or several
    sentences: list[list[str]]  # of each class
    unnamed: int  # classes left out


def questions(config: ZeroShotConfig, captions: Sequence[str]) -> list[Question]:
    """Make of each set a question on the pictures of these captions."""
    return [_question(label_set, captions, config.templates) for label_set in config.label_sets]


def _question(label_set: LabelSet, captions: Sequence[str], templates: Sequence[str]) -> Question:
    named = [label_set.class_of(caption) for caption in captions]
    classes = [name for name in label_set.phrases if name in named]
    unnamed = [name for name in label_set.phrases if name not in classes]
    if unnamed:
        logger.warning(
            "zero_shot.sets.%s: none of %d validation captions names %s alone; %s",
            label_set.name, len(captions), ", ".join(unnamed),
            "it is left out of the choice" if len(classes) > 1 else "the set is not measured",
        )  # fmt: skip
    labels = np.array([classes.index(name) if name else NOT_NAMED for name in named], np.int64)
    sentences = label_set.sentences(captions, templates)
    return Question(label_set.name, labels, [sentences[name] for name in classes], len(unnamed))


def answer(
    encoder: Encoder, images: Float32[np.ndarray, "n d"], asked: Sequence[Question]
) -> dict[str, int | float]:
    """Measure each question on unit vectors of the pictures: `zero_shot_<set>` with interval and n.

    Beside it `_chance` (what always saying the commonest class reaches), `_left_out` (pictures whose captions
    name no class or several) and `_unnamed` (classes that no caption names). Of a set with fewer than two
    classes only the counts are given, n being 0.
    """
    metrics: dict[str, int | float] = {}
    for question in asked:
        name, is_asked = f"zero_shot_{question.name}", question.labels != NOT_NAMED
        metrics |= _accuracy(encoder, images[is_asked], name, question, question.labels[is_asked])
        metrics |= {f"{name}_left_out": int((~is_asked).sum()), f"{name}_unnamed": question.unnamed}
    return metrics


def _accuracy(
    encoder: Encoder,
    images: Float32[np.ndarray, "n d"],
    name: str,
    question: Question,
    labels: Int[np.ndarray, " n"],
) -> dict[str, int | float]:
    if len(question.sentences) < 2:
        return share_metrics(name, 0, 0)
    centres = [
        unit(encoder.texts(sentences).float().cpu().numpy()).mean(0) for sentences in question.sentences
    ]
    said = (images @ unit(np.stack(centres)).T).argmax(1)
    chance = int(np.bincount(labels).max()) / len(labels)
    return share_metrics(name, int((said == labels).sum()), len(labels)) | {f"{name}_chance": chance}


def _label_set(name: str, given: Any) -> LabelSet:
    place = f"zero_shot.sets.{name}"
    if re.fullmatch(r"[a-z][a-z0-9_]*", str(name)) is None:
        raise ValueError(f"{place}: a set's name is lower-case letters, digits and _; it becomes a metric")
    if isinstance(given, str) or not isinstance(given, Mapping | Sequence):
        raise ValueError(f"{place} is a list of words or maps classes to their phrases, got {given!r}")
    if not isinstance(given, Mapping):
        if repeated := [word for word, times in Counter(map(str, given)).items() if times > 1]:
            raise ValueError(f"{place} has {repeated[0]!r} twice; drop one")
        given = {str(word): [word] for word in given}
    phrases = {
        str(word): _phrases(f"{place}.{word}", said) for word, said in given.items() if said is not None
    }
    if len(phrases) < 2:
        raise ValueError(f"{place} needs two classes or more, got {list(phrases)}; null leaves a set out")
    owners: dict[str, str] = {}
    for word, phrase in ((word, phrase.lower()) for word, said in phrases.items() for phrase in said):
        if phrase in owners:
            raise ValueError(
                f"{place}: {phrase!r} names {owners[phrase]!r} and {word!r}; a phrase names one class, once"
            )
        owners[phrase] = word
    return LabelSet(name, phrases)


def _phrases(place: str, given: Any) -> tuple[str, ...]:
    is_list = isinstance(given, Sequence) and not isinstance(given, str)
    if not is_list or not given or not all(isinstance(phrase, str) and phrase.strip() for phrase in given):
        raise ValueError(
            f"{place} needs a list of phrases, got {given!r}; put words that YAML reads as something else "
            'in quotes, such as "no" or "12"'
        )
    return tuple(given)
