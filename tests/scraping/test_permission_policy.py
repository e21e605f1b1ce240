"""All signals together: what refuses, what overrules what, and who is asked how often."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unclip_pipeline.corpus.fates import is_fate
from unclip_pipeline.scraping import ScrapeConfig
from unclip_pipeline.scraping.answer import Evidence
from unclip_pipeline.scraping.permission import Decision, Permission, PlainAnswer, page_decision, permission
from unclip_pipeline.scraping.permission.decision import decide

HOST = "http://example.test"
PICTURE = f"{HOST}/a/b.jpg"
NOTHING = PlainAnswer(404, [], b"")


class Web:
    """Files of rules by URL, and how often each was asked for."""

    def __init__(self, files: dict[str, str | int | None]) -> None:
        self._files = files
        self.asked: Counter[str] = Counter()

    def __call__(self, url: str) -> PlainAnswer:
        self.asked[url] += 1
        file = self._files.get(url.removeprefix(HOST), 404)
        return PlainAnswer(200, [], file.encode()) if isinstance(file, str) else PlainAnswer(file, [], b"")


def judged(
    robots: str | int | None = 404,
    tdmrep: str | int = 404,
    headers: tuple[tuple[str, str], ...] = (),
    **config: object,
) -> Decision:
    """Ask, and if that is allowed, keep."""
    web = Web({"/robots.txt": robots, "/.well-known/tdmrep.json": tdmrep})
    permission = Permission(ScrapeConfig(**config), web)
    so_far = permission.may_ask(PICTURE)
    return so_far if so_far.is_refused else permission.may_keep(PICTURE, list(headers), so_far)


RESERVED, FREE = (f'[{{"location": "/", "tdm-reservation": {value}}}]' for value in (1, 0))
REFUSALS = {
    "robots.txt": {"robots": "User-agent: *\nDisallow: /a"},
    "robots.txt Content-Usage": {"robots": "User-agent: *\nContent-Usage: /a train-ai=n"},
    "robots.txt Content-Signal": {"robots": "User-agent: *\nContent-Signal: ai-train=no"},
    "tdmrep.json": {"tdmrep": RESERVED},
    "X-Robots-Tag": {"headers": (("x-robots-tag", "NoAI"),)},
    "tdm-reservation": {"headers": (("tdm-reservation", "1"),)},
    "Content-Usage": {"headers": (("content-usage", "train-ai=n"),)},
}
SWITCHED_OFF = {
    "respect_robots": False, "refuse_tdm_reservation": False, "refused_usages": (), "refused_directives": (),
}  # fmt: skip


@pytest.mark.parametrize("signal", REFUSALS)
def test_every_signal_refuses_alone_and_is_named_in_the_reason(signal):
    decision = judged(**REFUSALS[signal])
    assert (decision.is_refused, decision.fate) == (True, "scrape.opted_out")
    assert decision.reason.startswith(f"{signal}: ")
    assert any(found.signal == signal and found.decision == "refused" for found in decision.evidence)


@pytest.mark.parametrize("signal", REFUSALS)
def test_every_signal_can_be_switched_off_and_is_read_all_the_same(signal):
    decision = judged(**REFUSALS[signal], **SWITCHED_OFF)
    assert not decision.is_refused
    assert any(found.signal == signal for found in decision.evidence)


@pytest.mark.parametrize("signal", REFUSALS)
@pytest.mark.parametrize("when_unknown", ["fetch", "refuse"])
def test_no_yes_outweighs_a_no_of_another_kind(signal, when_unknown):
    yes = (("content-usage", "train-ai=y"),) if "Usage" not in signal else ()
    case = dict(REFUSALS[signal], headers=(*REFUSALS[signal].get("headers", ()), *yes))
    assert judged(**case, when_unknown=when_unknown).fate == "scrape.opted_out"


def test_silence_is_recorded_as_unknown_and_the_policy_decides():
    decision = judged()
    assert not decision.is_refused
    assert decision.evidence[-1] == Evidence("answer", PICTURE, "none", "", "unknown", "policy/1")
    assert judged(when_unknown="refuse").fate == "scrape.permission_unknown"


@pytest.mark.parametrize(
    ("case", "is_kept"),
    [
        ({"headers": (("content-usage", "train-ai=y"),)}, True),
        ({"headers": (("tdm-reservation", "0"),)}, True),
        ({"tdmrep": FREE}, True),
        ({"robots": "User-agent: *\nContent-Usage: / train-ai=y"}, True),
        ({"robots": "User-agent: *\nAllow: /"}, False),  # a way in is no permission to use
        ({"headers": (("x-robots-tag", "all"),)}, False),
        ({"headers": (("content-usage", "search=y"),)}, False),
        ({"headers": (("content-usage", "train-ai=y,"),)}, False),
        ({"tdmrep": FREE, "headers": (("tdm-reservation", "yes"),)}, True),
    ],
)
def test_where_unknown_is_refused_only_a_word_about_use_allows(case, is_kept):
    assert judged(**case, when_unknown="refuse").is_refused != is_kept
    assert not judged(**case).is_refused


def test_a_header_overrules_the_file_of_reservations():
    assert judged(tdmrep=FREE, headers=(("tdm-reservation", "1"),)).is_refused
    assert not judged(tdmrep=FREE, headers=(("tdm-reservation", "nonsense"),)).is_refused
    file = Evidence("host", "", "tdmrep.json", "", "refused", "")
    header = Evidence("answer", "", "tdm-reservation", "0", "allowed", "")
    assert not decide([file, header], ScrapeConfig()).is_refused
    assert decide([file, header._replace(decision="unknown")], ScrapeConfig()).is_refused


def test_what_the_file_reserves_is_not_asked_for_to_see_whether_a_header_takes_it_back():
    assert judged(tdmrep=RESERVED, headers=(("tdm-reservation", "0"),)).is_refused


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        (500, "scrape.permission_unknown"),
        (429, "scrape.permission_unknown"),
        (None, "scrape.connection_error"),
    ],
)
def test_rules_that_cannot_be_had_forbid_everything(status, fate):
    web = Web({"/robots.txt": status})
    decision = Permission(ScrapeConfig(), web).may_ask(PICTURE)
    assert (decision.is_refused, decision.fate) == (True, fate)
    assert is_fate(fate)
    assert [found.decision for found in decision.evidence] == ["unknown", "unknown"]
    assert set(web.asked) == {f"{HOST}/robots.txt"}  # and nothing else is asked for
    assert not judged(robots=status, respect_robots=False).is_refused


def test_reservations_are_not_asked_for_where_robots_txt_forbids_it():
    web = Web({"/robots.txt": "User-agent: *\nDisallow: /.well-known/", "/.well-known/tdmrep.json": RESERVED})
    decision = Permission(ScrapeConfig(), web).may_ask(PICTURE)
    assert not decision.is_refused
    assert decision.evidence[-1].raw == "not asked: robots.txt"
    assert set(web.asked) == {f"{HOST}/robots.txt"}


def test_the_crawl_delay_comes_with_every_decision():
    delay = {"robots": "User-agent: *\nCrawl-delay: 3\nDisallow: /no"}
    assert judged(**delay).crawl_delay_s == 3
    assert judged(**delay, headers=(("x-robots-tag", "noai"),)).crawl_delay_s == 3


def test_a_redirect_may_refuse_and_its_silence_does_not():
    permission = Permission(ScrapeConfig(when_unknown="refuse"), Web({}))
    so_far = permission.may_ask(PICTURE)
    assert permission.may_follow(PICTURE, [("X-Robots-Tag", "noai")], so_far).fate == "scrape.opted_out"
    silent = permission.may_follow(PICTURE, [("Location", "/c")], so_far)
    assert silent == so_far
    assert permission.may_keep(PICTURE, [], silent).is_refused


@pytest.mark.parametrize(
    ("metas", "is_refused"),
    [
        ([("robots", "noai")], True), ([("ROBOTS", "noindex, NoImageAI")], True),
        ([("unclip_pipeline", "noml")], True), ([("Unclip-Pipeline", "none")], True),
        ([("robots", "index"), ("robots", "noai")], True), ([("robots", "noai noimageai")], True),
        ([("noai", "")], True), ([("otherbot", "noai")], False),
        ([("robots", "noindex, nofollow")], False), ([], False),
        ([("description", "noai")], False), ([("", "")], False),
    ],
)  # fmt: skip
def test_meta_tags_of_a_page_in_their_spellings(metas, is_refused):
    decision = page_decision(metas, [], f"{HOST}/page.html", ScrapeConfig())
    assert decision.is_refused == is_refused
    assert all(found.scope == "page" for found in decision.evidence)
    assert not page_decision(
        metas, [], HOST, ScrapeConfig(when_unknown="refuse", refused_directives=())
    ).is_refused


def test_a_page_is_refused_by_its_headers_too():
    assert page_decision([], [("content-usage", "train-ai=n")], HOST, ScrapeConfig()).is_refused


def test_an_origin_is_asked_once_for_each_file_whatever_it_answers():
    web = Web({})
    permission = Permission(ScrapeConfig(), web)
    for number in range(50):
        permission.may_ask(f"{HOST}/{number}.jpg")
    assert web.asked == {f"{HOST}/robots.txt": 1, f"{HOST}/.well-known/tdmrep.json": 1}


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://Example.TEST/x", HOST), ("https://example.test/x", "https://example.test"),
        ("http://example.test:8080/x", f"{HOST}:8080"), ("http://user:word@example.test/x", HOST),
        ("http://[::1]:81/x", "http://[::1]:81"),
    ],
)  # fmt: skip
def test_an_origin_is_scheme_host_and_port(url, origin):
    web = Web({})
    Permission(ScrapeConfig(), web).may_ask(url)
    assert set(web.asked) == {f"{origin}/robots.txt", f"{origin}/.well-known/tdmrep.json"}


def test_sixteen_threads_at_once_make_one_request_for_each_file():
    start = Barrier(16)
    web = Web({"/robots.txt": "User-agent: *\nDisallow: /3"})

    def slow(url: str) -> PlainAnswer:
        time.sleep(0.02)  # long enough for the others to come
        return web(url)

    permission = Permission(ScrapeConfig(), slow)

    def ask(number: int) -> bool:
        start.wait()
        return permission.may_ask(f"{HOST}/{number % 4}.jpg").is_refused

    with ThreadPoolExecutor(16) as threads:
        refused = list(threads.map(ask, range(16)))
    assert refused == [number % 4 == 3 for number in range(16)]
    assert set(web.asked.values()) == {1}


def test_a_slow_origin_holds_nobody_elses_threads():
    asked, answered = Barrier(2), Barrier(2)

    def get(url: str) -> PlainAnswer:
        if "slow" in url and url.endswith("robots.txt"):
            asked.wait(5)
            answered.wait(5)
        return NOTHING

    permission = Permission(ScrapeConfig(), get)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(permission.may_ask, "http://slow.test/a")
        asked.wait(5)
        assert not permission.may_ask("http://quick.test/a").is_refused
        answered.wait(5)
        assert not slow.result(5).is_refused


def test_rules_are_asked_for_again_after_a_day_and_failures_sooner():
    now_s = [0.0]
    for status, kept_s in ((404, permission.RULES_KEPT_S), (503, permission.FAILURE_KEPT_S)):
        web = Web({"/robots.txt": status})
        asker = Permission(ScrapeConfig(), web, clock=lambda: now_s[0])
        asker.may_ask(PICTURE)
        now_s[0] += kept_s - 1
        asker.may_ask(PICTURE)
        assert web.asked[f"{HOST}/robots.txt"] == 1
        now_s[0] += 1
        asker.may_ask(PICTURE)
        assert web.asked[f"{HOST}/robots.txt"] == 2


def test_origins_least_recently_used_are_forgotten(monkeypatch):
    monkeypatch.setattr(permission, "MAX_ORIGINS", 2)
    web = Web({})
    asker = Permission(ScrapeConfig(), web)
    for host in "abacab":
        asker.may_ask(f"http://{host}/")
    assert [web.asked[f"http://{host}/robots.txt"] for host in "abc"] == [1, 2, 1]


def test_origins_with_many_rules_take_the_room_of_many_origins(monkeypatch):
    monkeypatch.setattr(permission, "MAX_RULES", 10)
    long, short = "User-agent: *\n" + "Disallow: /x\n" * 8, "User-agent: *\nDisallow: /x\n"
    web = Web({f"http://{host}/robots.txt": long if host == "l" else short for host in "abcl"})
    asker = Permission(ScrapeConfig(), web)
    for host in "abcabclcbal":
        assert asker.may_ask(f"http://{host}/x").is_refused
    assert [web.asked[f"http://{host}/robots.txt"] for host in "abcl"] == [2, 1, 1, 2]


def test_rules_that_are_asked_for_again_take_no_more_room(monkeypatch):
    monkeypatch.setattr(permission, "MAX_RULES", 10)
    rules, now_s = "User-agent: *\n" + "Disallow: /x\n" * 4, [0.0]
    web = Web({f"http://{host}/robots.txt": rules for host in "ab"})
    asker = Permission(ScrapeConfig(), web, clock=lambda: now_s[0])
    for host in "abaabbab":
        asker.may_ask(f"http://{host}/x")
        now_s[0] += permission.RULES_KEPT_S / 4
    assert [web.asked[f"http://{host}/robots.txt"] for host in "ab"] == [2, 2]


def test_a_getter_that_raises_leaves_the_origin_to_be_asked_again():
    answers = iter([RuntimeError("a fault of ours"), NOTHING, NOTHING])

    def get(url: str) -> PlainAnswer:
        answer = next(answers)
        if isinstance(answer, RuntimeError):
            raise answer
        return answer

    asker = Permission(ScrapeConfig(), get)
    with pytest.raises(RuntimeError):
        asker.may_ask(PICTURE)
    assert not asker.may_ask(PICTURE).is_refused


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["X-Robots-Tag", "tdm-reservation", "TDM-Policy", "Content-Usage", "content-signal"])
        | st.text(),
        st.text() | st.sampled_from(["noai", "1", "0", "train-ai=n"]),
    ),
    max_size=4,
)


@given(HEADERS, st.lists(st.tuples(st.text(), st.text()), max_size=3), st.sampled_from(["fetch", "refuse"]))
def test_any_headers_and_tags_can_be_judged_and_written_down(headers, metas, when_unknown):
    config = ScrapeConfig(when_unknown=when_unknown)
    asker = Permission(config, Web({}))
    kept = asker.may_keep(PICTURE, headers, asker.may_ask(PICTURE))
    for decision in (kept, page_decision(metas, headers, PICTURE, config)):
        for found in decision.evidence:
            assert len(found.raw) <= 300
            found.raw.encode()  # any file can hold it
            assert found.decision in {"allowed", "refused", "unknown"}
        assert decision.is_refused == (decision.fate is not None) == bool(decision.reason)
    refused = [found for found in kept.evidence if found.decision == "refused"]
    assert not refused or kept.is_refused


def test_lists_that_are_words_and_policies_that_are_none_are_refused():
    with pytest.raises(ValueError, match="scrape.refused_usages must be a list"):
        ScrapeConfig(refused_usages="train-ai")
    with pytest.raises(ValueError, match="scrape.when_unknown must be 'fetch' or 'refuse', got 'ask'"):
        ScrapeConfig(when_unknown="ask")
