import numpy as np
import pandas as pd
import pytest

from unclip_pipeline.curation.captions import measure_caption
from unclip_pipeline.curation.rules import FilterConfig, active_rules, filter_metrics, judge, overlap

GOOD = {
    "caption": "a red circle", "width": 64, "height": 64, "contrast": 40.0, "colour": 50.0,
    "text_density": 0.0, "image_error": "", "language": "en", "language_probability": 0.9,
    "similarity": 0.4, "evidence": 5.0, "score_unsafe": -3.0, "score_watermark": -3.0,
}  # fmt: skip
CONCEPTS = {"unsafe": {"prompts": ["a hazard sign"]}, "watermark": {"prompts": ["a watermark"]}}
CONFIG = FilterConfig(concepts=CONCEPTS)


def facts(*rows: dict) -> pd.DataFrame:
    """Rows that pass everything but for what is said here; every image is a file of its own."""
    whole = [
        {"uid": f"{number:016x}", "sha256": f"{number:064x}", **GOOD, **row}
        for number, row in enumerate(rows)
    ]
    said = [measure_caption(row["caption"])._asdict() for row in whole]
    return pd.DataFrame([{**measured, **row} for measured, row in zip(said, whole, strict=True)])


def fates(*rows: dict, config: FilterConfig = CONFIG) -> list[str]:
    return judge(facts(*rows), config)["fate"].tolist()


@pytest.mark.parametrize(
    ("fault", "fate"),
    [
        ({}, "kept"),
        ({"caption": "IMG_1234.jpg"}, "filter.caption_is_filename"),
        ({"caption": "circle"}, "filter.caption_too_short"),
        ({"caption": "a word " * 300}, "filter.caption_too_long"),
        ({"caption": "sale sale sale sale"}, "filter.caption_repetitive"),
        ({"caption": "wow what!!!!!!!!!!!!"}, "filter.caption_repetitive"),
        ({"caption": "12/03/2014 14:33 +0200"}, "filter.caption_not_text"),
        ({"caption": "a caf\ufffd in Paris"}, "filter.caption_not_text"),
        ({"caption": "Stock Photo."}, "filter.caption_boilerplate"),
        ({"caption": "a lamp, click here to enlarge"}, "filter.caption_boilerplate"),
        ({"height": 8}, "filter.image_too_small"),
        ({"width": 200}, "filter.image_too_elongated"),
        ({"contrast": 1.0}, "filter.image_blank"),
        ({"score_unsafe": 2.0}, "filter.unsafe"),
        ({"score_watermark": 2.0}, "filter.watermark"),
        ({"evidence": 0.5}, "filter.similarity_too_low"),
    ],
)
def test_each_fault_ends_a_row_by_its_own_rule(fault, fate):
    assert fates(fault) == [fate]


@pytest.mark.parametrize(
    ("fault", "limit", "fate"),
    [
        ({"colour": 2.0}, {"min_colour": 3.0}, "filter.image_grey"),
        ({"text_density": 0.5}, {"max_text_density": 0.4}, "filter.image_text_heavy"),
        ({"references_in_cluster": 0}, {"reference_captions": ["a bird"]}, "filter.reference_too_far"),
        ({"language": "de"}, {"languages": ["en"]}, "filter.caption_language"),
    ],
)
def test_rules_that_are_off_by_default_answer_once_they_have_a_limit(fault, limit, fate):
    assert fates(fault) == ["kept"]
    assert fates(fault, config=FilterConfig(**limit)) == [fate]


def test_null_switches_a_rule_off_and_its_answer_is_gone():
    config = FilterConfig(min_caption_words=None, min_evidence=None, min_similarity=None)
    verdicts = judge(facts({"caption": "circle", "evidence": -9.0}), config)
    assert verdicts["fate"].tolist() == ["kept"]
    assert "fails_caption_too_short" not in verdicts


def test_the_first_failing_rule_is_the_fate_and_every_rule_answers():
    verdict = judge(facts({"caption": "x", "evidence": -9.0, "score_unsafe": 9.0}), CONFIG).iloc[0]
    assert verdict["fate"] == "filter.caption_too_short"
    failed = [name for name in verdict.index if name.startswith("fails_") and verdict[name]]
    assert failed == ["fails_caption_too_short", "fails_unsafe", "fails_similarity_too_low"]


def test_all_rows_and_scores_are_in_the_table():
    verdicts = judge(facts({}, {"evidence": -1.0}), CONFIG)
    assert verdicts["uid"].tolist() == ["0" * 16, f"{1:016x}"]
    scores = {"similarity", "evidence", "contrast", "caption_words", "score_unsafe", "language", "aspect"}
    assert scores <= set(verdicts)
    assert not {"caption", "width", "sha256"} & set(verdicts)
    assert verdicts.filter(like="fails_").dtypes.eq(bool).all()


