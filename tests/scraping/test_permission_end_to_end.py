"""A real server, the real fetcher: who is asked, in which order, how often, and what comes of it."""

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from hostile_web import RULES, HostileWeb, encoded, hostile_web, message, picture
from sites import answers, scraped

from unclip_pipeline.scraping import ScrapeConfig
from unclip_pipeline.scraping.answer import Body
from unclip_pipeline.scraping.failure import ScrapeFailure
from unclip_pipeline.scraping.fetch import Fetcher

CONFIG = ScrapeConfig(
    threads=16, timeout_s=5.0, retries=2, private_hosts=("127.0.0.1",), per_host_connections=16
)
PICTURE = encoded(picture())
ROBOTS, RESERVATIONS = RULES


@contextmanager
def site(
    robots: bytes | None = None, reservations: object = None, **headers: str
) -> Iterator[tuple[HostileWeb, list[str]]]:
    """Serve pictures under /a to /d, with one more header each, and note the order of requests."""
    order: list[str] = []

    def noted(path: str, answer: bytes) -> Callable[[socket.socket, int], None]:
        def say(connection: socket.socket, hit: int) -> None:
            order.append(path)
            connection.sendall(answer)

        return say

    pictures = {f"/{name}": message(200, PICTURE, *headers.get(name, "").splitlines()) for name in "abcd"}
    rules = {ROBOTS: robots, RESERVATIONS: reservations and message(200, json.dumps(reservations).encode())}
    answers = {path: answer or message(404, b"") for path, answer in {**pictures, **rules}.items()}
    with hostile_web({path: noted(path, answer) for path, answer in answers.items()}) as web:
        yield web, order


def fetched(web: HostileWeb, path: str, fetcher: Fetcher | None = None) -> Body | ScrapeFailure:
    try:
        return (fetcher or Fetcher(CONFIG)).fetch(web.url(path))
    except ScrapeFailure as failure:
        return failure


def test_the_rules_are_asked_for_before_the_first_picture_and_once():
    with site() as (web, order):
        fetcher = Fetcher(CONFIG)
        answers = [fetched(web, path, fetcher) for path in ("/a", "/b", "/c", "/a")]
    assert order == [ROBOTS, RESERVATIONS, "/a", "/b", "/c", "/a"]
    assert [answer.content for answer in answers] == [PICTURE] * 4
    assert [found.signal for found in answers[0].evidence] == ["robots.txt", "tdmrep.json", "none"]


def test_sixteen_threads_ask_for_the_rules_once():
    with site(message(200, b"User-agent: *\nDisallow: /b")) as (web, order):
        fetcher = Fetcher(CONFIG)
        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(lambda path: fetched(web, path, fetcher), ["/a", "/b"] * 8))
    assert order[:2] == [ROBOTS, RESERVATIONS]
    assert sorted(order[2:]) == ["/a"] * 8
    assert [isinstance(answer, Body) for answer in answers] == [True, False] * 8


@pytest.mark.parametrize(
    "robots",
    [
        b"User-agent: *\nDisallow: /a", b"User-Agent: UNCLIP_PIPELINE\nDisallow: /",
        b"User-agent: *\nContent-Usage: /a train-ai=n", b"User-agent: *\nContent-Signal: ai-train=no",
    ],
)  # fmt: skip
def test_what_robots_txt_forbids_is_never_asked_for(robots):
    with site(message(200, robots)) as (web, order):
        failure = fetched(web, "/a")
    assert (failure.fate, failure.is_passing) == ("scrape.opted_out", False)
    assert "/a" not in order
    assert any(found.decision == "refused" and found.where.endswith(ROBOTS) for found in failure.evidence)


@pytest.mark.parametrize("answer", [message(500, b""), message(503, b"User-agent: *\nAllow: /")])
def test_a_server_that_fails_on_its_rules_is_left_alone(answer):
    with site(answer) as (web, order):
        fetcher = Fetcher(CONFIG)
        fates = [fetched(web, path, fetcher).fate for path in ("/a", "/b")]
    assert fates == ["scrape.permission_unknown"] * 2
    assert set(order) == {ROBOTS}


def test_a_host_where_nobody_listens_is_a_failed_connection_and_no_opt_out():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/a"
        with pytest.raises(ScrapeFailure) as caught:
            Fetcher(CONFIG).fetch(url)
    assert caught.value.fate == "scrape.connection_error"


def test_robots_txt_is_followed_through_redirects():
    moved = message(301, b"", "Location: /rules.txt")
    rules = message(200, b"User-agent: *\nDisallow: /a")
    with site(moved) as (web, order):
        web.answers["/rules.txt"] = rules
        assert fetched(web, "/a").fate == "scrape.opted_out"
        assert isinstance(fetched(web, "/b"), Body)
    assert "/a" not in order


