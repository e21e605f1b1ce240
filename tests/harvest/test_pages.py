"""Every rule of reading a page, with the row it must give."""

import time
from pathlib import Path

import pytest
from crawls import PAGE, harvested, only_row, response, rows_of

from unclip_pipeline.corpus.uids import pair_uid

SITE = "http://site.example"


@pytest.mark.parametrize(
    ("image", "url"),
    [
        ("<img src=a.png alt=x>", "/rooms/a.png"),
        ("<img src='/a b.png#part' alt=x>", "/a%20b.png"),
        ("<img src='../a.png' alt=x>", "/a.png"),
        ("<img src='..\\a.png' alt=x>", "/a.png"),
        ("<img src=' a.png\n' alt=x>", "/rooms/a.png"),
        ("<img src='a\n.png' alt=x>", "/rooms/a.png"),
        ("<img src='?id=1&amp;w=2' alt=x>", "/rooms/one.html?id=1&w=2"),
        ("<img src='//other.example/a.png' alt=x>", "http://other.example/a.png"),
        ("<img src='HTTPS://OTHER.example:443/a.png' alt=x>", "https://other.example/a.png"),
        ("<img src='http://bücher.example/ü.png' alt=x>", "http://xn--bcher-kva.example/%C3%BC.png"),
        ("<img src=small.png srcset='m.png 300w, l.png 900w' alt=x>", "/rooms/l.png"),
        ("<img src=small.png srcset='m.png 1.5x,l.png 2x' alt=x>", "/rooms/l.png"),
        ("<img src=data:image/gif;base64,R0lG data-src=a.png alt=x>", "/rooms/a.png"),
        ("<img src=blank.gif data-src=a.png alt=x>", "/rooms/a.png"),
        ("<img src=data:image/gif;base64,R0lG srcset='data:image/gif;base64,R0l, 1w, a.png 2w' alt=x>", "/rooms/a.png"),
        ("<img src=blank.gif data-srcset='a.png 2x' alt=x>", "/rooms/a.png"),
        ("<picture><source srcset='a.webp 900w' type=image/webp><img src=a.png alt=x></picture>", "/rooms/a.webp"),
        ("<picture><source srcset='a.webp' type=image/webp><img src=a.png alt=x></picture>", "/rooms/a.png"),
        ("<picture><source srcset='a.avif 9x' type=image/avif><img src=a.png alt=x></picture>", "/rooms/a.png"),
        ("<picture><source srcset=a.webp><img alt=x></picture>", "/rooms/a.webp"),
        ("<base href=/deep/><base href=/other/><img src=a.png alt=x>", "/deep/a.png"),
        ("<base href=https://cdn.example/><img src=a.png alt=x>", "https://cdn.example/a.png"),
        ("<base href='http://[bad'><img src=a.png alt=x>", "/rooms/a.png"),
        ("<noscript><img src=a.png alt=x></noscript>", "/rooms/a.png"),
    ],
)  # fmt: skip
def test_the_address_is_the_one_of_the_largest_picture_that_a_browser_would_ask_for(
    tmp_path: Path, image: str, url: str
) -> None:
    row = only_row(tmp_path, image)
    assert row["url"] == (url if "://" in url else SITE + url)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("<img alt=x>", "no_address"),
        ("<img src='  ' alt=x>", "no_address"),
        ("<img src=data:image/png;base64,AAAA alt=x>", "data_url"),
        ("<img src=blob:http://site.example/1 alt=x>", "not_http"),
        ("<img src=ftp://site.example/a.png alt=x>", "not_http"),
        ("<img src=file:///etc/passwd alt=x>", "not_http"),
        ("<img src=javascript:alert(1) alt=x>", "not_http"),
        ("<img src='http://[::1/a.png' alt=x>", "bad_url"),
        ("<img src='http://x:port/a.png' alt=x>", "bad_url"),
        ("<img src='http:///' alt=x>", "bad_url"),
        (f"<img src={'a' * 5000}.png alt=x>", "url_too_long"),
        ("<img src=p.gif width=1 height=1 alt=x>", "tracking_pixel"),
        ("<img src=p.gif width=0 height=0 alt=x>", "tracking_pixel"),
        ("<img src=icon.png width=600 height=7px alt=x>", "too_small"),
        ("<img src=icon.png height=5 alt=x>", "too_small"),
        ("<img src=a.png>", "no_caption"),
        ("<img src=a.png alt=' \n&nbsp;'>", "no_caption"),
        (f"<img src=a.png alt='{'x' * 2001}'>", "caption_too_long"),
        ("<img src=b.png alt=x><img src=a.png alt=x><img src='./a.png#2' alt=' x'>", "repeated_on_page"),
    ],
)
def test_an_image_that_is_not_listed_has_one_reason(tmp_path: Path, image: str, reason: str) -> None:
    found = harvested(tmp_path, {"one.warc": response(image)})
    assert dict(found.tally.drops) == {reason: 1}
    assert found.tally.candidates == len(found.url_list) + 1
    assert found.tally.examples[reason][0][1] == PAGE


