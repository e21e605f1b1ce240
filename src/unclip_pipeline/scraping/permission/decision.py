"""What is asked, what is answered, and what all signals together mean for a URL."""

from collections.abc import Iterable
from typing import NamedTuple

from unclip_pipeline.scraping.answer import Evidence
from unclip_pipeline.scraping.config import ScrapeConfig

TOKEN = "unclip_pipeline"  # our name in user agents and in the rules of owners
ROBOTS = "robots.txt"
NOBODY = "no answer"
_RAW_LENGTH = 300
_MINING = ("tdmrep.json", "tdm-reservation", "meta tdm-reservation")  # each holds over those before it
_ABOUT_USE = ("Content-Usage", "Content-Signal")


class PlainAnswer(NamedTuple):
    """An answer to a question about rules; status None means that nobody answered."""

    status: int | None
    headers: list[tuple[str, str]]
    body: bytes


class Decision(NamedTuple):
    """Whether to go on with a URL, and every signal that was read for it."""

    evidence: tuple[Evidence, ...]
    is_refused: bool
    crawl_delay_s: float | None = None
    fate: str | None = None  # of a URL that is refused
    reason: str = ""  # of a refusal, for the ledger


def evidence_of(scope: str, where: str, signal: str, raw: str, decision: str, rule: str) -> Evidence:
    """Write down a signal; text that no file could hold is replaced, long text cut."""
    where, raw = (" ".join(text.split()).encode("utf-8", "replace").decode() for text in (where, raw))
    return Evidence(scope, where, signal, raw[:_RAW_LENGTH], decision, rule)


def decide(
    evidence: Iterable[Evidence],
    config: ScrapeConfig,
    crawl_delay_s: float | None = None,
    *,
    is_last: bool = False,
) -> Decision:
    """Apply the policy to all signals of a URL; `is_last` when no further signal can come.

    One no refuses. A robots.txt that cannot be had forbids everything, as RFC 9309 has it. Where nobody said
    yes or no to our use, `when_unknown` decides; that robots.txt lets crawlers in is no word about use.
    """
    signals = tuple(evidence)
    in_force = [signal for signal in _unless_overruled(signals) if _is_obeyed(signal, config)]
    refused = [signal for signal in in_force if signal.decision == "refused"]
    unread = [signal for signal in in_force if signal.signal == ROBOTS and signal.decision == "unknown"]
    if refused:
        return _refusal(signals, crawl_delay_s, "scrape.opted_out", refused[0])
    if unread:
        is_gone = unread[0].raw == NOBODY
        fate = "scrape.connection_error" if is_gone else "scrape.permission_unknown"
        return _refusal(signals, crawl_delay_s, fate, unread[0])
    is_allowed = any(signal.decision == "allowed" and _is_about_use(signal) for signal in in_force)
    if is_last and config.when_unknown == "refuse" and not is_allowed:
        reason = "nobody said that this may be used (scrape.when_unknown: refuse)"
        return Decision(signals, True, crawl_delay_s, "scrape.permission_unknown", reason)
    return Decision(signals, False, crawl_delay_s)


def _refusal(
    signals: tuple[Evidence, ...], crawl_delay_s: float | None, fate: str, signal: Evidence
) -> Decision:
    reason = f"{signal.signal}: {signal.raw} ({signal.where})"
    return Decision(signals, True, crawl_delay_s, fate, reason)


def _unless_overruled(signals: tuple[Evidence, ...]) -> list[Evidence]:
    """Leave out reservations that a nearer one overrules; one that says nothing overrules nothing."""
    stated = {signal.signal for signal in signals if signal.decision != "unknown"}
    nearest = next((name for name in reversed(_MINING) if name in stated), None)
    return [signal for signal in signals if signal.signal not in _MINING or signal.signal == nearest]


def _is_obeyed(signal: Evidence, config: ScrapeConfig) -> bool:
    if signal.signal == ROBOTS:
        return config.respect_robots
    return config.refuse_tdm_reservation or signal.signal not in _MINING


def _is_about_use(signal: Evidence) -> bool:
    return signal.signal in _MINING or signal.signal.endswith(_ABOUT_USE)
