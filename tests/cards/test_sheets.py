import io
import re

import numpy as np
from PIL import Image

from unclip_pipeline.cards.sheets import NOTE_CHARACTERS, pairs, sheet, thumbnail
from unclip_pipeline.corpus.images import encode_png
from unclip_pipeline.corpus.shards import Sample


def png(width, height):
    return encode_png(np.zeros((height, width, 3), np.uint8))


def sample(uid, caption, width=20, height=20):
    return Sample(uid=uid, image=png(width, height), extension="png", caption=caption, meta={})


def test_a_thumbnail_shows_the_whole_picture_and_never_enlarges_it():
    sizes = {size: Image.open(io.BytesIO(thumbnail(png(*size)))).size for size in [(400, 100), (30, 20)]}
    assert sizes == {(400, 100): (96, 24), (30, 20): (30, 20)}


def test_a_sheet_carries_captions_as_text_and_shortens_long_ones():
    samples = {"a": sample("a", "a <b> & c"), "b": sample("b", "word " * 100)}
    short, long = re.findall("<figcaption>(.*?)</figcaption>", sheet(samples, ["a", "b"], "t"))
    assert short == "a &lt;b&gt; &amp; c"
    assert len(long) <= NOTE_CHARACTERS and long.endswith("…")


def test_a_pair_is_one_figure_of_two_pictures_with_one_note():
    samples = {"a": sample("a", "one"), "b": sample("b", "other", 30)}
    html = pairs(samples, ["a"], ["b"], "t", ["0.990"])
    assert html.count("<figure>") == 1 and html.count("<img") == 2
    assert re.findall("<figcaption>(.*?)</figcaption>", html) == ["0.990"]


def test_an_empty_sheet_says_so():
    assert "t: there are none." in sheet({}, [], "t")
    assert "t: there are none." in pairs({}, [], [], "t", [])