@pytest.mark.parametrize("sizes", ["width=100% height=auto", "width=8 height=8", "width=1", "width='1e3'"])
def test_sizes_that_say_nothing_drop_nothing(tmp_path: Path, sizes: str) -> None:
    least = 8 if sizes != "width=1" else 1
    assert len(rows_of(tmp_path, f"<img src=a.png alt=x {sizes}>", min_side_px=least)) == 1


TEXTS = """<figure><div><img src=a.png alt="An &quot;alt&quot;
 of two   lines" title="A title" width=640 height=480px></div>
 <figcaption>A <b>figure</b>&nbsp;caption</figcaption></figure>"""


@pytest.mark.parametrize(
    ("sources", "caption"),
    [
        (("alt", "figure_caption"), 'An "alt" of two lines'),
        (("figure_caption", "alt"), "A figure caption"),
        (("title_attribute",), "A title"),
    ],
)
def test_the_caption_is_the_first_source_that_speaks_and_the_others_are_kept(
    tmp_path: Path, sources: tuple[str, ...], caption: str
) -> None:
    row = only_row(tmp_path, f"<title> A  page </title>{TEXTS}", caption_sources=sources)
    assert (row["caption"], row["caption_source"]) == (caption, sources[0])
    assert row["alt"] == 'An "alt" of two lines' and row["title_attribute"] == "A title"
    assert row["figure_caption"] == "A figure caption" and row["page_title"] == "A page"
    assert (row["width_attr"], row["height_attr"], row["page_url"], row["pages"]) == (640, 480, PAGE, 1)


def test_an_empty_source_gives_way_to_the_next(tmp_path: Path) -> None:
    row = only_row(tmp_path, "<img src=a.png alt='' title=t>")
    assert (row["caption"], row["caption_source"], row["alt"]) == ("t", "title_attribute", None)


def test_the_nearest_figure_speaks_for_a_picture(tmp_path: Path) -> None:
    body = "<figure><figure><img src=a.png><figcaption>near</figcaption></figure><figcaption>far</figcaption></figure>"
    assert only_row(tmp_path, body)["caption"] == "near"


def test_a_figure_has_its_own_caption_not_that_of_one_inside_it(tmp_path: Path) -> None:
    body = "<figure><figure><figcaption>near</figcaption></figure><img src=a.png><figcaption>own</figcaption></figure>"
    assert only_row(tmp_path, body)["caption"] == "own"


