"""Ask each origin once for its rules, and apply them to every URL of it."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple
from urllib.parse import urlsplit

from unclip_pipeline.scraping.answer import Evidence
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.permission import robots_tags, tdm, usage
from unclip_pipeline.scraping.permission.decision import Decision, PlainAnswer, decide, evidence_of
from unclip_pipeline.scraping.permission.patterns import path_of
from unclip_pipeline.scraping.permission.robots_txt import RobotsTxt

RULES_KEPT_S = 24 * 3600.0  # RFC 9309, 2.4
FAILURE_KEPT_S = 300.0  # a server that failed is asked again after a while
MAX_ORIGINS = 20_000  # about 2 kB each; the least recently used are forgotten, and asked again
MAX_RULES = 100_000  # of all origins, about 700 bytes each


class _Rules(NamedTuple):
    robots: RobotsTxt
    mining: tdm.TdmFile

    @property
    def count(self) -> int:
        return self.robots.rule_count + len(self.mining.locations)


@dataclass
class _Origin:
    """What is known of an origin, and the lock of whoever is asking it."""

    lock: Lock = field(default_factory=Lock)
    rules: _Rules | None = None
    rule_count: int = 0
    expires_s: float = 0.0


class Permission:
    """One per process; its methods may be called from many threads.

    `get` asks for a file of rules: it follows up to five redirects, reads at least 500 KiB, and gives
    status None where the network fails. It is called once per file and origin, while other threads that
    need the same rules wait.
    """

    def __init__(
        self,
        config: ScrapeConfig,
        get: Callable[[str], PlainAnswer],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._get = get
        self._clock = clock
        self._lock = Lock()
        self._origins: OrderedDict[str, _Origin] = OrderedDict()
        self._rule_count = 0

    def may_ask(self, url: str) -> Decision:
        """Decide by the rules of a URL's origin; the first URL of an origin fetches them."""
        rules = self._rules(_origin_of(url))
        path = path_of(url)
        signals = [*rules.robots.evidence(path, self._config), rules.mining.evidence(path)]
        return decide(signals, self._config, rules.robots.crawl_delay_s)

    def may_follow(self, url: str, headers: list[tuple[str, str]], so_far: Decision) -> Decision:
        """Decide by the headers of a redirect: a refusal ends the way, silence does not."""
        signals = (*so_far.evidence, *answer_evidence(url, headers, self._config))
        return decide(signals, self._config, so_far.crawl_delay_s)

    def may_keep(self, url: str, headers: list[tuple[str, str]], so_far: Decision) -> Decision:
        """Decide by an answer's headers and by all that was known before, under the policy."""
        found = answer_evidence(url, headers, self._config)
        if not found:
            found = [evidence_of("answer", url, "none", "", "unknown", "policy/1")]
        return decide((*so_far.evidence, *found), self._config, so_far.crawl_delay_s, is_last=True)

    def _rules(self, name: str) -> _Rules:
        with self._lock:
            origin = self._origins.setdefault(name, _Origin())
            self._origins.move_to_end(name)
        with origin.lock:
            if origin.rules is None or self._clock() >= origin.expires_s:
                origin.rules = self._ask(name)
                kept_s = FAILURE_KEPT_S if origin.rules.robots.is_unreachable else RULES_KEPT_S
                origin.expires_s = self._clock() + kept_s
                self._make_room(name, origin, origin.rules.count)
            return origin.rules

    def _make_room(self, name: str, origin: _Origin, rule_count: int) -> None:
        """Count the rules of an origin, and forget the least recently used ones while there are too many."""
        with self._lock:
            if self._origins.get(name) is origin:
                self._rule_count += rule_count - origin.rule_count
                origin.rule_count = rule_count
            while len(self._origins) > 1 and self._is_full():
                _, forgotten = self._origins.popitem(last=False)
                self._rule_count -= forgotten.rule_count

    def _is_full(self) -> bool:
        return len(self._origins) > MAX_ORIGINS or self._rule_count > MAX_RULES

    def _ask(self, name: str) -> _Rules:
        """Ask for robots.txt, and for reservations where it lets us."""
        where = f"{name}/robots.txt"
        robots = RobotsTxt(where, self._get(where))
        where = name + tdm.WELL_KNOWN
        if self._config.respect_robots and not robots.allows(tdm.WELL_KNOWN):
            return _Rules(robots, tdm.TdmFile(where, (), "not asked: robots.txt"))
        return _Rules(robots, tdm.TdmFile.read(where, self._get(where)))


def answer_evidence(where: str, headers: list[tuple[str, str]], config: ScrapeConfig) -> list[Evidence]:
    """Read every signal in an answer's headers."""
    named: dict[str, list[str]] = {}
    for name, value in headers:
        named.setdefault(name.strip().lower(), []).append(value)
    statements = {kind: named.get(kind.lower(), []) for kind in usage.RULES}
    return [
        *robots_tags.header_evidence(where, named.get("x-robots-tag", []), config.refused_directives),
        *tdm.header_evidence(where, named.get("tdm-reservation", []), named.get("tdm-policy", [])),
        *usage.header_evidence(where, statements, config.refused_usages),
    ]


def page_decision(
    metas: list[tuple[str, str]], headers: list[tuple[str, str]], where: str, config: ScrapeConfig
) -> Decision:
    """Decide whether what a page shows may be used, by its meta tags (name, content) and its headers.

    A page that says nothing is not refused: its pictures have answers of their own.
    """
    signals = [
        *answer_evidence(where, headers, config),
        *robots_tags.meta_evidence(where, metas, config.refused_directives),
        *tdm.meta_evidence(where, metas),
    ]
    return decide(signals, config)


def _origin_of(url: str) -> str:
    """Name the origin of a URL: scheme, host and port."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}".lower()
