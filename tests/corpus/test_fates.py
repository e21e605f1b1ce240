import pytest

from unclip_pipeline.corpus.fates import FATES, KEPT, check_fates, is_fate
from unclip_pipeline.pipeline_registry import PIPELINES


def test_every_fate_is_kept_or_names_a_stage_of_the_registry() -> None:
    assert all(fate == KEPT or fate.partition(".")[0] in PIPELINES for fate in FATES)


@pytest.mark.parametrize(
    "fate",
    ["kept", "scrape.http_404", "scrape.http_503", "deduplicate.exact", "filter.concept_screenshot_2"],
)
def test_words_of_the_vocabulary_pass(fate: str) -> None:
    check_fates([fate])


@pytest.mark.parametrize(
    "fate",
    [
        "dropped",
        "scrape.http_200",
        "scrape.http_4040",
        "filter.Unsafe",
        "filter.concept_",
        "filter.screenshot",
        "",
        None,
    ],
)
def test_words_outside_the_vocabulary_are_named(fate: str) -> None:
    assert fate is None or not is_fate(fate)
    with pytest.raises(ValueError, match="fates"):
        check_fates(["kept", fate])
