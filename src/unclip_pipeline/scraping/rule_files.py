"""Fetch the files in which owners state their rules: guarded, bounded and paced like everything else."""

import time
from collections import OrderedDict
from threading import Lock

import urllib3

from unclip_pipeline.scraping.clock import Clock
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.failure import ScrapeFailure
from unclip_pipeline.scraping.permission import PlainAnswer
from unclip_pipeline.scraping.politeness import Turns
from unclip_pipeline.scraping.retries import PASSING_STATUSES, pause_s
from unclip_pipeline.scraping.transport import Address, Transport, plain_headers, read_address, redirected_to

MAX_BYTES = 512 * 1024  # RFC 9309, 2.5: at least 500 KiB; what lies beyond is not read
MAX_REDIRECTS = 5  # RFC 9309, 2.3.1.2
MAX_FAULTS_KEPT = 20_000


class RuleFiles:
    """One per process; its methods may be called from many threads."""

    def __init__(self, transport: Transport, turns: Turns, config: ScrapeConfig) -> None:
        self._transport = transport
        self._turns = turns
        self._config = config
        self._lock = Lock()
        self._faults: OrderedDict[tuple[str, int], ScrapeFailure] = OrderedDict()

    def get(self, url: str) -> PlainAnswer:
        """Ask for a file within `timeout_s`; status None where nobody answers, which `fault_of` explains."""
        clock = Clock(self._config.timeout_s)
        answer, fault = self._try(url, clock)
        for attempt in range(self._config.retries):
            passes = answer.status in PASSING_STATUSES or (fault is not None and fault.is_passing)
            wait_s = pause_s(url, attempt, None)
            if not passes or not clock.has(wait_s):
                break
            time.sleep(wait_s)
            answer, fault = self._try(url, clock)
        return answer

    def fault_of(self, address: Address) -> ScrapeFailure | None:
        """Return why a host did not answer when it was last asked for its rules."""
        with self._lock:
            return self._faults.get((address.host, address.port))

    def _try(self, url: str, clock: Clock) -> tuple[PlainAnswer, ScrapeFailure | None]:
        try:
            return self._follow(url, clock), None
        except ScrapeFailure as fault:
            self._remember(url, fault.let_go())
            return PlainAnswer(None, [], b""), fault

    def _follow(self, url: str, clock: Clock) -> PlainAnswer:
        for _ in range(MAX_REDIRECTS + 1):
            address = read_address(url)
            self._turns.pace(address.host, None, clock)
            with self._transport.ask(address, clock, MAX_BYTES + 1) as (response, _):
                onward = redirected_to(response, address)
                if onward is None:
                    return PlainAnswer(response.status, plain_headers(response), _read(response))
            url = onward
        raise ScrapeFailure("scrape.redirect_loop", f"more than {MAX_REDIRECTS} redirects")

    def _remember(self, url: str, fault: ScrapeFailure) -> None:
        address = read_address(url)
        with self._lock:
            self._faults[address.host, address.port] = fault
            if len(self._faults) > MAX_FAULTS_KEPT:
                self._faults.popitem(last=False)


def _read(response: urllib3.BaseHTTPResponse) -> bytes:
    content = b""
    while len(content) < MAX_BYTES and (part := response.read1(MAX_BYTES, decode_content=True)):
        content += part
    return content[:MAX_BYTES]
