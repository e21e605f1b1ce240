"""Reading reservations of text and data mining, in file, headers and meta tags."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unclip_pipeline.scraping import ScrapeConfig
from unclip_pipeline.scraping.permission import PlainAnswer, page_decision
from unclip_pipeline.scraping.permission.patterns import path_of
from unclip_pipeline.scraping.permission.permission import answer_evidence
from unclip_pipeline.scraping.permission.tdm import TdmFile

WHERE = "https://example.test/.well-known/tdmrep.json"
REPORT = [  # the example of the report, section 6.2.2
    {"location": "/directory-a/", "tdm-reservation": 1},
    {
        "location": "/directory-b/html/",
        "tdm-reservation": 1,
        "tdm-policy": "https://provider.test/policy.json",
    },
    {"location": "/directory-b/images/*.jpg", "tdm-reservation": 0},
]


def said(content: object, path: str, status: int | None = 200) -> tuple[str, str]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    found = TdmFile.read(WHERE, PlainAnswer(status, [], body)).evidence(
        path_of(f"https://example.test{path}")
    )
    assert (found.scope, found.where, found.signal) == ("host", WHERE, "tdmrep.json")
    return found.decision, found.raw


@pytest.mark.parametrize(
    ("path", "decision"),
    [
        ("/directory-a/x.pdf", "refused"), ("/directory-b/html/x", "refused"),
        ("/directory-b/images/x.jpg", "allowed"), ("/directory-b/images/x.png", "unknown"),
        ("/Directory-a/x", "unknown"), ("/", "unknown"),
    ],
)  # fmt: skip
def test_the_example_of_the_report_is_read_as_it_says(path, decision):
    assert said(REPORT, path)[0] == decision


def test_the_first_rule_that_matches_holds_and_not_the_longest():
    free, reserved = {"location": "/", "tdm-reservation": 0}, {"location": "/a", "tdm-reservation": 1}
    assert said([free, reserved], "/a/b")[0] == "allowed"
    assert said([reserved, free], "/a/b")[0] == "refused"


def test_a_policy_is_evidence_and_makes_no_difference():
    decision, raw = said(REPORT, "/directory-b/html/x")
    assert decision == "refused"
    assert "https://provider.test/policy.json" in raw


@pytest.mark.parametrize(
    ("location", "path", "is_match"),
    [
        ("/", "/any", True), ("/a$", "/a", True), ("/a$", "/ab", False), ("/*/c", "/a/b/c", True),
        ("/*.jpg$", "/a.jpg?b", False), ("/foo-%24", "/foo-$", True), ("/%7Ea", "/~a", True),
        ("*.png", "/a/b.png", True), ("a/", "/a/b", True), ("/a*b*c$", "/a1b2c", True),
        ("/a*bc$", "/abc", True), ("/ab*bc$", "/abc", False), ("/é", "/%c3%a9", True), ("/%c3%a9", "/é", True),
        ("/a%2Fb", "/a/b", False),
        ("/**", "/a", True), ("/a*", "/", False), ("/*a$", "/", False),
    ],
)  # fmt: skip
def test_locations_match_as_patterns_of_robots_txt_do(location, path, is_match):
    decision, _ = said([{"location": location, "tdm-reservation": 1}], path)
    assert decision == ("refused" if is_match else "unknown")


@pytest.mark.parametrize(
    ("value", "decision"),
    [
        (1, "refused"), (0, "allowed"), ("1", "refused"), (" 0 ", "allowed"),
        (2, "unknown"), (-1, "unknown"), (True, "unknown"), (1.0, "unknown"), (None, "unknown"), ([1], "unknown"),
        (10**400, "unknown"),
    ],
)  # fmt: skip
def test_values_but_0_and_1_are_errors_and_count_as_unset(value, decision):
    assert said([{"location": "/", "tdm-reservation": value}], "/a")[0] == decision


@pytest.mark.parametrize(
    ("body", "raw"),
    [
        (b"", "no JSON: JSONDecodeError"), (b"<html>", "no JSON: JSONDecodeError"), (b"1", "no list of rules"),
        (b"[" * 100_000, "no JSON: RecursionError"), (b"null", "no list of rules"), (b"[]", "no rule matches"),
        (b'[1, null, {"location": 3, "tdm-reservation": 1}, {"tdm-reservation": 1}]', "no rule matches"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_list_of_rules_is_unknown_and_says_why(body, raw):
    assert said(body, "/a") == ("unknown", raw)


def test_a_rule_without_its_brackets_and_a_byte_order_mark_are_forgiven():
    assert said({"location": "/", "tdm-reservation": 1}, "/a")[0] == "refused"
    assert said(b'\xef\xbb\xbf[{"location": "/", "tdm-reservation": 1}]', "/a")[0] == "refused"


@pytest.mark.parametrize("status", [404, 403, 500, 302, None])
def test_without_a_file_nothing_is_reserved_and_nothing_allowed(status):
    decision, raw = said(REPORT, "/directory-a/x", status)
    assert (decision, raw) == ("unknown", "no answer" if status is None else f"HTTP {status}")


@pytest.mark.parametrize(
    ("headers", "decision"),
    [
        ([("tdm-reservation", "1")], "refused"), ([("TDM-Reservation", " 0 ")], "allowed"),
        ([("tdm-reservation", "0"), ("tdm-reservation", "1")], "refused"), ([("tdm-reservation", "0, 1")], "refused"),
        ([("tdm-reservation", "1"), ("tdm-policy", "https://a/p")], "refused"),
        ([("tdm-reservation", '"1"')], "refused"), ([("tdm-reservation", "yes")], "unknown"),
        ([("tdm-reservation", "")], "unknown"),
    ],
)  # fmt: skip
def test_headers_in_their_spellings(headers, decision):
    [found] = answer_evidence("http://a/b.jpg", headers, ScrapeConfig())
    assert (found.signal, found.decision, found.where) == ("tdm-reservation", decision, "http://a/b.jpg")
    assert "https://a/p" in found.raw or len(headers[-1][1]) < 9


def test_a_policy_alone_says_nothing():
    assert answer_evidence("http://a/", [("tdm-policy", "https://a/p")], ScrapeConfig()) == []


def test_a_pages_meta_tags_hold_over_its_headers():
    def refused(content: str, header: str) -> bool:
        metas = [("TDM-Reservation", content), ("tdm-policy", "https://a/p")]
        return page_decision(metas, [("tdm-reservation", header)], "http://a/", ScrapeConfig()).is_refused

    assert [refused("0", "1"), refused("1", "0"), refused("?", "1"), refused("?", "0")] == [
        False,
        True,
        True,
        False,
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["location", "tdm-reservation", "tdm-policy"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON, st.text("ab/*$%", max_size=6))
def test_any_json_can_be_read(content, path):
    assert said(content, f"/{path}")[0] in {"allowed", "refused", "unknown"}


@given(st.binary(max_size=200))
def test_any_body_can_be_read(body):
    said(body, "/a")
