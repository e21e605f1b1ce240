"""Files of every form, whole and broken: the same pages, the same rows, and nothing lost without a word."""

import gzip
import json
import os
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from crawls import HTML, PAGE, harvested, packed, record, response, rows_of, wat
from hypothesis import given, settings
from hypothesis import strategies as st

from unclip_pipeline.engines import ShardError
from unclip_pipeline.scraping import ScrapeConfig
from unclip_pipeline.scraping.harvest import HarvestConfig, harvest, harvest_metrics
from unclip_pipeline.scraping.harvest.candidates import rows_of as rows_of_page
from unclip_pipeline.scraping.harvest.html_page import html_page
from unclip_pipeline.scraping.harvest.tally import DROPS, LISTED, RECORDS, Tally
from unclip_pipeline.scraping.harvest.warc import BrokenCrawl

IMAGE = "<img src=a.png alt=x>"


def pages(count: int, first: int = 0) -> list[bytes]:
    numbers = range(first, first + count)
    return [response(f"<img src={n}.png alt='picture {n}'>", f"http://site.example/{n}") for n in numbers]


def test_a_packed_crawl_reads_like_a_plain_one(tmp_path: Path) -> None:
    records = [record("warcinfo", "", "application/warc-fields", b"software: x\r\n"), *pages(5)]
    plain = harvested(tmp_path / "plain", {"a.warc": b"".join(records)})
    squeezed = harvested(tmp_path / "packed", {"a.warc.gz": packed(records)})
    at_once = harvested(tmp_path / "once", {"a.warc.gz": gzip.compress(b"".join(records))})
    assert len(plain.url_list) == 5 and dict(plain.tally.records) == {"page": 5, "no_response": 1}
    for other in (squeezed, at_once):
        pd.testing.assert_frame_equal(other.url_list, plain.url_list)
        assert other.tally == plain.tally


def test_every_record_has_one_outcome(tmp_path: Path) -> None:
    gone = [("Content-Type", "text/html"), ("Content-Encoding", "gzip")]
    records = {
        "page": response(IMAGE),
        "no_response": record(
            "request", PAGE, "application/http; msgtype=request", b"GET / HTTP/1.1\r\n\r\n"
        ),
        "status": response(IMAGE, status=404),
        "not_html": response(IMAGE, headers=[("Content-Type", "image/png")]),
        "empty": response("  "),
        "undecodable": response(b"\x1f\x8bno gzip", headers=gone),
        "too_large": response(IMAGE + "x" * 5000),
    }
    found = harvested(tmp_path, {"a.warc": b"".join(records.values())}, max_record_bytes=4000)
    assert dict(found.tally.records) == dict.fromkeys(records, 1)
    assert set(RECORDS) - set(records) == {"broken"}
    assert dict(found.tally.statuses) == {"200": 4, "404": 1} or found.tally.statuses["404"] == 1
    assert len(found.url_list) == 1


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([("Content-Encoding", "gzip")], gzip.compress(IMAGE.encode())),
        ([("Transfer-Encoding", "chunked")], f"{len(IMAGE):x}\r\n{IMAGE}\r\n0\r\n\r\n".encode()),
        (
            [("Transfer-Encoding", "chunked"), ("Content-Encoding", "gzip")],
            IMAGE.encode(),
        ),  # undone, still named
    ],
)
def test_encodings_of_answers_are_undone(tmp_path: Path, headers: list[tuple[str, str]], body: bytes) -> None:
    assert len(rows_of(tmp_path, body, headers=[*HTML, *headers])) == 1


def test_a_page_that_unpacks_without_end_costs_no_more_than_its_cap(tmp_path: Path) -> None:
    bomb = response(gzip.compress(b"<p>" + b"\0" * 50_000_000), headers=[*HTML, ("Content-Encoding", "gzip")])
    tracemalloc.start()
    found = harvested(tmp_path, {"a.warc": bomb + b"".join(pages(1))}, max_record_bytes=1_000_000)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert dict(found.tally.records) == {"too_large": 1, "page": 1} and most < 20_000_000


def test_memory_is_bound_by_the_record_not_by_the_file(tmp_path: Path) -> None:
    filler = "<p>" + "x" * 200_000
    most = {}
    for count in (5, 100):
        crawl = packed(response(filler, f"http://site.example/{n}") for n in range(count))
        tracemalloc.start()
        assert harvested(tmp_path / f"{count}", {"a.warc.gz": crawl}).tally.records["page"] == count
        most[count] = tracemalloc.get_traced_memory()[1] - len(crawl)
        tracemalloc.stop()
    assert most[100] < most[5] + 1_000_000


