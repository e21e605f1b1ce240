"""Captions of the world: templates with synonyms and omissions, and a record of what each one names."""

import re
from typing import NamedTuple

import numpy as np

from unclip_pipeline.world.scenes import Scene

MAX_WORDS = 24

SYNONYMS: dict[str, dict[str, tuple[str, ...]]] = {
    "shape": {
        "circle": ("circle", "disc"),
        "square": ("square", "block"),
        "triangle": ("triangle",),
        "star": ("star",),
        "heart": ("heart",),
        "ring": ("ring", "hoop"),
    },
    "colour": {
        "red": ("red", "scarlet"),
        "blue": ("blue",),
        "yellow": ("yellow",),
        "green": ("green",),
        "purple": ("purple",),
        "turquoise": ("turquoise", "cyan"),
    },
    "size": {"large": ("large", "big"), "small": ("small", "little")},
    "position": {
        "left": ("on the left", "at the left"),
        "centre": ("in the middle", "in the centre"),
        "right": ("on the right", "at the right"),
    },
    "background": {
        "white": ("on a white background", "on plain white paper"),
        "night": ("on a night background", "in front of a dark night sky"),
        "striped": ("on a striped background", "in front of grey stripes"),
        "sunset": ("on a sunset background", "in front of a sunset sky"),
    },
    "style": {"flat": ("flat", "simple"), "outlined": ("outlined", "bold-rimmed")},
    "occupation": {
        "chef": ("chef", "cook"),
        "firefighter": ("firefighter",),
        "farmer": ("farmer",),
        "wizard": ("wizard",),
    },
    "group": {
        "amber": ("amber", "amber-skinned"),
        "teal": ("teal", "teal-skinned"),
        "violet": ("violet", "violet-skinned"),
    },
    "hair": {
        "short": ("with short hair", "short-haired"),
        "long": ("with long hair", "long-haired"),
    },
}

_PATTERNS = {
    attribute: {value: re.compile(rf"\b({'|'.join(phrases)})\b") for value, phrases in values.items()}
    for attribute, values in SYNONYMS.items()
}

NAMED_SHARES = {
    "shape": 0.98,
    "colour": 0.98,
    "size": 0.85,
    "position": 0.87,
    "background": 0.87,
    "style": 0.70,
    "occupation": 0.98,
    "group": 0.85,
    "hair": 0.80,
}

_OPENINGS = ("a picture of", "an image of", "a drawing of", "", "", "")
_HAZARDS = ("hazard sign", "danger sign", "hazard emblem")
_SIGNS = ("beside a road sign", "next to a road sign")
_WATERMARKS = ("with a watermark", "with a preview watermark")


class Caption(NamedTuple):
    """A caption and the attributes it names."""

    text: str
    named: tuple[str, ...]


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """Write a caption; the same generator state gives the same words."""
    return describe(scene, rng).text


def describe(scene: Scene, rng: np.random.Generator) -> Caption:
    """Write a caption and tell which attributes of the scene it names."""
    named = tuple(name for name in scene.attributes if rng.random() < NAMED_SHARES[name])
    return Caption(_written(scene, named, rng), named)


def describe_fully(scene: Scene, rng: np.random.Generator) -> str:
    """Write a caption that names every attribute."""
    return _written(scene, scene.attributes, rng)


def named_values(text: str) -> dict[str, str]:
    """Read from a caption or prompt which value of which attribute it names."""
    return {
        attribute: value
        for attribute, patterns in _PATTERNS.items()
        for value, pattern in patterns.items()
        if pattern.search(text)
    }


def _written(scene: Scene, named: tuple[str, ...], rng: np.random.Generator) -> str:
    words = {name: _pick(rng, SYNONYMS[name][getattr(scene, name)]) for name in named}
    noun = _NOUNS[scene.kind](words, rng)
    extras = [_pick(rng, _SIGNS)] if scene.beside_sign and rng.random() < 0.6 else []
    extras += [_pick(rng, _WATERMARKS)] if scene.watermark and rng.random() < 0.8 else []
    places = [words[name] for name in ("position", "background") if name in words]
    if len(places) == 2 and rng.random() < 0.3:
        places.reverse()
    return " ".join([*_opened(noun, rng), *places, *extras])


def _shape_noun(words: dict[str, str], rng: np.random.Generator) -> str:
    order = ("size", "style", "colour") if rng.random() < 0.5 else ("style", "size", "colour")
    parts = [words[name] for name in order if name in words]
    return " ".join([*parts, words.get("shape", "shape")])


def _avatar_noun(words: dict[str, str], rng: np.random.Generator) -> str:
    hair = words.get("hair", "")
    before, after = ("", hair) if hair.startswith("with") else (hair, "")
    noun = words.get("occupation", "person")
    return " ".join(part for part in (before, words.get("group", ""), noun, after) if part)


def _hazard_noun(words: dict[str, str], rng: np.random.Generator) -> str:
    return _pick(rng, _HAZARDS)


_NOUNS = {"shape": _shape_noun, "avatar": _avatar_noun, "hazard": _hazard_noun}


def _opened(noun: str, rng: np.random.Generator) -> list[str]:
    article = "an" if noun[0] in "aeiou" else "a"
    opening = _pick(rng, _OPENINGS)
    return [part for part in (opening, article, noun) if part]


def _pick(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(rng.random() * len(choices))]  # one draw, however many choices
