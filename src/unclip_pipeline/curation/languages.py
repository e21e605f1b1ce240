"""The language of a caption, by the model that py3langid brings along: no network, no download."""

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

UNKNOWN = "unknown"


class LanguageGuess(NamedTuple):
    """The likeliest language (ISO 639 code) and how likely it is among all the model knows."""

    language: str
    language_probability: float


def guess_language(caption: str) -> LanguageGuess:
    """Guess the language of a caption; a short one gets a low probability."""
    return LanguageGuess(*_identifier().classify(caption))


def known_languages() -> list[str]:
    """List the codes that the model can answer."""
    return sorted(_identifier().labels)


def check_languages(codes: Iterable[str], field: str) -> None:
    """Raise if a code is none of the model's, naming the field of the configuration."""
    unknown = sorted(set(codes) - set(known_languages()) - {UNKNOWN})
    if unknown:
        raise ValueError(
            f"{field} takes ISO 639 codes such as en, de, zh, got {unknown}; known are {known_languages()}"
        )


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
