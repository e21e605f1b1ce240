"""Addresses, licences and languages as pages write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unclip_pipeline.corpus.uids import canonical_url
from unclip_pipeline.scraping.harvest.addresses import Size, largest_first, resolve, srcset
from unclip_pipeline.scraping.harvest.language import primary_subtag
from unclip_pipeline.scraping.harvest.licences import Licence, identifier, licence_of
from unclip_pipeline.scraping.harvest.page import Link

CC_BY = "https://creativecommons.org/licenses/by/4.0/"
CC_SA = "https://creativecommons.org/licenses/by-sa/4.0/"


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("", []),
        (" , ,", []),
        ("a.png", [(0, 1, "a.png")]),
        ("a.png, b.png 2x", [(0, 1, "a.png"), (0, 2, "b.png")]),
        ("a.png 300w,b.png 1.5x", [(300, 1, "a.png"), (0, 1.5, "b.png")]),
        ("a,b.png 2x, c.png", [(0, 2, "a,b.png"), (0, 1, "c.png")]),
        ("data:image/png;base64,AA== 1w, b.png 2W", [(1, 1, "data:image/png;base64,AA=="), (2, 1, "b.png")]),
        ("a.png 100w 50h", [(100, 1, "a.png")]),
        ("a.png foo(1, 2) 5w, b.png", [(5, 1, "a.png"), (0, 1, "b.png")]),
        ("a.png,", [(0, 1, "a.png")]),
    ],
)
def test_a_srcset_is_split_as_the_standard_says(written: str, found: list[tuple[float, float, str]]) -> None:
    assert srcset(written) == [(Size(width, density), address) for width, density, address in found]


@given(st.text(alphabet="a,.( )w2x\t/:", max_size=80))
def test_any_srcset_is_split_into_addresses_without_spaces(written: str) -> None:
    assert all(address and not set(address) & set(" \t") for _, address in srcset(written))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=6))
def test_the_largest_goes_first_and_of_equals_the_first(sizes: list[tuple[int, int]]) -> None:
    candidates = [(Size(float(w), float(x)), f"{place}") for place, (w, x) in enumerate(sizes)]
    assert largest_first(candidates) == tuple(sorted(largest_first(candidates), key=lambda n: (
        -candidates[int(n)][0].width_px, -candidates[int(n)][0].density, int(n)
    )))  # fmt: skip


@given(st.text(max_size=60), st.sampled_from(["http://a.example/b/c", "https://a.example"]))
def test_any_text_resolves_to_a_canonical_http_address_or_to_a_reason(written: str, base: str) -> None:
    url, reason = resolve(written, base, 500)
    assert (url is None) != (reason is None)
    if url is not None:
        assert url.startswith(("http://", "https://")) and url == canonical_url(url)
        url.encode()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (CC_BY, "CC-BY-4.0"),
        ("http://www.creativecommons.org/licenses/by/4.0", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by-nc-sa/3.0/de/deed.en", "CC-BY-NC-SA-3.0-DE"),
        ("https://creativecommons.org/licenses/by-nd-nc/1.0/", "CC-BY-NC-ND-1.0"),
        ("https://creativecommons.org/licenses/by/3.0/igo/legalcode", "CC-BY-3.0-IGO"),
        ("https://creativecommons.org/licenses/by/4.0/legalcode.fr#x", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by/4.0/rdf", "CC-BY-4.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/deed.fr", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "CC-PDM-1.0"),
        ("https://www.gnu.org/licenses/old-licenses/fdl-1.2.html", "GFDL-1.2"),
        ("https://www.apache.org/licenses/LICENSE-2.0", "Apache-2.0"),
        ("https://opensource.org/licenses/MIT", "MIT"),
        ("https://spdx.org/licenses/OGL-UK-3.0.html", "OGL-UK-3.0"),
        ("https://creativecommons.org/", None),
        ("https://creativecommons.org/licenses/sampling+/1.0/", None),
        ("https://creativecommons.org.evil.example/licenses/by/4.0/", None),
        ("https://example.org/licenses/by/4.0/", None),
        ("http://[bad", None),
    ],
)
def test_licences_have_the_names_of_the_spdx_list(url: str, name: str | None) -> None:
    assert identifier(url) == name


@pytest.mark.parametrize(
    ("figure", "page", "licence"),
    [
        ([], [], Licence(None, None, None)),
        ([(CC_BY, False)], [(CC_SA, True)], Licence("CC-BY-4.0", CC_BY, "figure")),
        ([], [(CC_SA, True)], Licence("CC-BY-SA-4.0", CC_SA, "page")),
        ([], [(CC_BY, False), (CC_SA, True)], Licence("CC-BY-SA-4.0", CC_SA, "page")),
        ([], [(CC_BY, True), (CC_SA, True)], Licence(None, None, None)),  # which is this image's?
        ([(CC_BY, True), (CC_SA, True)], [(CC_BY, True)], Licence(None, None, None)),
        ([], [(CC_BY, False), (CC_BY + "deed.en", False)], Licence("CC-BY-4.0", CC_BY, "page")),
        ([("/terms", True)], [], Licence(None, "http://site.example/terms", "figure")),
        ([("https://example.org/", False)], [], Licence(None, None, None)),
        ([("mailto:me@example.org", True)], [], Licence(None, None, None)),
    ],
)
def test_the_licence_is_the_figures_else_the_pages_and_none_where_there_are_several(
    figure: list[tuple[str, bool]], page: list[tuple[str, bool]], licence: Licence
) -> None:
    links = [[Link(*link) for link in place] for place in (figure, page)]
    assert licence_of(*links, "http://site.example/rooms/one.html") == licence


@pytest.mark.parametrize(
    ("tag", "language"),
    [("en", "en"), (" EN-us ", "en"), ("zh_Hant_TW", "zh"), ("gsw", "gsw"), ("english", None), ("x", None), ("", None)],
)  # fmt: skip
def test_a_language_tag_is_cut_to_its_language(tag: str, language: str | None) -> None:
    assert primary_subtag(tag) == language
