"""What may pass is asked again, after a decent pause; what is final is not."""

import time
from datetime import UTC, datetime
from email.utils import format_datetime, formatdate
from itertools import pairwise

import pytest
from fetching import fate, fetcher_of, outcome
from hostile_web import Answer, hostile_web, in_turn, message, reset

from unclip_pipeline.scraping.answer import Body
from unclip_pipeline.scraping.retries import pause_s, read_retry_after

OK = message(200, b"body")
NO = message(403, b"")


def _asked(answer: Answer, **choices: object) -> tuple[str, int, float]:
    """Give what becomes of a URL, how often it was asked for and how long that took."""
    with hostile_web({"/a": answer}) as web:
        fetcher = fetcher_of(web, **({"retries": 2, "total_timeout_s": 5.0} | choices))
        began_s = time.monotonic()
        found = fate(fetcher, web.url("/a"))
        return found, web.hits["/a"], time.monotonic() - began_s


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_passing_answer_is_asked_again(status):
    assert _asked(in_turn(message(status, b""), OK))[:2] == ("body", 2)


@pytest.mark.parametrize("status", [304, 400, 401, 403, 404, 410, 418, 451, 501, 505])
def test_a_final_answer_is_not(status):
    assert _asked(in_turn(message(status, b""), OK))[:2] == (f"scrape.http_{status}", 1)


@pytest.mark.parametrize(
    "answer", [b"", message(200, b"x", length=9), reset], ids=["hang-up", "cut", "reset"]
)
def test_a_connection_that_is_lost_is_tried_again(answer):
    again = answer if callable(answer) else None
    answers = (
        in_turn(answer, OK)
        if again is None
        else lambda link, hit: again(link, hit) if hit == 1 else link.sendall(OK)
    )
    assert _asked(answers)[:2] == ("body", 2)


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH\r\n", message(200, b""), message(200, b"x", "X-Robots-Tag: noai"),
     message(200, b"x", "tdm-reservation: 1"), message(200, b"x", length=10**9)],
    ids=["no-http", "empty", "noai", "reserved", "too-large"],
)  # fmt: skip
def test_what_will_not_change_is_asked_once(answer):
    assert _asked(answer)[1] == 1


def test_an_owner_who_says_no_at_last_is_not_asked_again():
    answers = in_turn(message(503, b""), message(200, b"x", "X-Robots-Tag: noai"), OK)
    assert _asked(answers)[:2] == ("scrape.opted_out", 2)


def test_retries_are_counted_and_end():
    assert _asked(message(503, b""))[:2] == ("scrape.http_503", 3)
    assert _asked(message(503, b""), retries=0)[:2] == ("scrape.http_503", 1)


def test_retry_after_is_waited_for():
    for is_date in (False, True):
        when = formatdate(time.time() + 2, usegmt=True) if is_date else "1"
        found, hits, took_s = _asked(in_turn(message(429, b"", f"Retry-After: {when}"), OK))
        assert (found, hits) == ("body", 2) and 0.7 <= took_s < 3.5


def test_a_retry_after_beyond_the_deadline_ends_the_row_at_once():
    for when in ("3600", formatdate(time.time() + 86400, usegmt=True)):
        found, hits, took_s = _asked(message(429, b"", f"Retry-After: {when}"))
        assert (found, hits) == ("scrape.http_429", 1) and took_s < 1


def test_what_was_learned_is_told():
    with hostile_web({"/a": message(302, b"", "Location: /b"), "/b": message(503, b"busy")}) as web:
        failure = outcome(fetcher_of(web, retries=1), web.url("/a"))
        assert failure.http_status == 503 and failure.final_url == web.url("/b") and failure.attempts == 2
        assert failure.bytes_read > 100 and failure.elapsed_ms > 0
        assert {found.signal for found in failure.evidence} >= {"robots.txt"}
        assert failure.__cause__ is failure.__context__ is None  # or the frames would hold on to bodies


def test_a_body_tells_its_way():
    headers = ('ETag: "1"', "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT", "Content-Type: image/png")
    with hostile_web({"/a": message(302, b"", "Location: /b"), "/b": message(200, b"x", *headers)}) as web:
        body = fetcher_of(web).fetch(web.url("/a"))
    assert isinstance(body, Body) and (body.hops, body.attempts, body.http_status) == (1, 1, 200)
    assert (body.etag, body.last_modified) == ('"1"', "Mon, 01 Jan 2024 00:00:00 GMT")
    assert body.final_url.endswith("/b") and body.evidence


def test_no_cookie_is_kept():
    with hostile_web({"/a": message(200, b"x", "Set-Cookie: id=1; Path=/")}) as web:
        fetcher = fetcher_of(web)
        for _ in range(2):
            fetcher.fetch(web.url("/a"))
        seen = [line for head in web.heads for line in head if line.lower().startswith("cookie")]
        assert len(web.heads) >= 2 and seen == []


def test_pauses_grow_and_never_fall_together():
    pauses = [pause_s("http://a/b", attempt, None) for attempt in range(6)]
    assert all(late > early for early, late in pairwise(pauses[::2]))
    assert pauses == [pause_s("http://a/b", attempt, None) for attempt in range(6)]
    first = {pause_s(f"http://a/{n}", 0, None) for n in range(100)}
    assert len(first) == 100 and 0.1 <= min(first) < 0.13 and 0.27 < max(first) < 0.3
    assert pause_s("http://a/b", 3, 7.5) == 7.5


@pytest.mark.parametrize(
    "value, expected",
    [("120", 120.0), (" 0 ", 0.0), ("Mon, 01 Jan 2024 00:02:00 GMT", 120.0), ("Sun, 31 Dec 2023 00:00:00 GMT", 0.0),
     ("", None), (None, None), ("soon", None), ("-5", None), ("1.5", None), ("٣", None), ("9" * 400, 999999999.0),
     ("Mon, 99 Foo 2024", None)],
)  # fmt: skip
def test_retry_after_is_read_as_seconds_or_a_date(value, expected):
    now = datetime(2024, 1, 1, tzinfo=UTC)
    assert format_datetime(now, usegmt=True) == "Mon, 01 Jan 2024 00:00:00 GMT"
    assert read_retry_after(value, now.timestamp()) == expected
