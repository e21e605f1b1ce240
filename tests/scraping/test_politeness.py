"""Every host is asked in its own time, and no thread stands in line for it."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
from fetching import fetcher_of, outcome
from hostile_web import hostile_web, message

from unclip_pipeline.scraping.answer import Body
from unclip_pipeline.scraping.clock import Clock
from unclip_pipeline.scraping.politeness import Turns


class _Crowd:
    """Answers slowly, and remembers how many asked at once and when."""

    def __init__(self, takes_s: float) -> None:
        self.takes_s = takes_s
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.times_s: list[float] = []

    def __call__(self, connection, hit) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.times_s.append(time.monotonic())
        time.sleep(self.takes_s)
        with self.lock:
            self.now -= 1
        connection.sendall(message(200, b"x"))


def _fetch_all(fetcher, urls: list[str], threads: int = 8) -> list[object]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda url: outcome(fetcher, url), fetcher.in_turn(urls, lambda url: url)))


@pytest.mark.parametrize("limit", [1, 3])
def test_a_host_gets_no_more_requests_at_once_than_allowed(limit):
    crowd = _Crowd(0.03)
    with hostile_web({f"/{n}": crowd for n in range(12)}) as web:
        answers = _fetch_all(
            fetcher_of(web, per_host_connections=limit), [web.url(f"/{n}") for n in range(12)]
        )
    assert all(isinstance(answer, Body) for answer in answers) and crowd.most == limit


def test_a_redirect_waits_for_a_place_too():
    crowd = _Crowd(0.03)
    ways = {f"/{n}": message(302, b"", f"Location: /to/{n}") for n in range(8)}
    with (
        hostile_web({f"/to/{n}": crowd for n in range(8)}, host="127.0.0.2") as there,
        hostile_web(
            {path: answer.replace(b"/to/", there.url("/to/").encode()) for path, answer in ways.items()}
        ) as web,
    ):
        fetcher = fetcher_of(web, per_host_connections=2, private_hosts=["127.0.0.1", "127.0.0.2"])
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: outcome(fetcher, web.url(f"/{n}")), range(8)))
    assert all(isinstance(answer, Body) for answer in answers) and crowd.most <= 2


def test_a_host_gets_its_pause_between_requests():
    crowd = _Crowd(0.0)
    with hostile_web({f"/{n}": crowd for n in range(5)}) as web:
        answers = _fetch_all(fetcher_of(web, per_host_delay_s=0.1), [web.url(f"/{n}") for n in range(5)])
    times_s = sorted(crowd.times_s)
    gaps_s = [late - early for early, late in zip(times_s, times_s[1:], strict=False)]
    assert all(isinstance(answer, Body) for answer in answers) and min(gaps_s) > 0.07
    assert max(answer.elapsed_ms for answer in answers) < 300  # waiting for a turn does not count


def test_a_crawl_delay_is_kept():
    crowd = _Crowd(0.0)
    rules = message(200, b"User-agent: *\nCrawl-delay: 0.2\n")
    with hostile_web({"/robots.txt": rules} | {f"/{n}": crowd for n in range(4)}) as web:
        _fetch_all(fetcher_of(web), [web.url(f"/{n}") for n in range(4)])
    assert max(crowd.times_s) - min(crowd.times_s) > 0.5


def test_a_host_that_asks_for_too_much_patience_is_left_alone():
    rules = message(200, b"User-agent: *\nCrawl-delay: 600\n")
    with hostile_web({"/robots.txt": rules, "/a": message(200, b"x")}) as web:
        failure = outcome(fetcher_of(web), web.url("/a"))
        assert failure.fate == "scrape.opted_out" and "600" in failure.reason and web.hits["/a"] == 0


def test_a_slow_host_does_not_hold_the_threads_of_others():
    slow, quick = _Crowd(0.3), _Crowd(0.0)
    with (
        hostile_web({f"/{n}": slow for n in range(6)}) as one,
        hostile_web({f"/{n}": quick for n in range(20)}, host="127.0.0.2") as two,
    ):
        hosts = ["127.0.0.1", "127.0.0.2"]
        fetcher = fetcher_of(
            one, per_host_connections=1, private_hosts=hosts, timeout_s=2.0, total_timeout_s=4.0
        )
        urls = [one.url(f"/{n}") for n in range(6)] + [two.url(f"/{n}") for n in range(20)]
        _fetch_all(fetcher, urls, threads=3)
    assert (
        max(quick.times_s) < sorted(slow.times_s)[3]
    )  # the last URLs of the list did not wait for the first


def test_rows_without_a_host_come_at_once_and_every_row_comes_once():
    turns = Turns(per_host=2, delay_s=0.0)
    rows = [(f"host{n % 3}" if n % 4 else None, n) for n in range(40)]
    seen = []
    for row in turns.in_turn(rows, lambda row: row[0]):
        seen.append(row)
        with turns.turn(row[0], Clock(1.0)) if row[0] else nullcontext():
            pass
    assert Counter(seen) == Counter(rows) and [row for row in rows if row[0] is None] == seen[:10]


def test_a_redirect_gives_the_first_place_back():
    turns = Turns(per_host=1, delay_s=0.0)
    with turns.turn("a", Clock(1.0)) as one:
        one.move_to("b")
        with turns.turn("a", Clock(1.0)):  # would wait for ever
            pass
