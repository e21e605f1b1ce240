"""What is learned on the way to a URL's body, for the row that is written whatever becomes of it."""

from unclip_pipeline.scraping.clock import Clock
from unclip_pipeline.scraping.failure import ScrapeFailure
from unclip_pipeline.scraping.permission import Decision
from unclip_pipeline.scraping.transport import Address


class Journey:
    """One URL's way, from its first request to its body or failure."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.attempts = 0
        self.hops = 0
        self.bytes_read = 0
        self.http_status: int | None = None
        self.decision = Decision((), is_refused=False)
        self._final_url = ""

    @property
    def elapsed_ms(self) -> int:
        return round(1000 * self.clock.elapsed_s)

    def set_out(self) -> None:
        """Begin at the first address, for the first time or again."""
        self.attempts += 1
        self.hops = -1
        self.decision = Decision((), is_refused=False)

    def arrive(self, address: Address) -> None:
        """Come to the next address."""
        self.hops += 1
        self._final_url = address.url
        self.http_status = None

    def heed(self, decision: Decision, *, is_new_host: bool = False) -> None:
        """Add what was said about permission; raise ScrapeFailure if it is a no."""
        before = self.decision.evidence if is_new_host else ()
        self.decision = decision._replace(evidence=(*before, *decision.evidence))
        if decision.is_refused:
            raise ScrapeFailure(decision.fate or "scrape.opted_out", decision.reason)

    def ended(self, failure: ScrapeFailure) -> ScrapeFailure:
        """Complete a failure with what was learned, and let go of what it holds."""
        if failure.http_status is None:
            failure.http_status = self.http_status
        failure.final_url = self._final_url
        failure.attempts = self.attempts
        failure.elapsed_ms = self.elapsed_ms
        failure.bytes_read = self.bytes_read
        failure.evidence = self.decision.evidence
        return failure.let_go()
