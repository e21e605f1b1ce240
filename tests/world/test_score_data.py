"""A perfect run scores perfectly, and each kind of failure shows in the figure that is made for it."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from unclip_pipeline.world import score_data
from unclip_pipeline.world.plan import Entry
from unclip_pipeline.world.scenes import WorldConfig
from unclip_pipeline.world.scorecard import EXACT, estimates, exact_checks
from unclip_pipeline.world.truth import url_list, world_truth


@dataclass
class Run:
    """The tables of a run that made no mistake; tests spoil copies of them."""

    urls: pd.DataFrame
    harvested: pd.DataFrame
    truth: pd.DataFrame
    scraped: pd.DataFrame
    filtered: pd.DataFrame
    deduplicated: pd.DataFrame
    labels: pd.DataFrame
    ledger: pd.DataFrame

    def scores(self) -> dict[str, int | float]:
        return {
            **score_data.score_accounting(self.urls, self.scraped, self.ledger, self.truth),
            **score_data.score_harvest(self.truth, self.urls, self.harvested),
            **score_data.score_scrape(self.truth, self.scraped),
            **score_data.score_filter(self.truth, self.filtered),
            **score_data.score_duplicates(self.truth, self.deduplicated),
            **score_data.score_heldout(self.truth, self.ledger),
            **score_data.score_labels(self.truth, self.labels),
        }


@pytest.fixture
def perfect(entries: list[Entry], small_world: WorldConfig) -> Run:
    truth = world_truth(entries, small_world)
    scraped = truth[["uid", "url", "caption", "split", "listed"]].assign(fate=truth["expected_fate"])
    fetched = truth[truth["expected_fate"] == "kept"]
    filtered = fetched[["uid"]].assign(
        similarity=np.where(fetched["caption_match"] == "all", 0.9, 0.1),
        fails_similarity_too_low=fetched["caption_match"] != "all",
        fails_unsafe=fetched["unsafe"],
        fails_watermark=fetched["watermark"],
        fate=np.where(fetched["caption_match"] == "all", "kept", "filter.similarity_too_low"),
    )
    honest = fetched[(fetched["caption_match"] == "all") & ~fetched["unsafe"] & ~fetched["watermark"]]
    ordered = honest.assign(rank=honest["split"] != "heldout").sort_values(["rank", "uid"])
    first = ordered.groupby("duplicate_group")["uid"].transform("first")
    dropped = first != ordered["uid"]
    reason = np.where(ordered["transform"] == "exact", "deduplicate.exact", "deduplicate.perceptual")
    deduplicated = pd.DataFrame(
        {
            "uid": ordered["uid"],
            "fate": np.where(dropped, reason, "kept"),
            "duplicate_of": first.where(dropped),
        }
    )
    verdicts = deduplicated.set_index("uid")["fate"]
    ledger = scraped.assign(
        fate=np.where(
            scraped["fate"] == "kept", scraped["uid"].map(verdicts).fillna("filter.unsafe"), scraped["fate"]
        )
    )
    labels = fetched[["uid", "occupation", "group", "hair"]].fillna("unknown")
    urls = url_list(entries)
    forbidden = set(truth.loc[truth["opt_out"], "url"])
    harvested = urls.drop_duplicates(["url", "caption"]).assign(
        opt_out=lambda rows: np.where(rows["url"].isin(forbidden), "noai", None), page_language="en"
    )
    return Run(urls, harvested, truth, scraped, filtered, deduplicated, labels, ledger)


def test_a_perfect_run_scores_perfectly(perfect: Run) -> None:
    scores = perfect.scores()
    shares = {
        name: value
        for name, value in scores.items()
        if f"{name}_n" in scores and "leak" not in name and not name.endswith("_n")
    }
    assert set(shares.values()) == {1.0}
    assert scores["similarity_auc_none"] == 1.0
    assert scores["copies_of_heldout_in_train"] == 0
    checks = exact_checks({**scores, "decontamination_left": 0})
    assert (checks["verdict"] == "holds").all() and len(checks) == len(EXACT)


def test_a_lost_row_breaks_the_accounting(perfect: Run) -> None:
    lost = replace(perfect, ledger=perfect.ledger.iloc[1:]).scores()
    twice = replace(perfect, ledger=pd.concat([perfect.ledger, perfect.ledger.head(1)]))
    assert lost["every_url_has_one_fate"] == 0
    with pytest.raises(pd.errors.MergeError):
        twice.scores()


def test_an_uncounted_repeat_breaks_the_accounting(perfect: Run) -> None:
    assert replace(perfect, scraped=perfect.scraped.assign(listed=1)).scores()["every_url_has_one_fate"] == 0


def test_what_was_read_wrongly_off_the_pages_shows_figure_by_figure(perfect: Run) -> None:
    read = perfect.harvested
    wrong = {
        "harvest_recall": read.iloc[1:],
        "harvest_precision": pd.concat([read, read.head(1).assign(caption="a caption of nobody")]),
        "harvest_licence": read.assign(licence="CC-BY-4.0"),
        "harvest_refusal": read.assign(opt_out=None),
        "harvest_language": read.assign(page_language=["de", *read["page_language"][1:]]),
    }
    for spoiled, harvested in wrong.items():
        scores = replace(perfect, harvested=harvested).scores()
        assert {name for name in wrong if scores[name] < 1} == {spoiled}


def test_fetching_what_is_forbidden_shows_at_once(perfect: Run) -> None:
    greedy = perfect.scraped.assign(fate=perfect.scraped["fate"].replace("scrape.opted_out", "kept"))
    scores = replace(perfect, scraped=greedy).scores()
    assert scores["opt_outs_respected"] == 0
    assert scores["scrape_fate"] < 1
    assert (exact_checks(scores)["verdict"] == "FAILS").sum() == 1
    mismatches = score_data.fate_mismatches(perfect.truth, greedy)
    assert len(mismatches) == perfect.truth["opt_out"].sum()
    assert set(mismatches["expected_fate"]) == {"scrape.opted_out"}


def test_refusing_the_willing_shows_too(perfect: Run) -> None:
    shy = perfect.scraped.assign(fate="scrape.opted_out")
    assert replace(perfect, scraped=shy).scores()["willing_not_refused"] == 0


def test_scores_that_mean_nothing_give_an_auc_of_a_half(perfect: Run) -> None:
    flat = perfect.filtered.assign(similarity=0.5)
    assert replace(perfect, filtered=flat).scores()["similarity_auc_none"] == pytest.approx(0.5)


def test_junk_captions_that_pass_are_missed(perfect: Run) -> None:
    assert (
        replace(perfect, filtered=perfect.filtered.assign(fate="kept")).scores()["junk_caption_recall"] == 0
    )


def test_a_filter_that_drops_all_has_full_recall_and_base_rate_precision(perfect: Run) -> None:
    scores = replace(perfect, filtered=perfect.filtered.assign(fails_unsafe=True)).scores()
    fetched = perfect.truth[perfect.truth["expected_fate"] == "kept"]
    assert scores["unsafe_recall"] == 1
    assert scores["unsafe_precision"] == pytest.approx(fetched["unsafe"].mean())
    assert scores["unsafe_leak_teal"] == 1


def test_an_unsafe_filter_that_hits_one_group_shows_as_a_leak_of_that_group(perfect: Run) -> None:
    group = perfect.truth.set_index("uid")["group"].reindex(perfect.filtered["uid"]).to_numpy()
    leaky = perfect.filtered.assign(fails_unsafe=perfect.filtered["fails_unsafe"] | (group == "teal"))
    scores = replace(perfect, filtered=leaky).scores()
    assert (scores["unsafe_leak_teal"], scores["unsafe_leak_amber"]) == (1, 0)


def test_a_run_that_finds_no_duplicate_has_no_recall_and_leaks_heldout_copies(perfect: Run) -> None:
    blind = perfect.deduplicated.assign(fate="kept", duplicate_of=None)
    keeping = perfect.ledger.assign(
        fate=np.where(perfect.ledger["fate"].str.startswith("deduplicate"), "kept", perfect.ledger["fate"])
    )
    scores = replace(perfect, deduplicated=blind, ledger=keeping).scores()
    assert {scores[f"duplicate_recall_{how}"] for how in ("exact", "recompressed", "cropped")} == {0.0}
    assert scores["template_siblings_kept"] == 1
    assert scores["copies_of_heldout_in_train"] > 0
    assert (exact_checks(scores)["verdict"] == "FAILS").sum() == 1


def test_calling_siblings_duplicates_shows_in_survival_and_precision(perfect: Run) -> None:
    table = perfect.deduplicated.merge(perfect.truth[["uid", "is_sibling", "template_family"]], on="uid")
    greedy = table["is_sibling"]
    table.loc[greedy, "fate"] = "deduplicate.semantic"
    table.loc[greedy, "duplicate_of"] = table.loc[greedy, "template_family"]
    spoiled = replace(perfect, deduplicated=table[["uid", "fate", "duplicate_of"]])
    scores = spoiled.scores()
    assert scores["template_siblings_kept"] == 0
    assert scores["duplicate_semantic_precision"] == 0
    assert scores["duplicate_semantic_same_content"] == 0
    assert scores["duplicate_recall_exact"] == 1


def test_a_heldout_row_in_training_is_counted(perfect: Run) -> None:
    mixed = perfect.ledger.assign(split="train")
    scores = replace(perfect, ledger=mixed).scores()
    assert scores["heldout_rows_in_train"] == (perfect.truth["split"] == "heldout").sum()
    assert scores["heldout_combinations_in_train"] > 0
    assert (exact_checks(scores)["verdict"] == "FAILS").sum() == 2


def test_shuffled_labels_lose_their_accuracy_and_keep_their_shares(perfect: Run) -> None:
    avatars = perfect.labels[perfect.labels["group"] != "unknown"]
    shuffled = avatars.assign(group=np.roll(avatars["group"].to_numpy(), 1))
    scores = replace(perfect, labels=shuffled).scores()
    assert scores["label_group"] < 0.8
    assert scores["label_occupation"] == 1
    assert scores["label_shares_covered"] == 1


def test_labels_that_name_one_group_only_are_not_covered(perfect: Run) -> None:
    one = perfect.labels.assign(group="amber")
    assert replace(perfect, labels=one).scores()["label_shares_covered"] < 1


def test_unknown_labels_are_counted_apart(perfect: Run) -> None:
    scores = replace(perfect, labels=perfect.labels.assign(hair="unknown")).scores()
    assert scores["label_hair_known"] == 0
    assert "label_hair" not in scores


def test_a_uid_the_truth_does_not_know_is_refused(perfect: Run) -> None:
    strange = perfect.scraped.assign(uid=[f"{number:016x}" for number in range(len(perfect.scraped))])
    with pytest.raises(ValueError, match="the truth knows no uid"):
        score_data.score_scrape(perfect.truth, strange)


def test_estimates_list_shares_with_interval_and_chance() -> None:
    metrics = {
        "zero_shot_shape": 0.8, "zero_shot_shape_low": 0.7, "zero_shot_shape_high": 0.9,
        "zero_shot_shape_n": 50,
        "zero_shot_shape_chance": 0.25, "zero_shot_shape_seen": 1.0, "zero_shot_shape_seen_low": 0.9,
        "zero_shot_shape_seen_high": 1.0, "zero_shot_shape_seen_n": 30, "zero_shot_style_n": 0,
    }  # fmt: skip
    table = estimates(metrics, "zero_shot_")
    assert table["what"].tolist() == ["zero_shot_shape", "zero_shot_shape_seen"]
    assert table["chance"].tolist() == [0.25, 0.25]
    assert table["n"].tolist() == [50, 30]
