"""Look names up in bounded time, each once for all threads."""

import socket
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from concurrent.futures import TimeoutError as LateFuture

from unclip_pipeline.scraping.addresses import IPAddress, as_address
from unclip_pipeline.scraping.clock import Meter
from unclip_pipeline.scraping.failure import ScrapeFailure

KEPT_S = 300.0
MAX_KEPT = 10_000  # names; the oldest are forgotten


class Names:
    """One per process; `addresses` may be called from many threads.

    The system's resolver knows no deadline, so it is asked in threads that nobody has to wait for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[str, tuple[float, Future[tuple[IPAddress, ...]]]] = OrderedDict()

    def addresses(self, host: str, port: int, meter: Meter) -> tuple[IPAddress, ...]:
        """Return every address of a host; raise ScrapeFailure if there is none or it takes too long."""
        if (literal := as_address(host)) is not None:
            return (literal,)
        try:
            return self._asked(host, port).result(meter.wait_s())
        except LateFuture:
            reason = f"no address for {host} in time"
            raise ScrapeFailure("scrape.timeout_total", reason, is_passing=True) from None
        except socket.gaierror as fault:
            is_passing = fault.errno == socket.EAI_AGAIN
            raise ScrapeFailure("scrape.host_not_found", f"{host}: {fault}", is_passing=is_passing) from fault
        except ValueError as fault:
            raise ScrapeFailure("scrape.bad_url", f"{host!r:.100}: {fault}") from fault

    def _asked(self, host: str, port: int) -> Future[tuple[IPAddress, ...]]:
        now_s = time.monotonic()
        with self._lock:
            since_s, answer = self._found.get(host, (0.0, None))
            is_fresh = answer is not None and now_s < since_s + KEPT_S
            if answer is not None and is_fresh and not (answer.done() and answer.exception()):
                return answer
            answer = Future()
            self._found[host] = (now_s, answer)
            self._found.move_to_end(host)
            if len(self._found) > MAX_KEPT:
                self._found.popitem(last=False)
        threading.Thread(target=_look_up, args=(host, port, answer), daemon=True).start()
        return answer


def _look_up(host: str, port: int, answer: Future[tuple[IPAddress, ...]]) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = (as_address(str(address[0])) for *_, address in found)
        answer.set_result(tuple(dict.fromkeys(address for address in addresses if address is not None)))
    except Exception as fault:  # hosts are hostile text: whatever it is, the thread that asked raises it
        answer.set_exception(fault)
