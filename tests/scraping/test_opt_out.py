"""Reading X-Robots-Tag."""

from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unclip_pipeline.scraping.permission.robots_tags import refused_by

REFUSED = ("noai", "noimageai")
WORDS = st.sampled_from(
    [
        "nofollow",
        "noindex",
        "max-snippet: 20",
        "max-image-preview: none",
        "unavailable_after: 25 Jun 2010 15:00:00 PST",
    ]
)


@given(st.lists(st.text()))
def test_any_text_can_be_read(tags):
    refused_by(tags, REFUSED)


@given(
    st.lists(WORDS),
    st.lists(WORDS),
    st.sampled_from(["noai", "NoAI", "NOIMAGEAI"]),
    st.sampled_from([",", ", ", " , "]),
)
def test_a_directive_for_all_is_found_among_any_others(before, after, directive, comma):
    assert refused_by([comma.join([*before, directive, *after])], REFUSED) == directive.lower()


@given(st.lists(WORDS), st.lists(WORDS))
def test_other_directives_refuse_nothing(first, second):
    assert refused_by([", ".join(first), ", ".join(second)], REFUSED) is None


def test_a_crawlers_name_holds_until_the_next_name():
    assert refused_by(["otherbot: nofollow, noai"], REFUSED) is None
    assert refused_by(["otherbot: nofollow, *: noai"], REFUSED) == "noai"
    assert refused_by(["otherbot: noai", "noai"], REFUSED) == "noai"


@pytest.mark.parametrize(
    "tag",
    [
        "noai", "NOAI", " noai ", "noai;", "nofollow;noai", "noindex, NoImageAI", '"noai"', "noai noimageai",
        "noai: true", "*: noai", "* : noai", "unclip_pipeline: noai", "Unclip-Pipeline: nofollow, noai",
        "unclip_pipeline/0.1: noai", "otherbot: nofollow, unclip_pipeline: noai",
        "unavailable_after: 25 Jun 2010 15:00:00 PST, noai",
        "unavailable_after: Friday, 25-Jun-10 15:00:00 PST, noai",
        "unavailable_after: 25 Jun 2010, 15:00:00 PST, noai", "unavailable_after: 2010, 06:25, noai",
        "noai, unavailable_after: 1 Jan 2030", "max-snippet: -1, max-image-preview: large, noai",
    ],
)  # fmt: skip
def test_spellings_of_a_no(tag):
    assert refused_by([tag], REFUSED)


@pytest.mark.parametrize(
    "tag",
    ["", "all", "noindex", "otherbot: noai", "my_unclip_pipeline: noai", "noairplay", "max-image-preview: noai",
     "no-ai-bot: nofollow", "otherbot: nofollow, noai; noimageai"],
)  # fmt: skip
def test_spellings_that_say_nothing_to_us(tag):
    assert refused_by([tag], REFUSED) is None


def test_img2dataset_misses_spellings_that_we_respect():
    import unclip_pipeline.scraping.img2dataset_guard  # noqa: F401, I001 (how it is imported)
    from img2dataset.downloader import is_disallowed

    missed = [
        "unavailable_after: 25 Jun 2010 15:00:00 PST, noai",
        "*: noai",
        "noai, unavailable_after: 1 Jan 2030",
    ]
    for tag in missed:
        headers = Message()
        headers["X-Robots-Tag"] = tag
        assert not is_disallowed(headers, "unclip_pipeline", set(REFUSED))
        assert refused_by([tag], REFUSED) == "noai"
