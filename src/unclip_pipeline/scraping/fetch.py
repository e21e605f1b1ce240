"""Fetch the bytes behind a URL: bounded in time, size and redirects, and only where the owner lets us."""

import io
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import urllib3

from unclip_pipeline.corpus.fates import is_fate
from unclip_pipeline.scraping.answer import Body
from unclip_pipeline.scraping.clock import Clock
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.failure import ScrapeFailure
from unclip_pipeline.scraping.in_flight import SMALL_BYTES, LargeBodies, Permit
from unclip_pipeline.scraping.journey import Journey
from unclip_pipeline.scraping.permission import Permission
from unclip_pipeline.scraping.politeness import Turn, Turns
from unclip_pipeline.scraping.retries import PASSING_STATUSES, pause_s, read_retry_after
from unclip_pipeline.scraping.rule_files import RuleFiles
from unclip_pipeline.scraping.takedowns import NO_TAKEDOWNS, TAKEN_DOWN, Takedowns
from unclip_pipeline.scraping.transport import (
    Address,
    Transport,
    announced_bytes,
    plain_headers,
    read_address,
    redirected_to,
)

CHUNK = 64 * 1024
Row = TypeVar("Row")


class Fetcher:
    """One per process; its methods may be called from many threads."""

    def __init__(self, config: ScrapeConfig, takedowns: Takedowns = NO_TAKEDOWNS) -> None:
        self._config, self._takedowns = config, takedowns
        self._transport = Transport(config)
        self._turns = Turns(config.per_host_connections, config.per_host_delay_s)
        self._rule_files = RuleFiles(self._transport, self._turns, config)
        self._permission = Permission(config, self._rule_files.get)
        self._large_bodies = LargeBodies(config.max_bytes)

    def in_turn(self, rows: Iterable[Row], url_of: Callable[[Row], str | None]) -> Iterator[Row]:
        """Yield rows as their hosts have room for them; each row with a URL must be fetched then.

        Rows without one come at once. So no thread waits in line for a host that others keep busy.
        """
        return self._turns.in_turn(rows, lambda row: _host_of(url_of(row)))

    def fetch(self, url: str) -> Body:
        """Get the body of a URL, or raise the ScrapeFailure that says why not."""
        journey = Journey(Clock(self._config.total_timeout_s))
        try:
            first = read_address(url)
            with self._turns.turn(first.host, journey.clock) as turn:
                return self._persist(first, journey, turn)
        except ScrapeFailure as fault:
            failure = journey.ended(fault)
        raise failure

    def _persist(self, first: Address, journey: Journey, turn: Turn) -> Body:
        """Ask again where that may help, as often and as soon as is decent; the place at the host is kept."""
        for attempt in range(self._config.retries):
            try:
                return self._follow(first, journey, turn)
            except ScrapeFailure as failure:
                wait_s = pause_s(first.url, attempt, failure.retry_after_s)
                if not failure.is_passing or not journey.clock.has(wait_s):
                    raise
            time.sleep(wait_s)
        return self._follow(first, journey, turn)

    def _follow(self, first: Address, journey: Journey, turn: Turn) -> Body:
        """Go from address to address until one answers with a body."""
        journey.set_out()
        address, seen = first, set()
        for _ in range(self._config.max_redirects + 1):
            if address.url in seen:
                raise ScrapeFailure("scrape.redirect_loop", f"came back to {address.url}")
            seen.add(address.url)
            journey.arrive(address)
            if (reason := self._takedowns.of_address(address.url)) is not None:
                raise ScrapeFailure(TAKEN_DOWN, reason)
            outcome = self._ask(address, journey, turn)
            if isinstance(outcome, Body):
                return outcome
            if isinstance(outcome, ScrapeFailure):
                raise outcome
            address = read_address(outcome)
        raise ScrapeFailure("scrape.redirect_loop", f"more than {self._config.max_redirects} redirects")

    def _ask(self, address: Address, journey: Journey, turn: Turn) -> Body | str | ScrapeFailure:
        """Ask one address, if we may; returns a body, where to go on, or why it was refused."""
        self._transport.check(address, journey.clock)
        delay_s = self._ask_leave(address, journey)
        turn.move_to(address.host)
        self._turns.pace(address.host, delay_s, journey.clock)
        with self._transport.ask(address, journey.clock, self._config.max_bytes) as (response, meter):
            try:
                journey.http_status = response.status
                return self._outcome(response, address, journey)
            finally:
                journey.bytes_read += meter.received

    def _ask_leave(self, address: Address, journey: Journey) -> float | None:
        """Heed the rules of an address's host; returns the delay that it asks for."""
        with journey.clock.paused():  # others may be waiting for the same rules
            decision = self._permission.may_ask(address.url)
        if decision.is_refused and decision.fate == "scrape.connection_error":
            if (fault := self._rule_files.fault_of(address)) is not None:
                decision = decision._replace(fate=fault.fate, reason=f"robots.txt: {fault.reason}")
        journey.heed(decision, is_new_host=True)
        delay_s = decision.crawl_delay_s
        if delay_s is not None and delay_s > self._config.max_crawl_delay_s:
            limit_s = self._config.max_crawl_delay_s
            reason = f"robots.txt: Crawl-delay {delay_s:g} s, scrape.max_crawl_delay_s is {limit_s:g}"
            raise ScrapeFailure("scrape.opted_out", reason)
        return delay_s

    def _outcome(
        self, response: urllib3.BaseHTTPResponse, address: Address, journey: Journey
    ) -> Body | str | ScrapeFailure:
        headers = plain_headers(response)
        if (onward := redirected_to(response, address)) is not None:
            journey.heed(self._permission.may_follow(address.url, headers, journey.decision))
            return onward
        if not 200 <= response.status < 300:
            return _refused(response)
        journey.heed(self._permission.may_keep(address.url, headers, journey.decision))
        content, permit = self._read(response, journey.clock)
        return Body(
            content,
            response.status,
            address.url,
            response.headers.get("Content-Type", ""),
            etag=response.headers.get("ETag", ""),
            last_modified=response.headers.get("Last-Modified", ""),
            hops=journey.hops,
            attempts=journey.attempts,
            elapsed_ms=journey.elapsed_ms,
            evidence=journey.decision.evidence,
            permit=permit,
        )

    def _read(self, response: urllib3.BaseHTTPResponse, clock: Clock) -> tuple[bytes, Permit | None]:
        """Read a body as it comes, so that neither a long nor a slow one can hold us."""
        announced = announced_bytes(response)
        if announced is not None and announced > self._config.max_bytes:
            raise self._too_large(f"{announced} bytes announced")
        permit = None
        content = io.BytesIO()
        while part := response.read1(CHUNK, decode_content=True):
            content.write(part)
            if content.tell() > self._config.max_bytes:
                raise self._too_large("and there was more")
            if permit is None and content.tell() > SMALL_BYTES:
                with clock.paused():
                    permit = self._large_bodies.permit()
        if not content.tell():
            raise ScrapeFailure("scrape.empty", "the body is empty")
        return content.getvalue(), permit

    def _too_large(self, how: str) -> ScrapeFailure:
        return ScrapeFailure("scrape.too_large", f"more than {self._config.max_bytes} bytes, {how}")


def _host_of(url: str | None) -> str | None:
    """Name the host that a URL will be asked at; None if it will not be asked."""
    if url is None:
        return None
    try:
        return read_address(url).host
    except ScrapeFailure:
        return None


def _refused(response: urllib3.BaseHTTPResponse) -> ScrapeFailure:
    status = response.status
    fate = f"scrape.http_{status}"
    return ScrapeFailure(
        fate if is_fate(fate) else "scrape.connection_error",
        f"HTTP {status} {response.reason or ''}".strip(),
        is_passing=status in PASSING_STATUSES,
        retry_after_s=read_retry_after(response.headers.get("Retry-After")),
    )