def test_the_open_graph_picture_is_listed_where_it_is_wanted(tmp_path: Path) -> None:
    metas = (
        "<meta property=og:image content=/og.png><meta property=og:description content='What it is about'>"
    )
    assert len(rows_of(tmp_path / "no", metas)) == 0
    row = only_row(tmp_path / "yes", metas, open_graph=True)
    assert (row["url"], row["caption"], row["caption_source"]) == (
        f"{SITE}/og.png",
        "What it is about",
        "og_description",
    )
    alt = "<meta property=og:image:alt content=Alt>"
    assert only_row(tmp_path / "alt", metas + alt, open_graph=True)["caption_source"] == "og_image_alt"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ("<img src=a.png alt='Größe'>".encode(), [("Content-Type", "text/html; charset=utf-8")]),
        (
            "<img src=a.png alt='Größe'>".encode("latin-1"),
            [("Content-Type", "text/html; charset=ISO-8859-1")],
        ),
        (
            "<meta charset=windows-1252><img src=a.png alt='Größe'>".encode("cp1252"),
            [("Content-Type", "text/html")],
        ),
        (
            "\ufeff<img src=a.png alt='Größe'>".encode("utf-16-le"),
            [("Content-Type", "text/html; charset=utf-8")],
        ),
        (
            "<meta charset=utf-8><img src=a.png alt='Größe'>".encode("latin-1"),
            [("Content-Type", "text/html;charset=latin1")],
        ),
        (b"<img src=a.png alt='Gr&ouml;&#223;e'>", [("Content-Type", "application/xhtml+xml")]),
        (b"<!doctype html><title>x</title><img src=a.png alt='Gr&ouml;&szlig;e'>", []),
    ],
)
def test_text_is_read_in_the_charset_of_the_server_then_of_the_page(
    tmp_path: Path, body: bytes, headers: list[tuple[str, str]]
) -> None:
    assert only_row(tmp_path, body, headers=headers)["caption"] == "Größe"


GERMAN = "<p>Dieser Text ist auf Deutsch geschrieben und lang genug, um die Sprache daran zu erkennen.</p>"


@pytest.mark.parametrize(
    ("body", "header", "language", "source"),
    [
        ("<html lang=en-US>", "fr", "en", "html_lang"),
        ("<html xml:lang=PT_br>", "", "pt", "html_lang"),
        ("<html lang=''>", "fr-CA", "fr", "content_language"),
        ("<meta http-equiv=content-language content=nl>", "", "nl", "content_language"),
        ("<html lang='{{lang}}'>" + GERMAN, "en, fr", "de", "detected"),
        (GERMAN, "", "de", "detected"),
        ("<p>zu kurz", "", None, "unknown"),
    ],
)
def test_the_language_is_what_the_page_says_then_its_server_then_its_text(
    tmp_path: Path, body: str, header: str, language: str | None, source: str
) -> None:
    headers = [("Content-Type", "text/html"), *([("Content-Language", header)] if header else [])]
    row = only_row(tmp_path, f"{body}<img src=a.png alt=x>", headers=headers)
    assert (row["page_language"], row["page_language_source"]) == (language, source)


def test_a_text_is_not_judged_where_that_is_not_wanted(tmp_path: Path) -> None:
    assert (
        only_row(tmp_path, f"{GERMAN}<img src=a.png alt=x>", detect_language=False)["page_language"] is None
    )


@pytest.mark.parametrize(
    ("body", "headers", "word"),
    [
        ("<meta name=robots content='noindex, NOAI'>", [], "NOAI"),
        ("<meta name=robots content=noimageai>", [], "noimageai"),
        ("<meta name=robots content=noml>", [], "noml"),
        ("<meta name=tdm-reservation content=1>", [], "tdm-reservation"),
        ("", [("X-Robots-Tag", "noai")], "noai"),
        ("", [("x-robots-tag", "noindex"), ("X-Robots-Tag", "noimageai")], "noimageai"),
        ("", [("tdm-reservation", "1")], "tdm-reservation"),
        ("", [("Content-Usage", "train-ai=n")], "train-ai=n"),
    ],
)
def test_the_pictures_of_a_page_that_forbids_their_use_are_listed_with_the_evidence(
    tmp_path: Path, body: str, headers: list[tuple[str, str]], word: str
) -> None:
    page = f"{body}<img src=a.png alt=x><img src=b.png alt=y>"
    found = harvested(
        tmp_path, {"one.warc": response(page, headers=[("Content-Type", "text/html"), *headers])}
    )
    assert found.url_list["opt_out"].str.contains(word).tolist() == [True, True]
    assert found.tally.refused_pages == 1


