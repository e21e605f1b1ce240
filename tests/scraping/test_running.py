"""What a run shows while it is under way, and what it measures."""

import datetime
from collections import Counter
from decimal import Decimal

import pandas as pd
import pytest
from hostile_web import hostile_web, in_turn, message
from sites import PICTURES, SMALL, answers, contents, listed, records_of, scraped

from unclip_pipeline.scraping import scrape_metrics
from unclip_pipeline.scraping.metrics import host_class, host_classes
from unclip_pipeline.scraping.running import (
    ShardProgress,
    SupersededError,
    begin_run,
    count_fates,
    summary,
)


def test_fates_of_several_shards_add_up_and_a_shard_done_again_counts_once(tmp_path):
    run = begin_run(tmp_path / "_tmp")
    for shard in ("00000", "00001", "00001"):
        progress = ShardProgress(tmp_path / "_tmp", run, shard)
        for fate in ("kept", "kept", "scrape.http_404"):
            progress.count(fate)
        assert progress.finish() == {"kept": 2, "scrape.http_404": 1}
    assert count_fates(tmp_path / "_tmp") == {"kept": 4, "scrape.http_404": 2}


def test_the_line_names_the_share_kept_and_the_failure_that_is_most_frequent():
    fates = Counter({"kept": 6, "scrape.http_404": 3, "scrape.empty": 1})
    assert summary(fates) == "kept 60.0%, http_404 30.0%"
    assert summary(Counter()) == "nothing has come yet"


def test_a_worker_of_a_run_that_is_over_stops(tmp_path):
    scratch = tmp_path / "_tmp"
    old = ShardProgress(scratch, begin_run(scratch), "00000")
    old.check_run()
    (scratch / "run").write_text("another")
    with pytest.raises(SupersededError):
        old.check_run()
    (scratch / "run").unlink()
    with pytest.raises(SupersededError):
        old.check_run()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://127.0.0.9:80/", "loopback"), ("http://localhost/", "loopback"), ("http://[::1]/", "loopback"),
        ("http://10.1.1.1/", "private"), ("http://8.8.8.8/", "address"), ("https://a.example.org/x", "org"),
        ("no url", "none"), ("http://[broken/", "none"),
    ],
)  # fmt: skip
def test_the_class_of_a_host_is_its_kind_of_address_or_its_top_level_domain(url, name):
    assert host_class(url) == name


def test_rare_classes_of_hosts_are_counted_together():
    urls = [f"http://a.{name}/{n}" for rank, name in enumerate("abcdefghij") for n in range(12 - rank)]
    assert set(host_classes(urls)) == {*"abcdefgh", "other"}


def test_what_was_measured_covers_every_request_and_stays_out_of_the_shards(tmp_path):
    ok = answers()
    flaky = {"/5": in_turn(message(503, b""), ok["/5"])}
    with hostile_web(ok | flaky) as web:
        config = SMALL.__class__(**{**SMALL.__dict__, "retries": 2})
        result = scraped(web, tmp_path / "shards", config=config)
        requests = result.requests.merge(result.ledger[["uid", "url", "bytes"]], on="uid")
        assert len(requests) == PICTURES and requests["asked_at"].dt.tz is not None
        attempts = requests.set_index("url")["attempts"]
        assert attempts[web.url("/5")] == 2 and attempts.sum() == PICTURES + 1
        fetched = requests.dropna(subset="bytes_y")
        assert (fetched["bytes_x"] == fetched["bytes_y"]).all()
        metrics = scrape_metrics(result)
        assert metrics["requests_retried"] == 1 and metrics["requests_rows"] == PICTURES
        assert 0 < metrics["requests_p50_ms"] <= metrics["requests_p95_ms"]
        assert metrics["host_class/loopback/urls"] == PICTURES
        assert {"host", "answer"} >= set(result.evidence["scope"])
        robots = result.evidence[result.evidence["signal"] == "robots.txt"]
        assert len(robots) == 1 and robots["uid"].isna().all(), "a host's signal is noted once"
        before = contents(tmp_path / "shards")
        again = scraped(web, tmp_path / "shards", config=config)
        pd.testing.assert_frame_equal(again.requests, result.requests)
        assert contents(tmp_path / "shards") == before
        for path in records_of(tmp_path / "shards").iterdir():
            path.unlink()
        assert scraped(web, tmp_path / "shards", config=config).requests.empty


def test_columns_of_any_type_come_through_a_whole_scrape_and_its_file(tmp_path):
    odd = {
        "seen": [
            pd.Timestamp("2024-01-01T10:00:00.123456+02:00"),
            None,
            pd.Timestamp("2024-06-01T00:00+02:00"),
        ],
        "raw": [b"\x00\xff", b"", None],
        "price": [Decimal("1.10"), None, Decimal("2.25")],
        "tags": [["a", "b"], [], None],
        "box": [{"x": 1.5, "of": ["p"]}, None, {"x": 2.5, "of": []}],
        "kind": pd.Categorical(["u", "v", "u"]),
        "day": [datetime.date(2024, 1, 1)] * 3,
        "number": pd.array([1, None, 3], dtype="Int64"),
        "flags": ["mine", "not", "yours"],
    }
    with hostile_web(answers()) as web:
        urls = listed(web).head(3).assign(**odd)
        ledger = scraped(web, tmp_path / "shards", urls=urls).ledger
    urls.to_parquet(tmp_path / "urls.parquet")
    ledger.to_parquet(tmp_path / "ledger.parquet")
    given = pd.read_parquet(tmp_path / "urls.parquet").rename(columns={"flags": "listed_flags"})
    stored = pd.read_parquet(tmp_path / "ledger.parquet").set_index("url").loc[urls["url"]].reset_index()
    names = [name.replace("flags", "listed_flags") for name in odd]
    pd.testing.assert_frame_equal(stored[names], given[names])
