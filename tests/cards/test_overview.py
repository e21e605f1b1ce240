"""The page that shows a run: pictures first, figures true to the metrics, nothing fetched from elsewhere."""

import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from unclip_pipeline.cards.overview import (
    Origin,
    attributes_section,
    data_audit_section,
    encoder_section,
    overview_page,
    sample_audit_section,
    waterfall_section,
)

ORIGIN = Origin("4b2c9d0e11aa22bb", "conv-128-9a8b", "710a998abcdef0123+dirty", 3)
VOID = {"meta", "img", "line", "circle", "polyline", "br", "link"}


def _png(value):
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (value, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def _samples(count=3, caption="a red circle"):
    rows = [
        dict(sample=f"{way}-{i}", uid=f"uid{i}", caption=caption, condition=way, held_out=True, png=_png(i))
        for i in range(count)
        for way in ("text", "prior", "image")
    ]
    return pd.DataFrame(rows)


def _page(**changes):
    parts = dict(
        ledger=pd.DataFrame({"fate": ["kept"] * 7 + ["scrape.http_404"] * 2 + ["filter.unsafe"]}),
        samples=_samples(),
        nearest=pd.DataFrame(
            {"sample": ["prior-0"], "rank": [1], "uid": ["uid9"], "distance": [0.123], "measure": ["tiles"]}
        ),
        pictures_by_uid={f"uid{i}": _png(100 + i) for i in range(10)},
        histories={"train_prior": pd.DataFrame({"images_seen": [64, 128, 192], "loss": [2.0, 1.0, 0.5]})},
        metrics={
            "evaluate": {
                "r_precision_prior": 0.61, "r_precision_prior_low": 0.55, "r_precision_prior_high": 0.67,
                "r_precision_prior_n": 240, "r_precision_chance": 0.005,
            },
            "scorecard": None,
        },
    )  # fmt: skip
    return overview_page(ORIGIN, **{**parts, **changes})


class _Balance(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes something else"


def test_every_element_of_the_page_is_closed():
    parser = _Balance()
    parser.feed(_page())
    assert parser.open == []


def test_the_page_fetches_nothing():
    sources = re.findall(r'(?:src|href)="([^"]+)"', _page())
    assert sources and all(s.startswith("data:") or re.fullmatch(r"\w+_report\.html", s) for s in sources)
    assert "url(" not in _page() and "<script" not in _page()


def test_figures_stand_beside_interval_and_chance():
    text = re.sub(r"<[^>]+>", " ", _page())
    assert "0.610" in text and "[0.550, 0.670]" in text and "chance 0.005" in text


def test_pictures_come_before_figures_and_the_origin_before_both():
    page = _page()
    places = [page.index(word) for word in ("4b2c9d0e11aa22bb", ">Samples<", ">Figures with floors<")]
    assert places == sorted(places)


def test_captions_are_text_and_never_markup():
    page = _page(samples=_samples(caption='<script>alert("x")</script>'))
    assert "<script" not in page and "&lt;script&gt;" in page


def test_a_stage_that_did_not_run_leaves_no_section():
    assert "planted truth" not in _page()
    scored = _page(metrics={"scorecard": {"duplicates_precision": 0.99}})
    assert "planted truth" in scored


def test_attributes_are_crossed_with_ways_of_drawing_beside_chance():
    scored = {
        "drawn_chance_shape": 0.125, "drawn_prior_heldout_shape": 0.7, "drawn_prior_heldout_shape_low": 0.6,
        "drawn_prior_heldout_shape_high": 0.8, "drawn_text_heldout_shape": 0.3, "drawn_image_heldout_shape": 0.9,
    }  # fmt: skip
    table = attributes_section(scored)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", table)
    assert [re.sub(r"<.*", "", cell) for cell in cells] == ["shape", "0.125", "0.300", "0.700", "0.900"]
    assert "[0.600, 0.800]" in table and "zero-shot" not in table


def test_what_the_encoder_knows_is_shown_by_set_beside_the_commonest_class():
    found = {"zero_shot_colour": 0.913, "zero_shot_colour_low": 0.8, "zero_shot_colour_high": 0.95}
    found |= {"zero_shot_colour_n": 41, "zero_shot_colour_chance": 0.277, "zero_shot_colour_left_out": 7}
    asked = encoder_section(found | {"zero_shot_mood_n": 0, "zero_shot_mood_left_out": 48})
    assert all(
        said in asked for said in ("colour", "0.913", "[0.800, 0.950]", "0.277", ">41<", ">7<", "mood", "–")
    )
    assert encoder_section({"retrieval_at_1": 0.5}) == ""


def test_audits_are_crossed_by_group_with_stages_and_training():
    data = {"share_group_amber_scraped": 0.4, "share_group_amber_filtered": 0.3, "rows": 9}
    assert re.findall(r"0\.[34]00", data_audit_section(data)) == ["0.400", "0.300"]
    drawn = {"share_hair_chef_long": 0.6, "share_hair_chef_long_training": 0.5, "tv_hair_chef": 0.1,
             "tv_hair_chef_floor": 0.07, "spread_clip_chef": 0.8}  # fmt: skip
    text = re.sub(r"<[^>]+>", " ", sample_audit_section(drawn))
    assert re.search(r"hair chef\s+0\.100\s+0\.070", text) and re.search(r"long\s+0\.500\s+0\.600", text)


def test_the_waterfall_adds_up_from_listed_to_kept():
    fates = ["kept"] * 70 + ["scrape.http_404"] * 12 + ["filter.unsafe"] * 8 + ["deduplicate.exact"] * 10
    text = re.sub(r"<[^>]+>", " ", waterfall_section(pd.DataFrame({"fate": fates})))
    assert [int(n) for n in re.findall(r"(?:listed|kept)\s+(\d+)", text)] == [100, 70]
    steps = re.findall(r"−(\d+)\s+[\d.]+%\s+(\d+)", text)
    assert [(int(lost), int(left)) for lost, left in steps] == [(12, 88), (8, 80), (10, 70)]


@pytest.mark.parametrize("nearest_rows", [0, 1])
def test_the_page_stands_without_neighbours(nearest_rows):
    table = pd.DataFrame(
        {"sample": ["prior-0"], "rank": [1], "uid": ["gone"], "distance": [0.1], "measure": ["tiles"]}
    )
    assert "Does it copy" in _page(nearest=table.head(nearest_rows))


def test_a_history_with_holes_is_drawn_as_far_as_it_goes():
    holes = pd.DataFrame({"images_seen": [1, 2, 3], "loss": [1.0, np.nan, 0.5]})
    assert "<polyline" in _page(histories={"train_prior": holes})


def test_a_network_that_was_loaded_and_not_trained_has_no_curve():
    page = _page(histories={"train_clip": pd.DataFrame()})
    assert ">Training<" in page and "train clip" not in page
