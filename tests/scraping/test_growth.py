"""A folder of shards goes along with its list: only what is new is asked for, nothing else changes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hostile_web import HostileWeb, hostile_web, in_turn, message
from sites import PICTURES, SMALL, answers, contents, listed, records_of, scraped

from unclip_pipeline.corpus.shards import Sample, read_shard, shard_paths
from unclip_pipeline.scraping import Scraped
from unclip_pipeline.scraping.plan import make_plan, may_pass, read_at_hand
from unclip_pipeline.scraping.takedowns import NO_TAKEDOWNS

OK = answers()
FLAKY = ("/3", "/17", "/33")
DOWN = message(503, b"")


@pytest.fixture(scope="module")
def web():
    with hostile_web(OK) as server:
        yield server


def _asked(web: HostileWeb, run: Callable[[], Scraped]) -> tuple[set[str], Scraped]:
    before = web.hits.copy()
    result = run()
    return {path for path in web.hits if web.hits[path] > before[path]} - {"/robots.txt"}, result


def _samples(folder: Path) -> dict[str, Sample]:
    return {sample.uid: sample for shard in shard_paths(folder) for sample in read_shard(shard)}


def _without_place(ledger: pd.DataFrame) -> pd.DataFrame:
    return ledger.drop(columns="shard")


def test_a_grown_and_reordered_list_asks_for_the_new_rows_alone(web, tmp_path):
    folder, whole = tmp_path / "shards", listed(web)
    scraped(web, folder, urls=whole.head(29))
    before = contents(folder)
    asked, grown = _asked(web, lambda: scraped(web, folder, urls=whole.sample(frac=1, random_state=0)))
    assert len(asked & {f"/{n}" for n in range(29)}) == 0 and len(asked) == PICTURES - 29
    shards = {name: content for name, content in before.items() if name[0].isdigit()}
    assert {name: contents(folder)[name] for name in shards} == shards
    fresh = scraped(web, tmp_path / "fresh")
    pd.testing.assert_frame_equal(_without_place(grown.ledger), _without_place(fresh.ledger))
    assert _samples(folder) == _samples(tmp_path / "fresh")
    assert grown.asked_rows == PICTURES - 29


def test_a_list_that_grows_and_shrinks_row_by_row_equals_a_fresh_scrape(web, tmp_path):
    folder, whole = tmp_path / "shards", listed(web)
    for first, last in ((0, 11), (0, 12), (5, 13), (5, 30), (20, 48)):
        urls, fresh_folder = whole[first:last], tmp_path / f"fresh {first} {last}"
        result, fresh = scraped(web, folder, urls=urls), scraped(web, fresh_folder, urls=urls)
        pd.testing.assert_frame_equal(_without_place(result.ledger), _without_place(fresh.ledger))
        assert _samples(folder) == _samples(fresh_folder)
        assert set(result.requests["uid"]) == set(result.ledger["uid"])


def test_retrying_asks_for_passing_failures_alone_and_leaves_every_kept_byte(tmp_path):
    flaky = {path: in_turn(DOWN, OK[path]) for path in FLAKY}
    with hostile_web(OK | flaky) as web:
        folder = tmp_path / "shards"
        before = scraped(web, folder).ledger.set_index("url")
        images = _samples(folder)
        assert set(before.loc[[web.url(path) for path in FLAKY], "fate"]) == {"scrape.http_503"}
        assert _asked(web, lambda: scraped(web, folder))[0] == set()
        again = replace(SMALL, retry_failed=True)
        asked, result = _asked(web, lambda: scraped(web, folder, config=again))
        assert asked == {*FLAKY, "/7", "/13", "/21"}, "the 404, the page and the empty answer may pass too"
        after = result.ledger.set_index("url")
        assert set(after.loc[[web.url(path) for path in FLAKY], "fate"]) == {"kept"}
        assert {uid: sample for uid, sample in _samples(folder).items() if uid in images} == images
        scraped(web, tmp_path / "fresh")
        assert contents(folder) == contents(tmp_path / "fresh")


def test_retrying_what_fails_again_changes_no_byte(web, tmp_path):
    scraped(web, tmp_path / "shards")
    before = contents(tmp_path / "shards")
    scraped(web, tmp_path / "shards", config=replace(SMALL, retry_failed=True))
    assert contents(tmp_path / "shards") == before


def test_what_an_owner_or_the_list_refused_is_never_retried(tmp_path):
    refused = message(200, b"", "X-Robots-Tag: noai")
    with hostile_web(OK | {"/4": refused}) as web:
        folder = tmp_path / "shards"
        takedowns = pd.DataFrame({"kind": ["url"], "value": [web.url("/5")], "reason": ["asked"]})
        urls = pd.concat([listed(web), pd.DataFrame({"url": ["ftp://a.org/x"], "caption": ["x"]})])
        options = {"urls": urls, "takedowns": takedowns}
        scraped(web, folder, **options)
        again = replace(SMALL, retry_failed=True)
        asked, _ = _asked(web, lambda: scraped(web, folder, config=again, **options))
        assert asked == {"/7", "/13", "/21"}


@pytest.mark.parametrize(
    "fate", ["opted_out", "taken_down", "bad_url", "too_small", "too_large", "placeholder"]
)
def test_a_no_does_not_pass(fate):
    assert not may_pass(f"scrape.{fate}")


def test_a_takedown_after_the_fact_leaves_the_same_bytes_as_one_before(web, tmp_path):
    folder = tmp_path / "shards"
    scraped(web, folder)
    takedowns = pd.DataFrame({"kind": ["url"], "value": [web.url("/2")], "reason": ["asked  by\nits owner"]})
    asked, _ = _asked(web, lambda: scraped(web, folder, takedowns=takedowns))
    assert asked == set()
    scraped(web, tmp_path / "fresh", takedowns=takedowns)
    assert contents(folder) == contents(tmp_path / "fresh")
    assert _asked(web, lambda: scraped(web, folder, takedowns=takedowns))[1].asked_rows == 0


def test_another_spelling_of_a_url_is_written_down_without_a_request(web, tmp_path):
    folder, urls = tmp_path / "shards", listed(web)
    scraped(web, folder, urls=urls)
    respelled = urls.assign(url=urls["url"].str.replace("http:", "HTTP:"))
    asked, result = _asked(web, lambda: scraped(web, folder, urls=respelled))
    assert asked == set() and set(result.ledger["url"]) == set(respelled["url"])
    assert all(sample.meta["url"].startswith("HTTP:") for sample in _samples(folder).values())


def test_the_records_of_shards_that_are_gone_go_too(web, tmp_path):
    folder = tmp_path / "shards"
    scraped(web, folder)
    result = scraped(web, folder, urls=listed(web).head(1))
    assert {path.name.split(".")[0] for path in records_of(folder).iterdir()} == set(result.ledger["shard"])
    assert set(result.requests["uid"]) == set(result.ledger["uid"])


def test_free_numbers_are_given_to_new_rows_and_uids_to_one_shard_only():
    rows = pd.DataFrame(
        {"uid": list("abcdef"), "url": "u", "caption": "c", "refused": None, "refused_reason": None}
    )
    at_hand = read_at_hand([])
    fresh = make_plan(rows, at_hand, NO_TAKEDOWNS, shard_size=4, retry_failed=False)
    assert {n: ask for n, (ask, _) in fresh.places.items()} == {0: [0, 1, 2, 3], 1: [4, 5]}
    held = {"url": "u", "fate": "kept", "error": None, "sha256": "s", "final_url": "u"}
    at_hand = pd.DataFrame([{"uid": uid, "number": n, **held} for uid, n in (("a", 1), ("b", 1), ("a", 3))])
    plan = make_plan(rows, at_hand, NO_TAKEDOWNS, shard_size=3, retry_failed=False)
    assert plan.finished == {1}, "shard 3 has no row of its own left"
    assert plan.places == {0: ([2, 3, 4], []), 2: ([5], [])}
