import hashlib
import random

import pytest

from unclip_pipeline.corpus.uids import canonical_url, pair_uid


@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        ("HTTP://Example.ORG:80/a.jpg#top", "http://example.org/a.jpg"),
        ("https://example.org:443", "https://example.org/"),
        ("http://example.org:8080/a b/é.jpg", "http://example.org:8080/a%20b/%C3%A9.jpg"),
        ("http://example.org/%C3%A9.jpg?q=1&p=ü", "http://example.org/%C3%A9.jpg?q=1&p=%C3%BC"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
    ],
)
def test_a_url_has_one_spelling(spelling: str, canonical: str) -> None:
    assert canonical_url(spelling) == canonical
    assert canonical_url(canonical) == canonical


def test_a_url_that_needs_no_work_is_what_the_work_would_give() -> None:
    draw = random.Random(0)
    hosts = ["a.b", "ex-ample.org", "127.0.0.1", "xn--bcher-kva.de", "A.b", "a..b", "u@a.b", "[::1]"]
    ports = ["", "", ":80", ":443", ":8080", ":080", ":59999", ":65536"]
    parts = ["/", "/", "/a", "%20", "%zz", "?", "?", "#", "é", " ", "[1]", "&", ";", "..", "'", '"', "|"]
    for _ in range(5000):
        scheme = draw.choice(["http://", "https://"])
        path = "/" + "".join(draw.choices(parts, k=draw.randint(0, 4)))
        url = scheme + draw.choice(hosts) + draw.choice(ports) + path + draw.choice("az")
        assert _spelled(url) == _spelled(f" {url}")  # the blank sends it the long way


def _spelled(url: str) -> str:
    try:
        return canonical_url(url)
    except (ValueError, UnicodeError):
        return "none"


def test_a_uid_is_the_head_of_a_sha256_over_url_nul_caption() -> None:
    expected = hashlib.sha256(b"http://example.org/a.jpg\0a red star").hexdigest()[:16]
    assert pair_uid("http://EXAMPLE.org/a.jpg", "a red star") == expected


def test_url_and_caption_cannot_run_into_each_other() -> None:
    assert pair_uid("http://e.org/a", "b c") != pair_uid("http://e.org/a%20b", " c")


def test_a_url_that_cannot_be_parsed_still_has_a_uid() -> None:
    assert len(pair_uid("http://[broken/a.jpg", "x")) == 16
    assert pair_uid("not a url", "x") != pair_uid("not a url", "y")
