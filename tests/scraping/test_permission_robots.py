"""Reading robots.txt: whose rules, which rule, and what silence means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protego import Protego

from unclip_pipeline.scraping import ScrapeConfig
from unclip_pipeline.scraping.permission import PlainAnswer
from unclip_pipeline.scraping.permission.patterns import Pattern, path_of
from unclip_pipeline.scraping.permission.robots_txt import RobotsTxt

CONFIG = ScrapeConfig()
WHERE = "http://example.test/robots.txt"


def robots(text: str | bytes, status: int | None = 200) -> RobotsTxt:
    return RobotsTxt(WHERE, PlainAnswer(status, [], text if isinstance(text, bytes) else text.encode()))


def words(text: str, path: str = "/a/b.jpg") -> dict[str, tuple[str, str]]:
    return {
        found.signal: (found.decision, found.raw)
        for found in robots(text).evidence(path_of(f"http://example.test{path}"), CONFIG)
    }


@pytest.mark.parametrize(
    "name",
    ["unclip_pipeline", "UNCLIP_Pipeline", "unclip-pipeline", "unclip_pipeline/0.1", " Unclip_pipeline (x)"],
)
def test_a_group_in_our_name_holds_over_the_one_for_all(name):
    text = f"User-agent: *\nDisallow: /\n\nUser-agent: {name}\nDisallow: /private/\n"
    assert robots(text).allows("/a")
    assert not robots(text).allows("/private/a")
    assert not robots(text.replace("Disallow: /\n", "").replace("private/", "")).allows("/a")


@pytest.mark.parametrize("name", ["unclip", "pipeline", "otherbot", "my_unclip_pipeline", ""])
def test_groups_of_others_are_not_ours(name):
    assert robots(f"User-agent: {name}\nDisallow: /\n").allows("/a")


def test_an_empty_group_in_our_name_lets_us_in():
    assert robots("User-agent: unclip_pipeline\nDisallow:\n\nUser-agent: *\nDisallow: /").allows("/a")


def test_a_group_may_name_several_and_a_name_may_have_several_groups():
    text = "User-agent: a\nUser-agent: unclip_pipeline\nDisallow: /1\n\nUser-agent: b\nDisallow: /2\n\n"
    text += "user-agent: UNCLIP_PIPELINE\ndisallow: /3"
    assert [robots(text).allows(path) for path in ("/1", "/2", "/3", "/4")] == [False, True, False, True]


@pytest.mark.parametrize(
    ("rules", "path", "is_allowed"),
    [
        ("Disallow: /a\nAllow: /a/b", "/a/b.jpg", True),  # the longest holds
        ("Allow: /a/b\nDisallow: /a/b.jpg", "/a/b.jpg", False),
        ("Disallow: /a/b.jpg\nAllow: /a/b.jpg", "/a/b.jpg", True),  # of equals, the kinder
        ("Disallow: /*.jpg$", "/a/b.jpg", False),
        ("Disallow: /*.jpg$", "/a/b.jpg?x=1", True),
        ("Disallow: /*?", "/a?x", False),
        ("Disallow: /%C3%A9", "/é.jpg", False),
        ("Disallow: /é", "/%c3%a9.jpg", False),
        ("Disallow: /%61", "/a/b.jpg", False),
        ("Disallow: /A", "/a/b.jpg", True),
        ("Disallow:", "/a", True),
        ("Disallow: / # all of it", "/a", False),
        ("Disallow: //b", "//b/c.jpg", False),
    ],
)
def test_rules_match_paths_as_rfc_9309_says(rules, path, is_allowed):
    assert robots(f"User-agent: *\n{rules}").allows(path_of(f"http://example.test{path}")) == is_allowed


@pytest.mark.parametrize(
    ("status", "is_allowed", "decision", "raw"),
    [
        (404, True, "allowed", "HTTP 404"), (403, True, "allowed", "HTTP 403"),
        (302, True, "allowed", "HTTP 302"), (429, False, "unknown", "HTTP 429"),
        (500, False, "unknown", "HTTP 500"), (503, False, "unknown", "HTTP 503"),
        (None, False, "unknown", "no answer"), (200, False, "refused", "Disallow: /"),
    ],
)  # fmt: skip
def test_what_the_status_means(status, is_allowed, decision, raw):
    file = robots("User-agent: *\nDisallow: /", status)
    [found] = file.evidence("/a", CONFIG)
    assert (file.allows("/a"), found.decision, found.raw) == (is_allowed, decision, raw)
    assert (found.scope, found.where, found.rule) == ("host", WHERE, "rfc9309/1")


def test_the_evidence_is_the_line_that_decided():
    text = "User-agent: *\nDisallow: /a # no\nDisallow: /a/c\nAllow: /a/b\nDisallow: /c\nDissallow: /misspelt"
    assert words(text, "/a/x")["robots.txt"] == ("refused", "Disallow: /a")
    assert words(text, "/a/c")["robots.txt"] == ("refused", "Disallow: /a/c")
    assert words(text, "/a/b")["robots.txt"] == ("allowed", "Allow: /a/b")
    assert words(text, "/d")["robots.txt"] == ("allowed", "no rule matches")
    assert words(text, "/misspelt")["robots.txt"][0] == "refused"


def test_a_byte_order_mark_and_a_web_page_are_no_rules():
    assert not robots(b"\xef\xbb\xbfUser-agent: *\nDisallow: /").allows("/a")
    assert robots("<!doctype html><html>User-agent: *: not found</html>").allows("/a")


def test_half_a_mebibyte_is_read_and_the_line_cut_there_is_not():
    head, last = b"User-agent: *\nDisallow: /early\n#", b"\nDisallow: /c"
    padding = b"x" * (500 * 1024 - len(head) - len(last))
    file = robots(head + padding + last + b"ut\nDisallow: /late\n")
    assert [file.allows(path) for path in ("/early", "/c", "/cut", "/late")] == [False, True, True, True]


def test_the_crawl_delay_is_that_of_our_group():
    text = "User-agent: *\nCrawl-delay: 7\n\nUser-agent: unclip_pipeline\nCrawl-delay: 2.5"
    assert robots(text).crawl_delay_s == 2.5
    assert robots("User-agent: *\nCrawl-delay: soon").crawl_delay_s is None


def test_usages_hold_by_the_longest_path_and_only_where_crawling_is_allowed():
    text = (
        "User-Agent: *\nAllow: /\nDisallow: /never/\nContent-Usage: / train-ai=n\n"
        "Content-Usage: /ai-ok/ train-ai=y\n\nUser-Agent: unclip-pipeline\nAllow: /\nContent-Usage: / train-ai=y"
    )
    ours = words(text, "/test")
    assert ours["robots.txt Content-Usage"] == ("allowed", "Content-Usage: / train-ai=y")
    theirs = text.rpartition("User-Agent")[0]  # the example of draft-ietf-aipref-attach, 3.4
    assert words(theirs, "/test")["robots.txt Content-Usage"][0] == "refused"
    found = [signal.decision for signal in robots(theirs).evidence("/ai-ok/test", CONFIG)]
    assert found == ["allowed", "allowed"]  # to be asked for, and to be used
    assert set(words(theirs, "/never/test")) == {"robots.txt"}


@pytest.mark.parametrize("longer", ["/a/b.jpg$", "/a/b.jpg*", "/*/b.jpg$"])
def test_the_signs_of_a_pattern_count_for_its_length(longer):
    shorter = "/a/b.jpg" if longer.startswith("/a") else "/a/b.jp"
    text = f"User-agent: *\nContent-Usage: {shorter} train-ai=y\nContent-Usage: {longer} train-ai=n"
    found = [signal.raw for signal in robots(text).evidence("/a/b.jpg", CONFIG)][1:]
    assert found == [f"Content-Usage: {longer} train-ai=n"]


def test_of_two_usages_for_one_path_both_are_evidence():
    text = "User-agent: *\nContent-Usage: /a train-ai=y\nContent-Usage: /%61 train-ai=n"
    found = [e.decision for e in robots(text).evidence("/a/b", CONFIG) if e.signal.endswith("Usage")]
    assert found == ["allowed", "refused"]


@pytest.mark.parametrize(
    ("line", "decision"),
    [
        ("Content-Usage: train-ai=n", "refused"),
        ("content-usage : / train-ai=n # for now", "refused"),
        ("Content-Usage: / train-ai=N", "unknown"),
        ("Content-Usage: /", "unknown"),
        ("Content-Signal: search=yes, ai-train=no", "refused"),
        ("Content-Signal: /a search=yes,ai-train=yes", "allowed"),
        ("Content-Signal: search=yes", "unknown"),
        ("DisallowAITraining: /", "refused"),
    ],
)
def test_lines_about_use_are_read_in_their_spellings(line, decision):
    found = words(f"User-agent: *\n{line}\nAllow: /")
    [signal] = found.keys() - {"robots.txt"}
    assert found[signal][0] == decision


def test_rules_for_other_paths_say_nothing():
    text = (
        "User-agent: *\nDisallowAITraining: /b\nContent-Usage: /b train-ai=n\nContent-Signal: /b ai-train=no"
    )
    assert set(words(text)) == {"robots.txt"}


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode), st.text(max_size=50))
def test_any_file_can_be_read(body, path):
    file = robots(b"User-agent: *\n" + body)
    assert list(file.evidence(path_of(f"http://example.test/{path}"), CONFIG))
    assert file.crawl_delay_s is None or file.crawl_delay_s >= 0


PIECES = st.text("ab/%2*$?é", max_size=8)


@given(st.lists(PIECES.filter(lambda text: text.strip()), min_size=1, max_size=4), PIECES)
def test_a_pattern_matches_where_a_rule_of_protego_does(patterns, path):
    url = f"http://example.test/{path}"
    for pattern in patterns:
        rule = Protego.parse(f"User-agent: *\nDisallow: /{pattern}")
        plain = f"/{pattern}"
        if "$" in plain[:-1] or "$" in path or "%2" in plain + path or "?" in path or "*" in path:
            continue  # where its normal form differs from that of RFC 9309
        assert Pattern.of(plain).matches(path_of(url)) == (not rule.can_fetch(url, "a"))
