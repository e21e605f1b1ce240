import numpy as np
import pandas as pd
import pytest

from unclip_pipeline.curation.rules import FilterConfig, caption_words, is_filename, judge

GOOD = {
    "caption": "a red circle", "width": 64, "height": 64, "contrast": 40.0,
    "similarity": 0.4, "evidence": 5.0, "score_unsafe": -3.0, "score_watermark": -3.0,
}  # fmt: skip
CONFIG = FilterConfig(unsafe_prompts=["a hazard sign"], watermark_prompts=["a watermark"])


def facts(*rows: dict) -> pd.DataFrame:
    return pd.DataFrame([{"uid": f"{number:016x}", **GOOD, **row} for number, row in enumerate(rows)])


def fates(*rows: dict, config: FilterConfig = CONFIG) -> list[str]:
    return judge(facts(*rows), config)["fate"].tolist()


@pytest.mark.parametrize(
    ("fault", "fate"),
    [
        ({}, "kept"),
        ({"caption": "IMG_1234.jpg"}, "filter.caption_is_filename"),
        ({"caption": "circle"}, "filter.caption_too_short"),
        ({"height": 8}, "filter.image_too_small"),
        ({"contrast": 1.0}, "filter.image_blank"),
        ({"score_unsafe": 2.0}, "filter.unsafe"),
        ({"score_watermark": 2.0}, "filter.watermark"),
        ({"evidence": 0.5}, "filter.similarity_too_low"),
    ],
)
def test_each_fault_ends_a_row_by_its_own_rule(fault, fate):
    assert fates(fault) == [fate]


def test_the_first_failing_rule_is_the_fate_and_every_rule_answers():
    verdict = judge(facts({"caption": "x", "evidence": -9.0, "score_unsafe": 9.0}), CONFIG).iloc[0]
    assert verdict["fate"] == "filter.caption_too_short"
    failed = [name for name in verdict.index if name.startswith("fails_") and verdict[name]]
    assert failed == ["fails_caption_too_short", "fails_unsafe", "fails_similarity_too_low"]


def test_all_rows_and_scores_are_in_the_table():
    verdicts = judge(facts({}, {"evidence": -1.0}), CONFIG)
    assert verdicts["uid"].tolist() == ["0" * 16, f"{1:016x}"]
    assert {"similarity", "evidence", "contrast", "caption_words", "score_unsafe"} <= set(verdicts)
    assert verdicts.filter(like="fails_").dtypes.eq(bool).all()


def test_a_concept_without_prompts_has_no_rule():
    verdicts = judge(facts({"score_unsafe": 9.0}), FilterConfig())
    assert "fails_unsafe" not in verdicts
    assert verdicts["fate"].tolist() == ["kept"]


def test_the_lowest_share_is_taken_of_what_passes_everything_else():
    rows = [{"evidence": float(number)} for number in range(2, 12)] + [{"caption": "x", "evidence": 1.5}]
    lowest = judge(facts(*rows), FilterConfig(drop_lowest_share=0.3))
    assert lowest["fails_similarity_too_low"].tolist() == [True] * 3 + [False] * 8


def test_a_raw_cosine_can_be_demanded_as_well():
    config = FilterConfig(min_similarity=0.28)
    assert fates({"similarity": 0.27}, {"similarity": 0.29}, config=config) == [
        "filter.similarity_too_low",
        "kept",
    ]


def test_a_caption_that_names_a_concept_ends_its_row_whatever_the_image_scores():
    config = FilterConfig(watermark_words=["watermark", "stock photo"])
    captions = ["a star with a Watermark", "a watermarked star", "a stock photo", "a stock of photos"]
    found = fates(*({"caption": caption} for caption in captions), config=config)
    assert found == ["filter.watermark", "kept", "filter.watermark", "kept"]


def test_words_and_prompts_of_a_concept_add_up():
    config = FilterConfig(watermark_words=["watermark"], watermark_prompts=["a watermark"])
    rows = [{"caption": "with a watermark"}, {"score_watermark": 5.0}, {}]
    assert fates(*rows, config=config) == ["filter.watermark", "filter.watermark", "kept"]


def test_words_are_counted_in_any_script():
    captions = pd.Series(["", "two words", "три слова есть", "it's"])
    assert caption_words(captions).tolist() == [0, 2, 3, 2]


def test_file_names_and_addresses_are_not_captions():
    captions = pd.Series(["DSC0012.JPG", " photo-12.png ", "https://a.b/c", "a photo.png of it", "flower"])
    assert is_filename(captions).tolist() == [True, True, True, False, False]


@pytest.mark.parametrize(
    "wrong", [{"drop_lowest_share": 1.0}, {"min_similarity": 3.0}, {"unsafe_prompts": "sign"}]
)
def test_impossible_choices_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=f"filter.{next(iter(wrong))}"):
        FilterConfig(**wrong)


def test_numbers_on_the_limit_pass():
    at = {"height": 16, "contrast": 3.0, "score_unsafe": 1.0, "score_watermark": 1.0, "evidence": 1.0}
    assert fates(at) == ["kept"]
    assert np.isfinite(judge(facts(at), CONFIG)["evidence"]).all()
