"""Read robots.txt (RFC 9309); Protego matches the rules of the group that is ours.

A group is ours by our name in any case, with or without a version; without one, the groups of `*` hold. An
answer of 4xx, or redirects without end, means that there are no rules. A server that fails, says 429 or
cannot be reached forbids everything until it answers. Rules about use stand in the same groups: the
longest path that matches holds, the stricter of two that are equal; what may not be crawled has no use.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from protego import Protego

from unclip_pipeline.scraping.answer import Evidence
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.permission.decision import NOBODY, ROBOTS, TOKEN, PlainAnswer, evidence_of
from unclip_pipeline.scraping.permission.patterns import matches, spelled
from unclip_pipeline.scraping.permission.usage import RULES, SIGNAL, USAGE, usage_decision

MAX_BYTES = 500 * 1024
_AGENT = re.compile(r"user[- ]?agent")
_NAME = re.compile(r"[a-z_*-]+")
_OURS = (TOKEN, TOKEN.replace("_", "-"))
_RULE = "rfc9309/1"
_KINDS = {USAGE.lower(): USAGE, SIGNAL.lower(): SIGNAL}
_NO_TRAINING = "disallowaitraining"  # draft-canel-robots-ai-control-00


class _Line(NamedTuple):
    field: str
    value: str
    raw: str


class RobotsTxt:
    """The rules of one origin for us."""

    def __init__(self, where: str, answer: PlainAnswer) -> None:
        self.where = where
        status = answer.status
        self.is_unreachable = status is None or status >= 500 or status < 200 or status == 429
        has_rules = status is not None and 200 <= status < 300
        self._lines = _our_lines(_text(answer.body)) if has_rules else []
        self._protego = Protego.parse("\n".join(["User-agent: *", *(line.raw for line in self._lines)]))
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
            yield evidence_of("host", self.where, ROBOTS, self._silence, "unknown", _RULE)
            return
        is_allowed = self.allows(path)
        raw = self._longest(path, "allow" if is_allowed else "disallow") or self._silence
        yield evidence_of("host", self.where, ROBOTS, raw, "allowed" if is_allowed else "refused", _RULE)
        if is_allowed:
            yield from self._use(path, config)

    def _longest(self, path: str, field: str) -> str | None:
        """Find the line that decided, for the record."""
        lines = [line for line in self._lines if line.field == field and line.value]
        found = [line for line in lines if matches(line.value, path)]
        return max(found, key=lambda line: len(line.value)).raw if found else None

    def _use(self, path: str, config: ScrapeConfig) -> Iterator[Evidence]:
        for kind, signal in _KINDS.items():
            rules = [(*_split(line.value), line.raw) for line in self._lines if line.field == kind]
            found = [rule for rule in rules if matches(rule[0], path)]
            longest = max((len(spelled(pattern)) for pattern, _, _ in found), default=0)
            for pattern, statement, raw in found:
                if len(spelled(pattern)) == longest:
                    decision = usage_decision(signal, statement, config.refused_usages)
                    yield evidence_of("host", self.where, f"{ROBOTS} {signal}", raw, decision, RULES[signal])
        for line in self._lines if config.refused_usages else ():
            if line.field == _NO_TRAINING and line.value and matches(line.value, path):
                signal = f"{ROBOTS} DisallowAITraining"
                yield evidence_of("host", self.where, signal, line.raw, "refused", "robots-ai-control-00/1")


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


def _split(value: str) -> tuple[str, str]:
    """Split a rule about use into path and statement; early drafts let the path of a whole host out."""
    if not value.startswith(("/", "*/")):
        return "/", value
    path, *statement = value.split(maxsplit=1)
    return path, statement[0] if statement else ""