def test_the_table_names_what_every_rule_goes_by():
    columns = set(facts({})) | {"side_px", "aspect", "images_of_caption", "captions_of_image", "passed"}
    for rule in active_rules(CONFIG):
        assert set(rule.needs) <= columns
        assert all(hasattr(CONFIG, field) for field in rule.limits)


def test_a_concept_that_is_left_out_has_no_rule():
    verdicts = judge(facts({"score_unsafe": 9.0}), FilterConfig(concepts={"unsafe": None}))
    assert "fails_unsafe" not in verdicts
    assert verdicts["fate"].tolist() == ["kept"]


def test_a_concept_of_ones_own_has_a_fate_of_its_own():
    config = FilterConfig(concepts={"screenshot": {"prompts": ["a screenshot"], "max_evidence": 2.0}})
    assert fates({"score_screenshot": 2.5}, {"score_screenshot": 1.5}, config=config) == [
        "filter.concept_screenshot",
        "kept",
    ]


def test_a_concept_must_win_over_what_is_easily_taken_for_it():
    settings = {"prompts": ["a sign"], "neutral_prompts": ["a triangle"], "min_margin": 0.5}
    rows = [{"score_unsafe": 3.0, "neutral_unsafe": value} for value in (0.0, 2.4, 2.6, 9.0)]
    verdicts = judge(facts(*rows), FilterConfig(concepts={"unsafe": settings}))
    assert verdicts["fails_unsafe"].tolist() == [True, True, False, False]
    assert verdicts["margin_unsafe"].tolist() == pytest.approx([3.0, 0.6, 0.4, -6.0])


def test_a_probe_that_labels_gave_decides_in_place_of_the_prompts():
    rows = [
        {"probe_unsafe": 0.7, "score_unsafe": -9.0},
        {"probe_unsafe": 0.69, "score_unsafe": 9.0},
        {"probe_unsafe": 0.1, "caption": "a nude study"},
    ]
    config = FilterConfig(concepts={"unsafe": {"prompts": ["a hazard sign"], "words": ["nude"]}})
    verdicts = judge(facts(*rows), config, {"unsafe": 0.7})
    assert verdicts["fails_unsafe"].tolist() == [True, False, True]
    assert {"probe_unsafe", "score_unsafe"} <= set(verdicts)


def test_the_lowest_share_is_taken_of_what_passes_everything_else():
    rows = [{"evidence": float(number)} for number in range(2, 12)] + [{"caption": "x", "evidence": 1.5}]
    lowest = judge(facts(*rows), FilterConfig(drop_lowest_share=0.3))
    assert lowest["fails_similarity_too_low"].tolist() == [True] * 3 + [False] * 8


def test_the_lowest_share_comes_on_top_of_what_is_below_the_limit():
    rows = [{"evidence": value} for value in (0.0, 0.5, 2.0, 3.0, 4.0, 5.0)]
    found = judge(facts(*rows), FilterConfig(min_evidence=1.0, drop_lowest_share=0.5))
    assert found["fails_similarity_too_low"].tolist() == [True] * 4 + [False] * 2


def test_the_top_fraction_is_taken_of_all_pairs():
    rows = [{"evidence": float(number)} for number in range(2, 11)] + [{"caption": "x", "evidence": 11.0}]
    top = judge(facts(*rows), FilterConfig(top_fraction=0.3))
    assert top["fails_similarity_too_low"].tolist() == [True] * 7 + [False] * 3


def test_equal_scores_are_cut_in_the_order_of_uids():
    top = judge(facts(*[{}] * 10).iloc[::-1], FilterConfig(top_fraction=0.5))
    assert top["fails_similarity_too_low"].tolist() == [True] * 5 + [False] * 5


def test_a_raw_cosine_can_be_demanded_as_well_and_by_language():
    config = FilterConfig(min_similarity=0.28, min_similarity_by_language={"de": 0.2})
    rows = [{"similarity": 0.27}, {"similarity": 0.29}, {"similarity": 0.21, "language": "de"}]
    assert fates(*rows, {"similarity": 0.19, "language": "de"}, config=config) == [
        "filter.similarity_too_low",
        "kept",
        "kept",
        "filter.similarity_too_low",
    ]


def test_shares_go_by_the_score_that_is_asked_for():
    rows = [{"evidence": 2.0, "similarity": 0.9}, {"evidence": 3.0, "similarity": 0.1}]
    config = FilterConfig(top_fraction=0.5, rank_by="similarity")
    assert fates(*rows, config=config) == ["kept", "filter.similarity_too_low"]


def test_the_score_that_pairs_are_ranked_by_is_the_one_the_rule_goes_by():
    last = active_rules(FilterConfig(rank_by="similarity", min_similarity=0.2))[-1]
    assert (last.name, last.score, last.limit) == ("similarity_too_low", "similarity", 0.2)
    assert active_rules(FilterConfig())[-1].score == "evidence"


