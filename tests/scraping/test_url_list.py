"""From a user's list to rows."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sites import NOBODY

from unclip_pipeline.corpus.uids import pair_uid
from unclip_pipeline.scraping import ScrapeConfig
from unclip_pipeline.scraping.ledger import check_accounted, scrape_ledger
from unclip_pipeline.scraping.takedowns import read_takedowns
from unclip_pipeline.scraping.url_list import rows_to_scrape

CONFIG = ScrapeConfig()


def _rows(
    url_list: pd.DataFrame, takedowns: pd.DataFrame = NOBODY, config: ScrapeConfig = CONFIG
) -> pd.DataFrame:
    return rows_to_scrape(url_list, read_takedowns(takedowns), config)


def _list(count: int = 4, **columns) -> pd.DataFrame:
    urls = {
        "url": [f"http://example.org/{n}.png" for n in range(count)],
        "caption": [f"c{n}" for n in range(count)],
    }
    return pd.DataFrame(urls | columns)


def _all_kept(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {"uid": rows["uid"], "fate": "kept", "width": 3, "error": None, "sha256": rows["uid"]}
    )


def test_rows_are_sorted_by_uid_and_named_by_url_and_caption():
    rows = _rows(_list(50))
    assert rows["uid"].is_monotonic_increasing
    assert [pair_uid(row.url, row.caption) for row in rows.itertuples()] == rows["uid"].tolist()


def test_repeated_rows_are_counted_and_none_is_lost():
    repeated = pd.concat([_list(4), _list(2), _list(1).assign(url="HTTP://EXAMPLE.org:80/0.png#x")])
    rows = _rows(repeated)
    assert len(rows) == 4 and rows["listed"].sum() == len(repeated)
    assert rows.set_index("caption")["listed"].to_dict() == {"c0": 3, "c1": 2, "c2": 1, "c3": 1}


def test_a_missing_column_is_named_with_the_way_to_name_it():
    with pytest.raises(
        ValueError, match="needs a column 'caption', got .'TEXT', 'url'.*scrape.caption_column"
    ):
        _rows(_list().rename(columns={"caption": "TEXT"}))


def test_columns_of_other_names_can_be_chosen():
    other = _list().rename(columns={"url": "URL", "caption": "TEXT"})
    rows = _rows(other, config=ScrapeConfig(url_column="URL", caption_column="TEXT"))
    pd.testing.assert_frame_equal(rows, _rows(_list()))


def test_columns_that_a_stage_writes_are_carried_under_another_name():
    ledger_rows = _rows(_list(width=[1, 2, 3, 4], similarity=[0.1] * 4, fate="mine"))
    assert {"listed_width", "listed_similarity", "listed_fate"} <= set(ledger_rows.columns)
    ledger = scrape_ledger(ledger_rows, _all_kept(ledger_rows), CONFIG)
    assert (ledger["width"] == 3).all() and (ledger["fate"] == "kept").all()


def test_columns_of_any_type_survive_in_the_ledger(tmp_path):
    odd = {
        "seen": pd.to_datetime(["2024-01-01T10:00:00.123456Z", None, None, "2024-01-04T00:00:00.5Z"]),
        "raw": [b"\x00\xff", b"", None, b"x"],
        "price": [Decimal("1.10"), Decimal("2.25"), None, Decimal("0.00")],
        "tags": [["a", "b"], [], None, ["c"]],
        "box": [{"x": 1.5}, None, {"x": 2.5}, {"x": 3.5}],
        "kind": pd.Categorical(["u", "v", "u", "v"]),
        "day": [datetime.date(2024, 1, 1)] * 4,
        "number": pd.array([1, None, 3, 4], dtype="Int64"),
    }
    given = _list(**odd)
    rows = _rows(given)
    ledger = scrape_ledger(rows, _all_kept(rows), CONFIG)
    assert {name: ledger[name].dtype for name in odd} == {name: given[name].dtype for name in odd}
    returned = ledger.set_index("url").loc[given["url"]].reset_index()
    for name in odd:
        for before, after in zip(given[name], returned[name], strict=True):
            assert before is after or before == after or (pd.isna(before) and pd.isna(after))
    ledger.to_parquet(tmp_path / "ledger.parquet")
    assert pd.read_parquet(tmp_path / "ledger.parquet")["price"].dropna().map(type).eq(Decimal).all()


def test_null_urls_and_captions_are_rows_like_any_other():
    rows = _rows(pd.DataFrame({"url": [None, "http://a.org/b", np.nan], "caption": ["x", None, 7]}))
    assert rows["listed"].sum() == 3
    assert rows.set_index("url")["refused"].to_dict()[""] == "scrape.bad_url"
    assert set(rows["caption"]) == {"x", "", "7"}


def test_a_given_split_is_kept_and_heldout_wins_over_a_repeat():
    rows = _rows(pd.concat([_list(4, split=["train", "heldout", "train", None]), _list(1, split="heldout")]))
    splits = rows.set_index("caption")["split"]
    assert splits[["c0", "c1", "c2"]].tolist() == ["heldout", "heldout", "train"]


def test_a_split_that_is_not_given_is_drawn_by_the_uid():
    rows = _rows(_list(4000), config=ScrapeConfig(heldout_share=0.2))
    again = _rows(_list(4000)[::-1], config=ScrapeConfig(heldout_share=0.2))
    pd.testing.assert_frame_equal(rows, again)
    share = (rows["split"] == "heldout").mean()
    assert abs(share - 0.2) < 4 * (0.2 * 0.8 / 4000) ** 0.5
    halves = (rows["split"] == "heldout").to_numpy().reshape(2, -1).mean(axis=1)
    assert abs(halves[0] - halves[1]) < 0.06, "the order of the shards must say nothing about the split"


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="split must be one of.*'test'"):
        _rows(_list(split="test"))


@pytest.mark.parametrize(
    ("takedowns", "complaint"),
    [
        (pd.DataFrame({"kind": ["url"], "value": ["x"]}), "reason"),
        (pd.DataFrame({"kind": ["domain"], "value": ["x"], "reason": ["y"]}), "got .'domain'"),
        (
            pd.DataFrame({"kind": ["host"], "value": ["http://x/"], "reason": ["y"]}),
            "bare name .* got 'http://x/'",
        ),
        (pd.DataFrame({"kind": ["host"], "value": ["*."], "reason": ["y"]}), "bare name"),
    ],
)
def test_a_takedown_list_that_cannot_be_meant_is_refused(takedowns, complaint):
    with pytest.raises(ValueError, match=complaint):
        read_takedowns(takedowns)


@pytest.mark.parametrize(
    ("host", "url", "is_taken_down"),
    [
        ("example.org", "http://example.org/a.png", True), ("example.org", "https://EXAMPLE.org:8443/a", True),
        ("example.org", "http://img.cdn.example.org/a", True), ("Example.ORG.", "http://example.org./a", True),
        ("*.example.org", "http://example.org/a", True), ("img.example.org", "http://example.org/a", False),
        ("example.org", "http://badexample.org/a", False), ("example.org", "http://example.org.evil.net/", False),
        ("example.org", "http://a.net/example.org", False), ("münchen.de", "http://xn--mnchen-3ya.de/a", True),
        ("127.0.0.1", "http://127.0.0.1:80/a", True), ("127.0.0.1", "http://127.0.0.11/a", False),
    ],
)  # fmt: skip
def test_a_host_is_taken_down_with_all_below_it(host, url, is_taken_down):
    takedowns = pd.DataFrame({"kind": ["host"], "value": [host], "reason": ["the owner asked"]})
    [row] = _rows(pd.DataFrame({"url": [url], "caption": ["c"]}), takedowns).itertuples()
    assert (row.refused, row.refused_reason) == (
        ("scrape.taken_down", "the owner asked") if is_taken_down else (None, None)
    )


def test_lost_repeated_and_strange_rows_are_told_apart():
    with pytest.raises(ValueError, match="of 3 rows 1 have none .'b'.*several .'a'.*never listed .'z'"):
        check_accounted(pd.Series(["a", "b", "c"]), pd.Series(["a", "a", "c", "z"]))


def test_a_fate_outside_the_vocabulary_is_refused():
    rows = _rows(_list(1))
    with pytest.raises(ValueError, match="scrape.whatever"):
        scrape_ledger(rows, _all_kept(rows).assign(fate="scrape.whatever"), CONFIG)


@pytest.mark.parametrize(
    "wrong",
    [
        {"shard_size": 0}, {"threads": 0}, {"retries": -1}, {"timeout_s": 0.0}, {"heldout_share": 1.0},
        {"jpeg_quality": 0}, {"min_side_px": 600}, {"refused_directives": "noai"}, {"contact": "a\r\nb: c"},
        {"private_hosts": ["http://intranet/"]}, {"private_hosts": [""]},
    ],
)  # fmt: skip
def test_a_wrong_choice_is_named_before_anything_is_fetched(wrong):
    with pytest.raises(ValueError, match=f"scrape.{next(iter(wrong))} "):
        ScrapeConfig(**wrong)


def test_a_row_whose_opt_out_says_why_is_refused_in_all_its_repeats_and_a_flag_of_no_is_none():
    reasons = ["robots: noai", None, "", False]
    rows = _rows(pd.concat([_list(4), _list(4, opt_out=reasons)])).set_index("caption")
    assert rows["refused"].to_dict() == {"c0": "scrape.opted_out", "c1": None, "c2": None, "c3": None}
    assert rows.loc["c0", "refused_reason"] == "robots: noai" and rows.loc["c0", "listed"] == 2
    flags = _rows(_list(2, opt_out=[True, False])).set_index("caption")["refused"]
    assert flags.to_dict() == {"c0": "scrape.opted_out", "c1": None}
