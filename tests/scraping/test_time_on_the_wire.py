"""Nothing a server does holds us longer, or makes us read more, than we allow."""

import gzip
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from fetching import QUICK, fate, fetcher_of, outcome
from hostile_web import (
    HostileWeb,
    drip,
    drip_chunks,
    drip_head,
    drip_status,
    endless,
    endless_chunk_size,
    endless_continue,
    endless_head,
    endless_line,
    hostile_web,
    message,
    reset,
    stall,
)

from unclip_pipeline.scraping.clock import Clock, Meter
from unclip_pipeline.scraping.failure import ScrapeFailure

ANSWERS = {
    "/stall": (stall, "scrape.timeout_total"),
    "/drip": (drip, "scrape.timeout_total"),
    "/drip-head": (drip_head, "scrape.timeout_total"),
    "/drip-status": (drip_status, "scrape.timeout_total"),
    "/drip-chunks": (drip_chunks, "scrape.timeout_total"),
    "/endless": (endless, "scrape.too_large"),
    "/endless-head": (endless_head, "scrape.connection_error"),
    "/endless-line": (endless_line, "scrape.connection_error"),
    "/endless-continue": (endless_continue, "scrape.connection_error"),
    "/endless-chunk-size": (endless_chunk_size, "scrape.connection_error"),
    "/gzip-bomb": (message(200, gzip.compress(bytes(50_000_000)), "Content-Encoding: gzip"), "scrape.too_large"),
    "/gzip-of-gzip": (
        message(200, gzip.compress(gzip.compress(bytes(50_000_000))), "Content-Encoding: gzip, gzip"),
        "scrape.too_large",
    ),
    "/reset": (reset, "scrape.connection_error"),
}  # fmt: skip
LIMIT_S = QUICK.total_timeout_s + 0.6  # for a machine that is busy with other things


@pytest.fixture(scope="module")
def web() -> Iterator[HostileWeb]:
    with hostile_web({path: answer for path, (answer, _) in ANSWERS.items()}) as web:
        yield web


@pytest.mark.parametrize("path", ANSWERS)
def test_every_answer_ends_in_time_with_its_fate(web, path):
    began_s = time.monotonic()
    failure = outcome(fetcher_of(web), web.url(path))
    assert isinstance(failure, ScrapeFailure) and failure.fate == ANSWERS[path][1], failure
    assert time.monotonic() - began_s < LIMIT_S
    assert failure.bytes_read <= QUICK.max_bytes + 300_000 and failure.elapsed_ms <= 1000 * LIMIT_S


@pytest.mark.parametrize("path", ["/drip", "/drip-head", "/drip-status", "/drip-chunks"])
def test_a_drip_is_too_slow_once_its_grace_is_over(web, path):
    began_s = time.monotonic()
    fetcher = fetcher_of(web, total_timeout_s=30.0, grace_s=0.3, min_bytes_per_s=1000)
    assert fate(fetcher, web.url(path)) == "scrape.too_slow"
    assert time.monotonic() - began_s < 1.5


def test_no_rate_is_asked_for_when_it_is_zero(web):
    fetcher = fetcher_of(web, grace_s=0.1, min_bytes_per_s=0)
    assert fate(fetcher, web.url("/drip")) == "scrape.timeout_total"


def test_a_server_that_never_accepts_is_given_up():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        crowd = [socket.socket() for _ in range(4)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/a.png"
        with hostile_web({}) as web:
            began_s = time.monotonic()
            assert fate(fetcher_of(web, private_hosts=["127.0.0.1"]), url) == "scrape.timeout_total"
            assert time.monotonic() - began_s < 2 * LIMIT_S
        for one in crowd:
            one.close()


def test_a_handshake_that_stalls_is_given_up():
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"https://127.0.0.1:{mute.getsockname()[1]}/a.png"
        with hostile_web({}) as web:
            assert fate(fetcher_of(web, private_hosts=["127.0.0.1"]), url) == "scrape.timeout_total"


def test_a_resolver_that_stalls_is_given_up(web, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(5) and [])
    began_s = time.monotonic()
    assert fate(fetcher_of(web), "http://slow.example/a.png") == "scrape.timeout_total"
    assert time.monotonic() - began_s < LIMIT_S
    release.set()


def test_waiting_for_a_turn_does_not_count():
    clock = Clock(0.1)
    with clock.paused():
        time.sleep(0.15)
    assert clock.left_s() > 0.05
    time.sleep(0.12)
    with pytest.raises(ScrapeFailure, match="longer than 0.1 s"):
        clock.left_s()


def test_the_next_byte_may_take_what_the_rate_leaves():
    clock = Clock(100.0)
    meter = Meter(clock, QUICK, QUICK.max_bytes)
    assert meter.wait_s() == QUICK.timeout_s  # the rate counts from the first byte
    meter.took(8 * QUICK.min_bytes_per_s)
    assert meter.wait_s() == QUICK.timeout_s
    with pytest.raises(ScrapeFailure, match="headers of more than"):
        meter.took(200_000)
