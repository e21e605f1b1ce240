"""Read robots.txt (RFC 9309); Protego matches the rules of the group that is ours.

A group is ours by our name in any case, with or without a version; without one, the groups of `*` hold. An
answer of 4xx, or a redirect to nowhere, means that there are no rules. A server that fails, says 429, sends
us in circles or cannot be reached forbids everything until it answers. Rules about use stand in the same
groups: the longest path that matches holds, the stricter of two that are equal; what may not be crawled has
no use.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from protego import Protego

from unclip_pipeline.scraping.answer import Evidence
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.permission.decision import NOBODY, ROBOTS, TOKEN, PlainAnswer, evidence_of
from unclip_pipeline.scraping.permission.patterns import Pattern
from unclip_pipeline.scraping.permission.usage import RULES, SIGNAL, USAGE, usage_decision

MAX_BYTES = 500 * 1024
_AGENT = re.compile(r"user[- ]?agent")
_NAME = re.compile(r"[a-z_*-]+")
_OURS = (TOKEN, TOKEN.replace("_", "-"))
_RFC = "rfc9309/1"
_KINDS = {USAGE.lower(): USAGE, SIGNAL.lower(): SIGNAL}
_NO_TRAINING = "disallowaitraining"  # draft-canel-robots-ai-control-00
_ABOUT_USE = frozenset({*_KINDS, _NO_TRAINING})
_FIELDS = _ABOUT_USE | {"allow", "disallow"}


class _Line(NamedTuple):
    field: str
    value: str
    raw: str


class _Rule(NamedTuple):
    field: str
    pattern: Pattern
    statement: str
    raw: str


class RobotsTxt:
    """The rules of one origin for us."""

    def __init__(self, where: str, answer: PlainAnswer) -> None:
        self.where = where
        status = answer.status
        self.is_unreachable = status is None or status >= 500 or status < 200 or status == 429
        has_rules = status is not None and 200 <= status < 300
        lines = _our_lines(_text(answer.body)) if has_rules else []
        self.rule_count = len(lines)
        self._rules = [_rule(line) for line in lines if line.value and line.field in _FIELDS]
        self._protego = Protego.parse("\n".join(["User-agent: *", *(line.raw for line in lines)]))
        self._silence = NOBODY if status is None else "no rule matches" if has_rules else f"HTTP {status}"

    @property
    def crawl_delay_s(self) -> float | None:
        """Give the pause that the owner asks for between requests."""
        return self._protego.crawl_delay(TOKEN)

    def allows(self, path: str) -> bool:
        """Tell whether a path, spelled by `path_of`, may be asked for."""
        return not self.is_unreachable and self._protego.can_fetch(f"http://host{path}", TOKEN)

    def evidence(self, path: str, config: ScrapeConfig) -> Iterator[Evidence]:
        """Tell what the file says of a path: whether it may be asked for, and then, how it may be used."""
        if self.is_unreachable:
            yield evidence_of("host", self.where, ROBOTS, self._silence, "unknown", _RFC)
            return
        is_allowed = self.allows(path)
        raw = self._longest(path, "allow" if is_allowed else "disallow") or self._silence
        yield evidence_of("host", self.where, ROBOTS, raw, "allowed" if is_allowed else "refused", _RFC)
        if is_allowed:
            yield from self._use(path, config)

    def _longest(self, path: str, field: str) -> str | None:
        """Find the line that decided, for the record."""
        found = [rule for rule in self._rules if rule.field == field and rule.pattern.matches(path)]
        return max(found, key=lambda rule: rule.pattern.length).raw if found else None

    def _use(self, path: str, config: ScrapeConfig) -> Iterator[Evidence]:
        found = [rule for rule in self._rules if rule.field in _ABOUT_USE and rule.pattern.matches(path)]
        for field, signal in _KINDS.items():
            rules = [rule for rule in found if rule.field == field]
            longest = max((rule.pattern.length for rule in rules), default=0)
            for rule in rules:
                if rule.pattern.length == longest:
                    decision = usage_decision(signal, rule.statement, config.refused_usages)
                    name = f"{ROBOTS} {signal}"
                    yield evidence_of("host", self.where, name, rule.raw, decision, RULES[signal])
        for rule in found if config.refused_usages else ():
            if rule.field == _NO_TRAINING:
                name = f"{ROBOTS} DisallowAITraining"
                yield evidence_of("host", self.where, name, rule.raw, "refused", "robots-ai-control-00/1")


def _text(body: bytes) -> str:
    """Decode what the size limit leaves, in whole lines."""
    if len(body) > MAX_BYTES:
        body = body[:MAX_BYTES].rpartition(b"\n")[0]
    return body.decode("utf-8-sig", "replace")


def _our_lines(text: str) -> list[_Line]:
    """Collect the lines of every group in our name, or of every group for all."""
    groups: dict[str, list[_Line]] = {}
    names: list[str] = []
    is_naming = False
    for line in text.splitlines():
        raw = line.partition("#")[0].strip()
        field, _, value = (piece.strip() for piece in raw.partition(":"))
        field = field.lower()
        if _AGENT.fullmatch(field):
            name = _NAME.match(value.lower())
            names = [*(names if is_naming else []), name[0] if name else ""]
            groups.setdefault(names[-1], [])
            is_naming = True
        elif raw and field != "sitemap":
            is_naming = False
            for name in dict.fromkeys(names):
                groups[name].append(_Line(field, value, raw))
    ours = [line for name in _OURS for line in groups.get(name, ())]
    return ours if any(name in groups for name in _OURS) else groups.get("*", [])


def _rule(line: _Line) -> _Rule:
    """Split a rule into path and statement; early drafts of those about use let the path of a whole host out."""
    if line.field not in _KINDS:
        return _Rule(line.field, Pattern.of(line.value), "", line.raw)
    if not line.value.startswith(("/", "*/")):
        return _Rule(line.field, Pattern.of("/"), line.value, line.raw)
    path, *statement = line.value.split(maxsplit=1)
    return _Rule(line.field, Pattern.of(path), statement[0] if statement else "", line.raw)
