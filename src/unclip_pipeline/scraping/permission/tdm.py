"""Read reservations of text and data mining: TDM Reservation Protocol, W3C community group report of 2024.

A value of 1 reserves, 0 does not, anything else is a protocol error and counts as unset. In the file at
`/.well-known/tdmrep.json` the first rule whose location matches holds. A header holds over the file, and a
page's meta tags over both. Where the report leaves us the choice we hear a no: a file that is one rule
without its brackets and a value written as text count as meant. A policy may offer terms; nobody here
negotiates, so a reservation with a policy refuses like one without.
"""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from unclip_pipeline.scraping.answer import Evidence
from unclip_pipeline.scraping.permission.decision import PlainAnswer, evidence_of
from unclip_pipeline.scraping.permission.patterns import Pattern

FILE, HEADER, META = "tdmrep.json", "tdm-reservation", "meta tdm-reservation"
WELL_KNOWN = "/.well-known/tdmrep.json"
MAX_BYTES = 500 * 1024
_RULE = "tdmrep-2024/1"
_VALUES = {"0": "allowed", "1": "refused"}


class _Location(NamedTuple):
    pattern: Pattern
    decision: str
    raw: str


class TdmFile(NamedTuple):
    """The reservations of an origin; without rules, the reason why there are none."""

    where: str
    locations: tuple[_Location, ...]
    silence: str = ""

    @classmethod
    def read(cls, where: str, answer: PlainAnswer) -> "TdmFile":
        """Read an answer; whatever is no list of rules says nothing."""
        if answer.status is None or not 200 <= answer.status < 300:
            silence = "no answer" if answer.status is None else f"HTTP {answer.status}"
            return cls(where, (), silence)
        try:
            content = json.loads(answer.body[:MAX_BYTES].decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError) as fault:
            return cls(where, (), f"no JSON: {type(fault).__name__}")
        rules = [content] if isinstance(content, dict) else content
        if not isinstance(rules, list):
            return cls(where, (), "no list of rules")
        return cls(where, tuple(_locations(rules)))

    def evidence(self, path: str) -> Evidence:
        """Tell what the file says of a path spelled by `path_of`."""
        for location in self.locations:
            if location.pattern.matches(path):
                return evidence_of("host", self.where, FILE, location.raw, location.decision, _RULE)
        return evidence_of("host", self.where, FILE, self.silence or "no rule matches", "unknown", _RULE)


def header_evidence(where: str, reservations: list[str], policies: list[str]) -> Iterator[Evidence]:
    """Read the two headers of an answer; of several reservations, one refuses."""
    yield from _stated("answer", where, HEADER, reservations, policies)


def meta_evidence(where: str, metas: Iterable[tuple[str, str]]) -> Iterator[Evidence]:
    """Read the two meta tags of a page."""
    values: dict[str, list[str]] = {"tdm-reservation": [], "tdm-policy": []}
    for name, content in metas:
        values.get(name.strip().lower(), []).append(content)
    yield from _stated("page", where, META, values["tdm-reservation"], values["tdm-policy"])


def _stated(
    scope: str, where: str, signal: str, reservations: list[str], policies: list[str]
) -> Iterator[Evidence]:
    words = [word for value in reservations for word in _words(value)]
    if words:
        decisions = {_VALUES.get(word, "unknown") for word in words}
        decision = next(word for word in ("refused", "allowed", "unknown") if word in decisions)
        raw = " ".join([", ".join(words), *(f"policy {policy.strip()}" for policy in policies)])
        yield evidence_of(scope, where, signal, raw, decision, _RULE)


def _words(value: str) -> list[str]:
    return [word.strip(" \t\"'") for word in value.split(",")]


def _locations(rules: list[object]) -> Iterator[_Location]:
    for rule in rules:
        location = rule.get("location") if isinstance(rule, dict) else None
        if not isinstance(location, str) or not location:
            continue
        value = rule.get("tdm-reservation")
        word = str(value).strip() if isinstance(value, int | str) else ""
        pattern = location if location.startswith(("/", "*")) else f"/{location}"
        policy = f" policy {rule['tdm-policy']}" if rule.get("tdm-policy") else ""
        raw = f"{location} tdm-reservation {value}{policy}"
        yield _Location(Pattern.of(pattern), _VALUES.get(word, "unknown"), raw[:300])