def test_no_cut_passes_for_the_end_of_a_file(tmp_path: Path) -> None:
    """Every place in the last of two records, plain and packed; the marks of its end may be missing."""
    for form, name in ((b"".join, "a.warc"), (packed, "a.warc.gz")):
        whole, first = form(pages(2)), form(pages(1))
        for cut in range(len(first) + 1, len(whole) - 4, 7):
            with pytest.raises(
                BrokenCrawl, match=r"a\.warc.* after record [12], near byte .*on_broken to count"
            ):
                harvested(tmp_path / "cut", {name: whole[:cut]})
        (tmp_path / "cut" / "crawl" / name).unlink()


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
def test_what_comes_before_the_break_is_used_where_that_is_wanted_and_the_break_is_counted(
    tmp_path: Path, name: str
) -> None:
    whole = packed(pages(4)) if name.endswith("gz") else b"".join(pages(4))
    files = {
        name: whole[: len(whole) * 5 // 8],
        "b.warc": b"".join(pages(1, 9)),
        "c.warc": b"no crawl at all\n" * 9,
    }
    found = harvested(tmp_path, files, on_broken="count")
    assert len(found.url_list) == 3 and found.tally.records["broken"] == 2
    assert [fault.split(" ")[0].rpartition("/")[2] for fault in found.tally.faults] == [name, "c.warc"]
    assert harvest_metrics(found)["files_broken"] == 2


def test_a_whole_file_that_was_packed_with_garbage_behind_it_is_broken(tmp_path: Path) -> None:
    with pytest.raises(BrokenCrawl, match="after record 1"):
        harvested(tmp_path, {"a.warc.gz": packed(pages(1)) + b"garbage"})


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    found = harvested(tmp_path, {"a.warc": b"", "b.html": b" "})
    assert len(found.url_list) == 0 and dict(found.tally.records) == {"empty": 1}
    assert harvest_metrics(found)["candidates"] == 0


def test_a_wat_record_gives_what_it_holds_of_the_page(tmp_path: Path) -> None:
    page = (
        "<html lang=de><title>A page</title><base href=/base/><meta name=robots content=noai>"
        '<link rel=license href="https://creativecommons.org/licenses/by/4.0/">'
        "<img src=a.png alt='An alt' title='A title'><img src=b.png><img src=data:,x alt=y>"
    )
    metadata = {
        "Head": {
            "Title": "A page",
            "Base": "/base/",
            "Metas": [{"name": "HTML@/lang", "content": "de"}, {"name": "robots", "content": "noai"}],
            "Link": [
                {
                    "path": "LINK@/href",
                    "url": "https://creativecommons.org/licenses/by/4.0/",
                    "rel": "license",
                }
            ],
        },
        "Links": [
            {"path": "A@/href", "url": "/elsewhere", "text": "a link"},
            {"path": "IMG@/src", "url": "a.png", "alt": "An alt", "title": "A title"},
            {"path": "IMG@/src", "url": "b.png"},
            {"path": "IMG@/src", "url": "data:,x", "alt": "y"},
        ],
    }
    from_page = harvested(tmp_path / "warc", {"a.warc": response(page)})
    from_wat = harvested(tmp_path / "wat", {"a.warc.wat.gz": packed([wat(metadata)])})
    assert len(from_wat.url_list) == 1
    pd.testing.assert_frame_equal(from_wat.url_list, from_page.url_list)
    assert from_wat.tally == from_page.tally


@pytest.mark.parametrize(
    ("block", "outcome"),
    [
        (wat({"Links": []}), "page"),
        (wat({"Links": "none", "Head": 3}), "page"),
        (wat(None), "page"),
        (wat({}, status="301"), "status"),
        (record("metadata", PAGE, "application/json", b"{not json"), "undecodable"),
        (record("metadata", PAGE, "application/json", b'{"Envelope": []}'), "no_response"),
        (record("metadata", PAGE, "application/json", b"[" * 100_000), "undecodable"),
        (record("metadata", PAGE, "application/warc-fields", b"via: x"), "no_response"),
    ],
)
def test_an_envelope_of_any_shape_has_an_outcome(tmp_path: Path, block: bytes, outcome: str) -> None:
    assert dict(harvested(tmp_path, {"a.wat": block}).tally.records) == {outcome: 1}


def test_figures_have_names_that_a_store_of_metrics_takes(tmp_path: Path) -> None:
    kinds = ["image/svg+xml", "../..", 'text/"html"', "text/html; charset=x", "", "text/" + "x" * 99]
    answers = [response(IMAGE, headers=[("Content-Type", kind)]) for kind in kinds]
    files = {"a.warc": b"".join(answers), "b.wat": wat({}, status="") + wat({}, status="a/../b")}
    metrics = harvest_metrics(harvested(tmp_path, files))
    assert all(re.fullmatch(r"[a-z0-9_.\-]+(/[a-z0-9][a-z0-9_.\-]*)*", name) for name in metrics)
    assert (
        metrics["content_type/odd"] == 3 and metrics["status/odd"] == 2 and metrics["content_type/none"] == 1
    )


def test_headers_that_came_several_times_are_all_heard(tmp_path: Path) -> None:
    links = {"Links": [{"path": "IMG@/src", "url": "a.png", "alt": "half \ud800 a pair"}]}
    block = wat(links, headers={"X-Robots-Tag": ["noindex", "noai"]})
    rows = harvested(tmp_path, {"a.wat": block}).url_list
    assert rows["opt_out"].notna().all() and rows["caption"].tolist() == ["half ? a pair"]


@pytest.mark.parametrize(
    ("head", "base"),
    [
        ("<!-- saved from url=(0026)http://saved.example/x/y.html -->", "http://saved.example/x/"),
        (
            "<!--\n Page saved with SingleFile \n url: https://single.example/x/ \n-->",
            "https://single.example/x/",
        ),
        ("<link rel=canonical href=http://canon.example/x/y>", "http://canon.example/x/"),
        ("<base href=http://base.example/x/>", "http://base.example/x/"),
        ("<base href=x/>", "http://given.example/rooms/x/"),
        ("", "http://given.example/rooms/"),
    ],
)
def test_a_saved_page_lies_where_it_says_else_below_the_given_address(
    tmp_path: Path, head: str, base: str
) -> None:
    files = {"rooms/one page.html": f"{head}{IMAGE}".encode()}
    rows = harvested(tmp_path, files, base_url="http://given.example/").url_list
    assert rows["url"].tolist() == [f"{base}a.png"]


def test_a_saved_page_without_an_address_is_an_error_that_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one\.html names none.*harvest\.base_url"):
        harvested(tmp_path, {"one.html": IMAGE.encode()})


def test_files_of_other_kinds_are_named_and_a_folder_of_them_alone_is_an_error(tmp_path: Path) -> None:
    found = harvested(
        tmp_path / "some", {"A.WARC": response(IMAGE), "b.zst": b"", "_SUCCESS": b"", ".x.warc": b""}
    )
    assert found.files == 1 and found.ignored == ["b.zst"]
    with pytest.raises(ValueError, match=r"files that end in \.warc.* got none of 1"):
        harvested(tmp_path / "none", {"b.zst": b""})


def many_files(folder: Path) -> dict[str, bytes]:
    files = {f"{n}.warc.gz": packed(pages(6, 4 * n)) for n in range(5)}
    return files | {"saved.html": f"<base href=http://site.example/>{IMAGE}".encode()}


def test_one_process_and_two_give_the_same(tmp_path: Path) -> None:
    alone = harvested(tmp_path / "one", many_files(tmp_path))
    together = harvested(tmp_path / "two", many_files(tmp_path), processes=2)
    pd.testing.assert_frame_equal(alone.url_list, together.url_list)
    assert alone.tally == together.tally and alone.tally.drops["repeated_elsewhere"] == 8
    assert not (tmp_path / "one" / "scratch").exists()


def test_the_names_of_files_and_their_order_on_disk_change_nothing_but_examples(tmp_path: Path) -> None:
    files = list(many_files(tmp_path).values())
    first = harvested(
        tmp_path / "one", {f"{n}.{'html' if n == 5 else 'warc'}": file for n, file in enumerate(files)}
    )
    again = harvested(
        tmp_path / "two", {f"{9 - n}.{'html' if n == 5 else 'warc'}": file for n, file in enumerate(files)}
    )
    pd.testing.assert_frame_equal(first.url_list, again.url_list)


def test_an_interrupted_harvest_goes_on_and_other_choices_begin_anew(tmp_path: Path) -> None:
    files = many_files(tmp_path) | {"z.warc": b"".join(pages(3))[:-200]}
    whole = harvested(tmp_path / "whole", many_files(tmp_path) | {"z.warc": b"".join(pages(3))})
    with pytest.raises(BrokenCrawl):
        harvested(tmp_path / "cut", files)
    read = {file: file.stat().st_mtime_ns for file in (tmp_path / "cut" / "scratch").glob("*.json")}
    assert 0 < len(read) < len(files)
    target = tmp_path / "cut" / "crawl" / "z.warc"
    target.write_bytes(b"".join(pages(3)))
    seen: list[Any] = []

    def watched(function: Any, shards: Any) -> Any:
        for shard in shards:
            yield function(shard)
            seen.append(shard.tally.stat().st_mtime_ns)

    scratch = tmp_path / "cut" / "scratch"
    resumed = harvest(tmp_path / "cut" / "crawl", scratch, HarvestConfig(), ScrapeConfig(), watched)
    assert set(read.values()) <= set(seen)
    pd.testing.assert_frame_equal(resumed.url_list, whole.url_list)
    assert resumed.tally == whole.tally


def test_a_fault_in_a_worker_names_the_file(tmp_path: Path) -> None:
    files = {"a.warc": response(IMAGE), "b.warc": response(IMAGE)[:-100]}
    with pytest.raises(ShardError, match=r"b\.warc must be a whole WARC file"):
        harvested(tmp_path, files, processes=2)


HTML_BITS = st.sampled_from(
    "<img src= alt='x' <a rel=license href= <figure> </figure> <figcaption> <base href= <picture> <source srcset= "
    ", 2x > < & &#0; &amp &#xD800; \0 \ud83d <!-- --> <script> <svg> <template> <table> <html lang= http:// data: "
    "\\ é".split(" ")
)


@settings(max_examples=150, deadline=None)
@given(st.lists(HTML_BITS | st.text(max_size=5), max_size=40))
def test_garbage_has_rows_or_reasons(bits: list[str]) -> None:
    content = " ".join(bits).encode("utf-8", "surrogatepass")
    tally = Tally()
    page = html_page(content, PAGE, [], None, ("data-src",))
    rows = list(rows_of_page(page, HarvestConfig(open_graph=True), ScrapeConfig(), tally))
    listed = [row for row in rows if row["reason"] == LISTED]
    tally.check(len(listed))
    assert set(tally.drops) <= set(DROPS)
    json.dumps(rows).encode()
    assert all(str(row["url"]).startswith(("http://", "https://")) and row["caption"] for row in listed)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_bytes_of_any_kind_make_a_page_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, body: bytes
) -> None:
    folder = tmp_path_factory.mktemp("garbage")
    found = harvested(folder, {"a.warc": response(body), "b.warc": response(IMAGE)})
    assert found.tally.records.total() == 2 and len(found.url_list) >= 1


