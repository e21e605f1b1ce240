import pandas as pd

from unclip_pipeline.cards.model_card import ModelFacts, abstract, markdown_table, model_card
from unclip_pipeline.cards.release import release_page

FACTS = ModelFacts(
    "unclip", "4b2c9d0e", "conv-128", "710a998", 64,
    pd.DataFrame({"part": ["prior"], "parameters": [1234567], "images_seen": [9000], "digest": ["ab12"]}),
)  # fmt: skip
METRICS = {
    "evaluate": {
        "r_precision_prior": 0.61, "r_precision_prior_low": 0.55, "r_precision_prior_high": 0.67,
        "r_precision_chance": 0.005,
        "copies_tiles_heldout_excess": 0.013, "copies_tiles_heldout_excess_low": -0.01,
        "copies_tiles_heldout_excess_high": 0.04,
    },
    "audit_samples": {"share_chef_amber": 0.72, "share_chef_amber_training": 0.5},
    "audit_data": {"share_group_amber_scraped": 0.41, "share_group_amber_deduplicated": 0.43},
}  # fmt: skip
GATES = pd.DataFrame({"gate": ["evaluate.r"], "value": ["0.61"], "bound": [">= 0.3"], "verdict": ["passed"]})
FATES = {"kept": 900, "filter.unsafe": 100}


def test_the_card_has_the_headings_of_the_system_card_it_follows():
    card = model_card(FACTS, METRICS, FATES, GATES)
    for heading in (
        "Summary", "Model and training data", "Input filters", "Access, use and content policy",
        "Signature and provenance", "Explicit content", "Bias and representation", "Memorisation",
        "Copyright and trademark", "Relation to existing work", "Future work", "Glossary",
    ):  # fmt: skip
        assert f"# {heading}" in card, heading


def test_the_cards_numbers_are_the_measured_ones():
    card = model_card(FACTS, METRICS, FATES, GATES)
    for text in (
        "1,234,567",
        "0.610 [0.550, 0.670]",
        "| 0.005 |",
        "0.013 [-0.010, 0.040]",
        "0.720",
        "10.0%",
        ">= 0.3",
    ):
        assert text in card, text


def test_the_card_says_whether_the_model_can_be_handed_over_and_why_not():
    assert "exportable: true" in model_card(FACTS, METRICS, FATES, GATES)
    facts = FACTS._replace(why_not_exportable=["decoder.target v: unknown there"])
    assert "exportable: false" in (card := model_card(facts, METRICS, FATES, GATES))
    assert "- `decoder`: target v: unknown there" in card


def test_what_was_not_measured_is_said_to_be_missing():
    card = model_card(FACTS, {}, FATES, GATES)
    assert "The model was not evaluated." in card and card.count("Not measured.") >= 3


def test_bars_inside_cells_do_not_make_columns():
    assert markdown_table(["a"], [["x|y"]]).splitlines()[-1] == "| x\\|y |"


def test_the_release_page_links_each_gate_to_the_report_that_explains_it():
    page = release_page({"version": "1"}, GATES, usage="a < b", card="# card")
    assert 'href="evaluate_report.html"' in page and "a &lt; b" in page and "passed" in page


def test_the_release_page_shows_the_card_without_what_only_machines_read():
    page = release_page({}, GATES, usage="", card=model_card(FACTS, METRICS, FATES, GATES))
    assert "<h2>Model and training data</h2>" in page and "pipeline_tag" not in page


def test_a_shortened_card_begins_with_what_it_is_and_ends_at_the_end_of_a_section():
    card = model_card(FACTS, METRICS, FATES, GATES)
    short = abstract(card, 1500)
    assert short.startswith("Text in, 64 x 64 pixel picture out.") and len(short) <= 1500
    assert "## Model and training data" in short and "## Glossary" not in short
    assert "`MODEL_CARD.md`" in short.splitlines()[-1]
