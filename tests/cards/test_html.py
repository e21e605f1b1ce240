import re
from html.parser import HTMLParser

import pandas as pd
from PIL import Image

from unclip_pipeline.cards.html import (
    details,
    facts,
    figure,
    number,
    page,
    paragraph,
    picture,
    section,
    table,
)


class Outline(HTMLParser):
    """Collects the text of an HTML document and fails on nothing else."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def read(html):
    outline = Outline()
    outline.feed(html)
    return outline


def test_content_is_escaped_wherever_it_comes_in():
    evil = "<script>alert('x')</script>"
    html = page(
        evil,
        section(
            evil, paragraph(evil), table(pd.DataFrame({evil: [evil]})), details(evil), facts({evil: evil})
        ),
    )
    assert "script" not in read(html).tags
    assert read(html).text.count(evil) == 9


def test_a_page_needs_no_other_file():
    from matplotlib.figure import Figure

    drawing = Figure()
    drawing.subplots().plot([1, 2])
    html = page("t", figure(drawing, "a < b"), picture(Image.new("RGB", (2, 2))))
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert len(sources) == 2
    assert all(source.startswith("data:") for source in sources)


def test_the_same_drawing_gives_the_same_html():
    from matplotlib.figure import Figure

    def draw():
        drawing = Figure()
        drawing.subplots().hist([1, 2, 2, 3])
        return figure(drawing)

    assert draw() == draw()


def test_missing_values_are_dashes_and_infinities_are_told():
    frame = pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "x": [float("inf"), float("nan")]})
    assert read(table(frame)).text == ["n", "x", "\n", "1", "inf", "\n", "–", "–"]


def test_a_column_may_have_its_own_format():
    assert "12.5%" in table(pd.DataFrame({"share": [0.125]}), {"share": "{:.1%}".format})


def test_numbers_keep_four_figures_and_whole_ones_all():
    assert [number(1234567.0), number(0.123456), number(-2.0)] == ["1,234,567", "0.1235", "-2"]