def test_what_tdmrep_json_reserves_is_never_asked_for():
    reserved = [{"location": "/a$", "tdm-reservation": 1, "tdm-policy": "https://example.org/terms"}]
    with site(reservations=reserved) as (web, order):
        failure = fetched(web, "/a")
        assert isinstance(fetched(web, "/b"), Body)
    assert failure.fate == "scrape.opted_out"
    assert "https://example.org/terms" in failure.reason
    assert "/a" not in order


@pytest.mark.parametrize(
    "header",
    [
        "X-Robots-Tag: noai", "x-robots-tag: NOINDEX, NoImageAI", "X-Robots-Tag: unclip_pipeline: noml",
        "X-Robots-Tag: otherbot: noindex\nX-Robots-Tag: noai",
        "X-Robots-Tag: unavailable_after: 25 Jun 2010 15:00:00 PST, noai",
        "tdm-reservation: 1", "TDM-Reservation:1\nTDM-Policy: https://example.org/terms",
        "Content-Usage: train-ai=n", "content-usage: search=y\nContent-Usage: genai=n",
        "Content-Signal: ai-train=no",
    ],
)  # fmt: skip
def test_a_no_in_a_header_is_asked_once_and_never_again(header):
    with site(a=header) as (web, order):
        failure = fetched(web, "/a")
    assert (failure.fate, failure.http_status) == ("scrape.opted_out", 200)
    assert order.count("/a") == 1
    assert any(found.scope == "answer" and found.decision == "refused" for found in failure.evidence)


@pytest.mark.parametrize(
    "header",
    [
        "X-Robots-Tag: otherbot: noai",
        "tdm-reservation: 0",
        "Content-Usage: train-ai=y, search=n",
        "X-Robots-Tag: noindex",
    ],
)
def test_other_words_in_headers_keep_nobody_out_and_are_recorded(header):
    with site(a=header) as (web, _):
        body = fetched(web, "/a")
    assert body.content == PICTURE
    assert body.evidence[-1].raw == header.partition(": ")[2]


def test_a_redirect_is_refused_by_its_own_headers_and_by_the_rules_of_its_goal():
    with site(message(200, b"User-agent: *\nDisallow: /c")) as (web, order):
        web.answers["/to-b"] = message(302, b"", "Location: /b", "X-Robots-Tag: noai")
        web.answers["/to-c"] = message(302, b"", "Location: /c")
        web.answers["/to-d"] = message(302, b"", "Location: /d")
        answers = [fetched(web, path) for path in ("/to-b", "/to-c", "/to-d")]
    assert [getattr(answer, "fate", "kept") for answer in answers] == ["scrape.opted_out"] * 2 + ["kept"]
    assert not {"/b", "/c"} & set(order)


def test_the_rules_of_every_port_are_its_own():
    with site(message(200, b"User-agent: *\nDisallow: /")) as (closed, _), site() as (open_, order):
        fetcher = Fetcher(CONFIG)
        assert fetched(closed, "/a", fetcher).fate == "scrape.opted_out"
        assert isinstance(fetched(open_, "/a", fetcher), Body)
        open_.answers["/away"] = message(302, b"", f"Location: {closed.url('/b')}")
        assert fetched(open_, "/away", fetcher).fate == "scrape.opted_out"
        assert not closed.hits


def test_where_unknown_is_refused_the_fetcher_keeps_only_what_is_allowed():
    strict = ScrapeConfig(private_hosts=("127.0.0.1",), when_unknown="refuse", retries=2)
    with site(a="Content-Usage: train-ai=y") as (web, order):
        fetcher = Fetcher(strict)
        assert isinstance(fetched(web, "/a", fetcher), Body)
        assert fetched(web, "/b", fetcher).fate == "scrape.permission_unknown"
    assert order.count("/b") == 1


def test_a_run_of_many_shards_asks_an_origin_once_and_accounts_for_what_it_said(tmp_path):
    robots = message(200, b"User-agent: *\nDisallow: /1\nContent-Usage: /2$ train-ai=y\n")
    with hostile_web(answers() | {ROBOTS: robots}) as web:
        found = scraped(web, tmp_path / "shards")
        refused = found.ledger[found.ledger["fate"] == "scrape.opted_out"]
        assert {url.rpartition("/")[2] for url in refused["url"]} == {"1", *map(str, range(10, 20))}
        assert web.rule_hits == {ROBOTS: 1, RESERVATIONS: 1}  # from one process, for six shards
        assert not {path for path in web.hits if path.startswith("/1")}
        allowed = found.evidence[found.evidence["decision"] == "allowed"]
        assert {"Content-Usage: /2$ train-ai=y", "no rule matches"} == set(allowed["raw"])
        assert "Disallow: /1" in set(found.evidence["raw"])
