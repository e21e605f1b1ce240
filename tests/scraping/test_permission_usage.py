"""Reading statements about use: strict about form, heard in every draft's words."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unclip_pipeline.scraping import ScrapeConfig
from unclip_pipeline.scraping.permission.permission import answer_evidence
from unclip_pipeline.scraping.permission.usage import SIGNAL, USAGE, dictionary, usage_decision

USAGES = ScrapeConfig().refused_usages


@pytest.mark.parametrize(
    ("statement", "decision"),
    [
        ("train-ai=n", "refused"), ("train-ai=y", "allowed"), ("search=y, train-ai=n", "refused"),
        ("train-ai=y, train-ai=n", "refused"), ("train-ai=n, train-ai=y", "allowed"),  # the last counts
        ("train-ai=n;unless=\"a, b=y\";x", "refused"), ("  train-ai=n  ", "refused"),
        ("train-ai=n\t,\tsearch=y", "refused"), ("genai=n", "refused"), ("train-genai=n", "refused"),
        ("train-ai=y, train-genai=n", "refused"), ("ai=n", "refused"),
        ("tdm=n", "refused"), ("all=n", "refused"), ("bots=y", "allowed"),
        ("bots=n, train-ai=y", "allowed"), ("all=n, tdm=y", "allowed"),  # the narrower word holds
        ("train-ai=?0, bots=n", "refused"),
        ("search=n", "unknown"), ("ai-use=n", "unknown"), ("", "unknown"),
        ("train-ai", "unknown"), ("train-ai=?0", "unknown"), ("train-ai=\"n\"", "unknown"),
        ("train-ai=no", "unknown"), ("train-ai=N", "unknown"), ("train-ai=1", "unknown"),
        ("train-ai=(n)", "unknown"), ("TRAIN-AI=n", "unknown"), ("train-ai=n,", "unknown"),
        ("train-ai=n search=y", "unknown"), ("train-ai = n", "unknown"), ("train-ai=n;", "unknown"),
        ("train-ai=n, =y", "unknown"), ("train-ai=n, Search=y", "unknown"), ("train-ai=né", "unknown"),
    ],
)  # fmt: skip
def test_statements_and_what_they_mean(statement, decision):
    assert usage_decision(USAGE, statement, USAGES) == decision


@pytest.mark.parametrize(
    ("statement", "decision"),
    [
        ("ai-train=no", "refused"), ("search=yes, ai-train=no", "refused"), ("AI-Train = NO", "refused"),
        ("search=yes,ai-train=yes,use=reference", "allowed"), ("search=no", "unknown"), ("ai-train", "unknown"),
        ("ai-input=no", "unknown"), ("<html>", "unknown"),
    ],
)  # fmt: skip
def test_signals_and_what_they_mean(statement, decision):
    assert usage_decision(SIGNAL, statement, USAGES) == decision


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("", {}), ("a=1, b=-1.5, c=?1, d=:aGk=:, e=@17, f=\"x\\\"y\", g=%\"%c3%a9\", h=*t/o:k", 8),
        ("a=(1 2;x \"b\" );y=1, b=()", {"a": "(1 2;x \"b\" )", "b": "()"}), ("a;x=1;y, b", {"a": "?1", "b": "?1"}),
        ("a=1.", None), ("a=1.2345", None), ("a=1234567890123456", None), ("a=\"x", None), ("a=\"\t\"", None),
        ("a=(1", None), ("a=(1,2)", None), ("a=(1 2)b", None), ("a=?2", None), ("a= 1", None), ("1a=1", None),
        ("a=%\"%C3\"", None), ("a=:a!:", None), (",a", None), ("a,,b", None), ("a=@1.5", None), ("a=(1\"b\")", None),
    ],
)  # fmt: skip
def test_dictionaries_are_read_as_rfc_9651_says(text, members):
    found = dictionary(text)
    assert (len(found) if isinstance(members, int) else found) == members


TOKENS = st.from_regex(r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]{0,8}", fullmatch=True)
KEYS = st.from_regex(r"[a-z*][a-z0-9_\-.*]{0,8}", fullmatch=True)
STRINGS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8).map(
    lambda text: '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
)
BARE = (
    TOKENS | STRINGS | st.integers(-(10**15) + 1, 10**15 - 1).map(str) | st.sampled_from(["?0", "?1", "1.5"])
)


@given(st.dictionaries(KEYS, st.tuples(BARE, st.dictionaries(KEYS, BARE, max_size=2)), max_size=5))
def test_whatever_is_written_as_a_dictionary_is_read_back(members):
    def written(item: tuple[str, dict[str, str]]) -> str:
        return item[0] + "".join(f";{key}={value}" for key, value in item[1].items())

    text = ", ".join(f"{key}={written(item)}" for key, item in members.items())
    assert dictionary(text) == {key: bare for key, (bare, _) in members.items()}


@given(st.text(), st.sampled_from([USAGE, SIGNAL]))
def test_any_text_can_be_read(text, kind):
    assert usage_decision(kind, text, USAGES) in {"allowed", "refused", "unknown"}


@given(st.text('ab=,;() "\\?:@%*1.-n', max_size=60))
def test_text_that_is_nearly_a_dictionary_can_be_read(text):
    dictionary(text)


@pytest.mark.parametrize(
    "seed", ["a=(", "a=(1 ", "a;b", 'a="', "a=:", "a, ", "a=((", "a=( ", "a=1;;", 'a=%"%c3']
)
def test_long_garbage_takes_no_long_time(seed):
    start_s = time.process_time()
    dictionary(seed * 20_000 + "!")
    assert time.process_time() - start_s < 1


def test_headers_of_one_name_are_one_statement():
    split = [("content-usage", "search=y"), ("Content-Usage", "train-ai=n")]
    [found] = answer_evidence("http://a/", split, ScrapeConfig())
    assert (found.signal, found.raw, found.decision) == (USAGE, "search=y, train-ai=n", "refused")
    [found] = answer_evidence("http://a/", [*split, ("CONTENT-USAGE", "!")], ScrapeConfig())
    assert found.decision == "unknown"
