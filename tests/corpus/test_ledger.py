import pandas as pd
import pytest

from unclip_pipeline.corpus.ledger import check_accounted, join_ledger, waterfall


def tables() -> dict[str, pd.DataFrame]:
    """Six rows: one fails to be scraped, one is filtered, one is a duplicate, three are kept."""
    uids = [f"{row:016x}" for row in range(6)]
    scrape = pd.DataFrame(
        {
            "uid": uids,
            "split": ["train"] * 5 + ["heldout"],
            "fate": ["scrape.http_404"] + ["kept"] * 5,
            "shard": [None] + ["00000"] * 5,
        }
    )
    verdicts = pd.DataFrame(
        {"uid": uids[1:], "fate": ["filter.unsafe"] + ["kept"] * 4, "similarity": [0.1, 0.2, 0.3, 0.4, 0.5]}
    )
    duplicates = pd.DataFrame(
        {
            "uid": uids[2:],
            "fate": ["deduplicate.exact"] + ["kept"] * 3,
            "duplicate_of": [uids[3], None, None, None],
            "cosine": [1.0, None, None, None],
        }
    )
    weights = pd.DataFrame({"uid": uids[3:5], "weight": [0.5, 1.5]})
    return {
        "scrape_ledger": scrape, "filter_verdicts": verdicts, "duplicate_verdicts": duplicates,
        "sampling_weights": weights,
    }  # fmt: skip


def join(**changes: pd.DataFrame) -> pd.DataFrame:
    parts = tables() | changes
    kept = parts["duplicate_verdicts"].loc[lambda rows: rows["fate"] == "kept", "uid"]
    return join_ledger(**parts, released_shards=pd.Series("00000", index=kept))


def test_every_row_has_its_final_fate_and_what_was_found_out_about_it():
    ledger = join().set_index("uid")
    assert ledger["fate"].tolist() == [
        "scrape.http_404", "filter.unsafe", "deduplicate.exact", "kept", "kept", "kept",
    ]  # fmt: skip
    assert ledger["weight"].dropna().tolist() == [0.5, 1.5]
    assert ledger["released_shard"].notna().tolist() == [False] * 3 + [True] * 3
    assert ledger["duplicate_of"].iloc[2] == ledger.index[3]
    assert ledger["similarity"].isna().tolist() == [True] + [False] * 5


def test_the_inputs_are_left_as_they_were():
    parts = tables()
    join_ledger(**parts, released_shards=pd.Series("00000", index=parts["duplicate_verdicts"]["uid"][1:]))
    pd.testing.assert_frame_equal(parts["scrape_ledger"], tables()["scrape_ledger"])


@pytest.mark.parametrize("stage", ["filter_verdicts", "duplicate_verdicts", "sampling_weights"])
def test_a_lost_row_stops_the_release_and_names_it(stage):
    lost = tables()[stage].iloc[:-1]
    with pytest.raises(ValueError, match=tables()[stage]["uid"].iloc[-1]):
        join(**{stage: lost})


def test_a_row_judged_twice_stops_the_release():
    twice = pd.concat([tables()["filter_verdicts"], tables()["filter_verdicts"].tail(1)])
    with pytest.raises(ValueError, match="1 have several"):
        join(filter_verdicts=twice)


def test_an_unknown_fate_stops_the_release():
    verdicts = tables()["filter_verdicts"]
    verdicts.loc[0, "fate"] = "filter.bad_mood"
    with pytest.raises(ValueError, match="filter.bad_mood"):
        join(filter_verdicts=verdicts)


def test_a_duplicate_of_a_row_that_is_not_kept_stops_the_release():
    duplicates = tables()["duplicate_verdicts"]
    duplicates.loc[0, "duplicate_of"] = duplicates["uid"][0]
    with pytest.raises(ValueError, match="not kept"):
        join(duplicate_verdicts=duplicates)


def test_a_row_released_although_dropped_stops_the_release():
    everything = pd.Series("00000", index=tables()["duplicate_verdicts"]["uid"])
    with pytest.raises(ValueError, match="release_dataset"):
        join_ledger(**tables(), released_shards=everything)


def test_the_waterfall_ends_with_what_is_kept():
    steps = waterfall(join())
    assert steps["left"].tolist() == [6, 5, 4, 3, 3]
    assert steps["reason"].tolist() == ["", "http_404", "unsafe", "exact", ""]
    assert steps["pairs"].iloc[0] + steps["pairs"].iloc[1:-1].sum() == steps["pairs"].iloc[-1]


def test_a_stage_accounts_for_exactly_the_rows_it_was_given():
    table = pd.DataFrame({"uid": ["a", "b"], "fate": ["kept", "kept"]})
    check_accounted(pd.Series(["a", "b"]), table, stage="filter")
    with pytest.raises(ValueError, match="filter: .* 1 have none \\['c'\\]"):
        check_accounted(pd.Series(["a", "b", "c"]), table, stage="filter")
    with pytest.raises(ValueError, match="1 belong to no row \\['b'\\]"):
        check_accounted(pd.Series(["a"]), table, stage="filter")