def test_a_page_that_forbids_something_else_or_nothing_refuses_nothing(tmp_path: Path) -> None:
    page = "<meta name=robots content='noindex, nofollow'><meta name=tdm-reservation content=0><img src=a.png alt=x>"
    assert only_row(tmp_path, page)["opt_out"] is None


def test_what_one_page_forbids_is_forbidden_on_every_page_under_every_caption(tmp_path: Path) -> None:
    pages = [
        response("<img src=/a.png alt=x><img src=/b.png alt=x>", "http://site.example/1"),
        response("<meta name=robots content=noai><img src=/a.png>", "http://site.example/2"),
        response("<img src=/a.png alt=another>", "http://other.example/3", status=200),
        response("<img src=http://site.example/a.png alt=third>", "http://third.example/3"),
    ]
    rows = harvested(tmp_path, {"a.warc": b"".join(pages)}).url_list
    refused = rows.set_index(["url", "caption"])["opt_out"].notna().to_dict()
    assert refused == {
        (f"{SITE}/a.png", "x"): True,
        (f"{SITE}/a.png", "third"): True,
        (f"{SITE}/b.png", "x"): False,
        ("http://other.example/a.png", "another"): False,
    }


def test_a_pair_is_one_row_with_the_number_of_pages_and_its_own_hosts_words(tmp_path: Path) -> None:
    image = "<img src=http://site.example/a.png alt=x title={}>"
    files = {
        "1.warc": response(image.format("foreign"), "http://another.example/"),
        "2.warc": response(image.format("own"), "http://site.example/z") * 2,
        "3.warc": response(image.format("later"), "http://site.example/zz"),
    }
    found = harvested(tmp_path, files)
    assert found.url_list[["title_attribute", "pages"]].values.tolist() == [["own", 3]]
    assert dict(found.tally.drops) == {"repeated_elsewhere": 3}


def test_rows_are_sorted_by_uid(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "".join(f"<img src={n}.png alt=picture{n}>" for n in range(50)))
    uids = [pair_uid(url, caption) for url, caption in zip(rows["url"], rows["caption"], strict=True)]
    assert uids == sorted(uids) and len(set(uids)) == 50


@pytest.mark.parametrize(
    "opened", ["<figure></figure>", "<figure>", "<div>", "<figcaption><a rel=license href=/x>"]
)
def test_a_page_of_many_pictures_costs_in_proportion_however_deep_they_lie(
    tmp_path: Path, opened: str
) -> None:
    costs_s = {}
    for count in (800, 3200):
        page = "".join(f"{opened}<img src={n}.png alt=x{n}>" for n in range(count))
        began_s = time.process_time()
        assert len(rows_of(tmp_path / f"{count}", page)) == count
        costs_s[count] = time.process_time() - began_s
    assert costs_s[3200] < 10 * costs_s[800]  # 16 times, if every step read all others


def test_a_licence_of_a_figure_holds_for_the_figures_inside_it_that_name_none(tmp_path: Path) -> None:
    cc = "<figcaption><a rel=license href=https://creativecommons.org/licenses/by{}/4.0/></a></figcaption>"
    inner = (
        "<figure><img src=a.png alt=a></figure><figure><img src=b.png alt=b>" + cc.format("-sa") + "</figure>"
    )
    page = f"<figure>{inner}{cc.format('')}</figure><img src=c.png alt=c>"
    rows = rows_of(tmp_path, page).set_index("caption")["licence"].to_dict()
    assert rows == {"a": "CC-BY-4.0", "b": "CC-BY-SA-4.0", "c": None}