def test_an_image_that_is_neither_listed_nor_dropped_fails_the_harvest() -> None:
    tally = Tally(candidates=3)
    tally.drop("no_caption", "a.png", PAGE)
    with pytest.raises(ValueError, match="3 were seen, 1 are listed, 1 dropped"):
        tally.check(1)
    tally.drops["because"] += 1
    with pytest.raises(ValueError, match=r"vocabulary.*\['because'\]"):
        tally.check(1)


def test_the_mark_of_a_file_that_changed_is_not_taken_for_its_own(tmp_path: Path) -> None:
    crawl = tmp_path / "crawl" / "a.warc"
    assert len(harvested(tmp_path, {"a.warc": b"".join(pages(2))}).url_list) == 2
    crawl.write_bytes(b"".join(pages(3)))
    os.utime(crawl, (0, 0))
    assert len(harvested(tmp_path, {}).url_list) == 3


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"caption_sources": "alt"}, "must be a list"),
        ({"caption_sources": ["text"]}, "must name some of"),
        ({"caption_sources": []}, "must name some of"),
        ({"on_broken": "skip"}, "must be one of"),
        ({"max_record_bytes": 0}, "at least 1"),
        ({"min_side_px": -1}, "0 or more"),
        ({"base_url": "example.org"}, "with its scheme"),
    ],
)
def test_choices_that_cannot_be_meant_are_refused_by_name(choices: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        HarvestConfig(**choices)
