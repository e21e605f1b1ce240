"""Whatever stands in a URL or in an answer, a fetch ends in time, with a body or a fate."""

import time
from collections.abc import Iterator

import pytest
from fetching import QUICK, fetcher_of, outcome
from hostile_web import HostileWeb, hostile_web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unclip_pipeline.corpus.fates import is_fate
from unclip_pipeline.scraping.answer import Body
from unclip_pipeline.scraping.failure import ScrapeFailure
from unclip_pipeline.scraping.fetch import Fetcher
from unclip_pipeline.scraping.transport import read_address

NAMES = [
    "Content-Length", "Content-Encoding", "Transfer-Encoding", "Content-Type", "Location", "Retry-After",
    "X-Robots-Tag", "tdm-reservation", "Content-Usage", "ETag", "Set-Cookie", "Connection", "",
]  # fmt: skip
VALUES = [
    "0", "-1", "5", "999999999999999999999", "5, 5", "5, 6", "gzip", "br", "zstd", "gzip, gzip, br", "deflate",
    "chunked", "identity, chunked", "noai", "/", "http://[::1", "http://10.0.0.1/", "//", "\x00", "1e9", "close",
    "http://127.0.0.1:99999/", "http://a..b/", "http://" + "a" * 70 + ".example/", "=" * 5000,
]  # fmt: skip
BYTES = st.binary(max_size=40)
HEADER = st.builds(
    lambda name, gap, value: name + gap + value,
    st.one_of(st.sampled_from(NAMES).map(str.encode), BYTES),
    st.sampled_from([b": ", b":", b" : ", b"", b"\t"]),
    st.one_of(st.sampled_from(VALUES).map(str.encode), BYTES),
)
STATUS = st.one_of(
    st.sampled_from(
        [b"HTTP/1.1 200 OK", b"HTTP/1.0 200", b"HTTP/1.1 301 x", b"HTTP/1.1 503", b"HTTP/9.9 200 OK"]
    ),
    st.integers(-5, 2000).map(lambda status: b"HTTP/1.1 %d Because" % status),
    BYTES,
)
ANSWER = st.builds(
    lambda status, headers, end, body: b"\r\n".join([status, *headers]) + end + body,
    STATUS, st.lists(HEADER, max_size=8), st.sampled_from([b"\r\n\r\n", b"\n\n", b"\r\n", b""]),
    st.binary(max_size=200),
)  # fmt: skip
URL = st.one_of(
    st.text(max_size=60),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(
            ["http://", "https://", "HTTP://", "http:/", "//", "http://user@", "http://[", "ftp://"]
        ),
        st.text(max_size=20),
        st.one_of(st.just(""), st.text(max_size=30).map(lambda rest: "/" + rest)),
    ),
)
MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def web() -> Iterator[HostileWeb]:
    with hostile_web({}) as web:
        yield web


@pytest.fixture(scope="module")
def fetcher(web) -> Fetcher:
    return fetcher_of(web, timeout_s=0.3, total_timeout_s=0.6, retries=1)


def _ends_well(fetcher: Fetcher, url: str) -> None:
    began_s = time.monotonic()
    answer = outcome(fetcher, url)
    assert time.monotonic() - began_s < QUICK.total_timeout_s + 1
    if isinstance(answer, ScrapeFailure):
        assert is_fate(answer.fate) and len(answer.reason) <= 300
    else:
        assert isinstance(answer, Body) and 0 < len(answer.content) <= QUICK.max_bytes


@MANY
@given(answer=ANSWER)
def test_every_answer_ends_as_a_body_or_a_fate(web, fetcher, answer):
    web.answers["/a"] = answer
    _ends_well(fetcher, web.url("/a"))


@settings(MANY, max_examples=40)
@given(answer=ANSWER)
def test_every_file_of_rules_ends_as_a_body_or_a_fate(web, answer):
    web.answers |= {"/a": b"HTTP/1.1 200 OK\r\n\r\nbody", "/robots.txt": answer}
    try:
        _ends_well(fetcher_of(web, timeout_s=0.3, total_timeout_s=0.6), web.url("/a"))
    finally:
        del web.answers["/robots.txt"]


@MANY
@given(url=URL)
def test_every_url_ends_as_a_body_or_a_fate(fetcher, monkeypatch, url):
    monkeypatch.setattr("socket.getaddrinfo", lambda host, port, **_: [(0, 0, 0, "", ("10.0.0.1", port))])
    _ends_well(fetcher, url)


@given(path=st.text(max_size=40), query=st.text(max_size=40))
def test_what_goes_over_the_wire_is_visible_ascii(path, query):
    try:
        address = read_address(f"http://127.0.0.1/{path}?{query}")
    except ScrapeFailure as failure:
        assert failure.fate == "scrape.bad_url"
        return
    assert address.target.startswith("/") and all("!" <= letter <= "~" for letter in address.target)
