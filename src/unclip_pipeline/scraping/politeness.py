"""Ask every host in its own time: few requests at once, and a pause between them."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from unclip_pipeline.scraping.clock import Clock

Row = TypeVar("Row")
MAX_HOSTS = 100_000  # of which anything is remembered; idle ones are forgotten beyond


@dataclass
class _Host:
    busy: int = 0  # URLs that hold a place, the reserved ones among them
    reserved: int = 0  # places of rows handed out whose fetch has not begun
    free_at_s: float = 0.0  # when the next request may go out
    delay_s: float = 0.0  # what the host itself asked for


class Turns:
    """One per process: who may ask which host now. Its methods may be called from many threads."""

    def __init__(self, per_host: int, delay_s: float) -> None:
        self._per_host = per_host
        self._delay_s = delay_s
        self._hosts: dict[str, _Host] = {}
        self._changed = threading.Condition()

    def in_turn(self, rows: Iterable[Row], host_of: Callable[[Row], str | None]) -> Iterator[Row]:
        """Yield rows as soon as their hosts have a place, so that no thread stands in line for a busy host.

        The place is reserved: `turn` on the same host must follow for every row that has a host.
        """
        waiting: dict[str, deque[Row]] = {}
        for row in rows:
            host = host_of(row)
            if host is None:
                yield row
            else:
                waiting.setdefault(host, deque()).append(row)
        while waiting:
            for host in self._ready(waiting):
                yield waiting[host].popleft()
                if not waiting[host]:
                    del waiting[host]

    @contextmanager
    def turn(self, host: str, clock: Clock) -> Iterator["Turn"]:
        """Hold a place at a host while the block runs."""
        place = Turn(self, clock)
        place.move_to(host)
        try:
            yield place
        finally:
            place.leave()

    def pace(self, host: str, delay_s: float | None, clock: Clock) -> None:
        """Wait until a request may go out; `delay_s` is what the host asks for, if it does."""
        with self._changed:
            state = self._hosts.setdefault(host, _Host())
            if delay_s is not None:
                state.delay_s = delay_s
            now_s = time.monotonic()
            wait_s = max(0.0, state.free_at_s - now_s)
            state.free_at_s = now_s + wait_s + max(self._delay_s, state.delay_s)
        if wait_s:
            with clock.paused():
                time.sleep(wait_s)

    def _ready(self, waiting: Iterable[str]) -> list[str]:
        """Wait until hosts have a place for one more, and reserve one at each."""
        with self._changed:
            while True:
                now_s = time.monotonic()
                states = {host: self._hosts.setdefault(host, _Host()) for host in waiting}
                open_ = {host: state for host, state in states.items() if state.busy < self._per_host}
                ready = [host for host, state in open_.items() if state.free_at_s <= now_s]
                if ready:
                    for host in ready:
                        states[host].busy += 1
                        states[host].reserved += 1
                    return ready
                next_s = min((state.free_at_s - now_s for state in open_.values()), default=None)
                self._changed.wait(next_s)

    def _enter(self, host: str) -> None:
        with self._changed:
            state = self._hosts.setdefault(host, _Host())
            if state.reserved:
                state.reserved -= 1
                return
            while state.busy >= self._per_host:
                self._changed.wait()
            state.busy += 1

    def _leave(self, host: str) -> None:
        with self._changed:
            self._hosts[host].busy -= 1
            self._changed.notify_all()
            if len(self._hosts) > MAX_HOSTS:
                self._forget_idle_hosts()

    def _forget_idle_hosts(self) -> None:
        now_s = time.monotonic()
        for host in [
            name for name, state in self._hosts.items() if not state.busy and state.free_at_s <= now_s
        ]:
            del self._hosts[host]


class Turn:
    """A place at one host at a time: on the way through redirects the old one is given back first."""

    def __init__(self, turns: Turns, clock: Clock) -> None:
        self._turns = turns
        self._clock = clock
        self._host: str | None = None

    def move_to(self, host: str) -> None:
        """Take a place at a host; waiting for it does not count."""
        if host == self._host:
            return
        self.leave()
        with self._clock.paused():
            self._turns._enter(host)
        self._host = host

    def leave(self) -> None:
        """Give the place back."""
        if self._host is not None:
            self._turns._leave(self._host)
            self._host = None
