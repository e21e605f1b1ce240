"""What is asked, what is answered, and what that means for a URL."""

from typing import NamedTuple

from unclip_pipeline.scraping.answer import Evidence

TOKEN = "unclip_pipeline"  # our name in user agents and in the rules of owners


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
    fate: str | None = None  # of a URL that is refused: opted_out, rules_unknown or connection_error
    reason: str = ""  # of a refusal, for the ledger