def test_a_doubtful_language_is_unknown_and_passes_unless_it_may_not():
    row = {"language": "xh", "language_probability": 0.1}
    assert judge(facts(row), CONFIG)["language"].tolist() == ["unknown"]
    assert fates(row, config=FilterConfig(languages=["en"])) == ["kept"]
    strict = FilterConfig(languages=["en"], keep_unknown_language=False)
    assert fates(row, config=strict) == ["filter.caption_language"]


def test_captions_of_many_images_and_images_of_many_captions_can_be_told():
    rows = [{"caption": text, "sha256": image} for text, image in
            [("My  Blog", "a"), ("my blog", "b"), ("my blog", "c"), ("a cat", "d"), ("two dogs", "d")]]  # fmt: skip
    verdicts = judge(facts(*rows), FilterConfig(max_images_per_caption=2, max_captions_per_image=1))
    assert verdicts["images_of_caption"].tolist() == [3, 3, 3, 1, 1]
    assert verdicts["fate"].tolist() == ["filter.caption_shared"] * 3 + ["filter.image_placeholder"] * 2


def test_a_caption_that_names_a_concept_ends_its_row_whatever_the_image_scores():
    config = FilterConfig(concepts={"watermark": {"words": ["watermark", "stock photo"]}})
    captions = ["a star with a Watermark", "a watermarked star", "a stock photo", "a stock of photos"]
    found = fates(*({"caption": caption} for caption in captions), config=config)
    assert found == ["filter.watermark", "kept", "filter.watermark", "kept"]


def test_words_and_prompts_of_a_concept_add_up():
    config = FilterConfig(concepts={"watermark": {"words": ["watermark"], "prompts": ["a watermark"]}})
    rows = [{"caption": "with a watermark"}, {"score_watermark": 5.0}, {}]
    assert fates(*rows, config=config) == ["filter.watermark", "filter.watermark", "kept"]


def test_numbers_on_the_limit_pass():
    at = {"width": 48, "height": 16, "contrast": 3.0, "score_unsafe": 1.0, "score_watermark": 1.0,
          "evidence": 1.0}  # fmt: skip
    assert fates(at) == ["kept"]
    assert np.isfinite(judge(facts(at), CONFIG)["evidence"]).all()


def test_the_overlap_counts_what_two_rules_keep_between_them():
    rows = [{}, {"height": 8}, {"evidence": 0.0}, {"height": 8, "evidence": 0.0}]
    both = overlap(judge(facts(*rows), CONFIG))
    assert both.loc["image_too_small", "image_too_small"] == 2
    assert both.loc["image_too_small", "similarity_too_low"] == 1
    assert both.loc["image_blank", "similarity_too_low"] == 2


def test_metrics_add_up():
    metrics = filter_metrics(judge(facts({}, {"height": 8}, {"caption": "x", "height": 8}), CONFIG))
    assert metrics["kept"] == 1
    assert metrics["dropped_image_too_small"] == 1
    assert metrics["fails_image_too_small"] == 2
    assert metrics["kept"] + sum(n for name, n in metrics.items() if name.startswith("dropped_")) == 3


def test_an_image_that_cannot_be_decoded_has_a_fate_though_it_has_no_scores():
    lost = dict.fromkeys(["contrast", "colour", "text_density", "similarity", "evidence"], np.nan)
    lost |= {"score_unsafe": np.nan, "score_watermark": np.nan}
    config = FilterConfig(concepts=CONCEPTS, top_fraction=0.5, drop_lowest_share=0.1)
    rows = [{**lost, "image_error": "no known image format"}, {"evidence": 2.0}, {"evidence": 3.0}]
    verdicts = judge(facts(*rows), config)
    assert verdicts["fate"].tolist() == ["filter.image_undecodable", "filter.similarity_too_low", "kept"]
    assert verdicts.loc[0].filter(like="fails_").sum() == 1
    by_embedding = facts(lost, {}).assign(embedding_error=["truncated", ""])
    assert judge(by_embedding, CONFIG)["image_error"].tolist() == ["truncated", ""]


@pytest.mark.parametrize("column", ["evidence", "contrast", "score_unsafe"])
def test_a_score_that_is_no_number_is_an_error_that_names_the_pair(column):
    with pytest.raises(ValueError, match=f"needs a {column}, 1 have none, such as {1:016x}"):
        judge(facts({}, {column: np.nan}), CONFIG)


def test_nothing_to_judge_and_nothing_to_go_by_are_errors():
    with pytest.raises(ValueError, match="nothing was scraped"):
        judge(facts({}).iloc[:0], CONFIG)
    with pytest.raises(ValueError, match=r"the rules need \['contrast'\]"):
        judge(facts({}).drop(columns="contrast"), CONFIG)
