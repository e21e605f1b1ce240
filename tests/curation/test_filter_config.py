import pytest

from unclip_pipeline.curation.concepts import Concept, concept_rule, read_concepts
from unclip_pipeline.curation.filter_config import FilterConfig


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("drop_lowest_share", 1.0),
        ("top_fraction", 0.0),
        ("min_similarity", 3.0),
        ("max_aspect", float("nan")),
        ("max_aspect", 0.5),
        ("bank_size", 1),
        ("rank_by", "beauty"),
        ("boilerplate", "untitled"),
        ("boilerplate_patterns", ["(unclosed"]),
        ("languages", ["english"]),
        ("min_similarity_by_language", {"xx": 0.2}),
        ("reference_captions", "a bird"),
        ("reference_clusters", -1),
    ],
)
def test_impossible_choices_are_refused_by_name(field, wrong):
    with pytest.raises(ValueError, match=f"filter.{field}"):
        FilterConfig(**{field: wrong})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompts": "a sign"}, "filter.concepts.unsafe.prompts must be a list of texts"),
        (
            {"prompts": ["a sign"], "max_evidence": "1"},
            "filter.concepts.unsafe.max_evidence must be a number",
        ),
        ({"prompts": ["a sign"], "max_evidnce": 1}, "max_evidnce is no setting .* did you mean max_evidence"),
        ({"prompts": ["a sign"], "zebra": 1}, "zebra is no setting of a concept; there are .*prompts"),
        ({}, "filter.concepts.unsafe needs prompts or words"),
        ({"words": ["gore"], "neutral_prompts": ["a sign"]}, "neutral_prompts needs prompts"),
        ([], "filter.concepts.unsafe takes settings"),
    ],
)
def test_a_fault_in_a_concept_is_named_with_its_place(settings, message):
    with pytest.raises(ValueError, match=message):
        FilterConfig(concepts={"unsafe": settings})


def test_a_concept_needs_a_name_that_can_be_a_fate():
    with pytest.raises(ValueError, match=r"filter.concepts: a name .* got 'Not Safe'"):
        FilterConfig(concepts={"Not Safe": {"words": ["gore"]}})


def test_concepts_have_names():
    with pytest.raises(ValueError, match=r"filter.concepts maps names to settings, got \['unsafe'\]"):
        read_concepts(["unsafe"])


def test_null_leaves_a_concept_out():
    config = FilterConfig(concepts={"unsafe": None, "meme": {"words": ["meme"]}})
    assert config.active_concepts == {"meme": Concept(words=["meme"])}


def test_prompts_are_listed_by_the_column_of_their_score():
    settings = {"prompts": ["a sign"], "neutral_prompts": ["a triangle"]}
    config = FilterConfig(concepts={"unsafe": settings, "meme": {"words": ["meme"]}})
    assert config.prompts == {"score_unsafe": ["a sign"], "neutral_unsafe": ["a triangle"]}


def test_two_concepts_keep_their_bare_fates():
    assert [concept_rule(name) for name in ("unsafe", "watermark", "meme")] == [
        "unsafe",
        "watermark",
        "concept_meme",
    ]
