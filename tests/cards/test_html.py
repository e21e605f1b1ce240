import re
from html.parser import HTMLParser

import pandas as pd

from unclip_pipeline.cards.html import (
    details,
    facts,
    facts_line,
    figure,
    markdown,
    page,
    paragraph,
    percent,
    section,
    table,
    tile,
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
        facts_line({evil: evil}) + tile(evil, evil, evil),
        section(
            evil, paragraph(evil), table(pd.DataFrame({evil: [evil]})), details(evil), facts({evil: evil})
        ),
    )
    assert "script" not in read(html + markdown(evil)).tags
    assert "".join(read(html).text).count(evil) == 14


def test_a_page_needs_no_other_file():
    from matplotlib.figure import Figure

    drawing = Figure()
    drawing.subplots().plot([1, 2])
    html = page("t", figure(drawing, "a < b"))
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert len(sources) == 1
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
    assert "12.5%" in table(pd.DataFrame({"share": [0.125]}), {"share": percent})


def test_a_column_of_counts_stays_whole_and_a_column_of_measures_keeps_its_decimals():
    frame = pd.DataFrame({"pairs": [12345.0, None], "cosine": [1.0, 0.98765]})
    cells = read(table(frame)).text
    assert [cell for cell in cells if cell.strip()] == ["pairs", "cosine", "12,345", "1.000", "–", "0.988"]


def test_numbers_are_aligned_to_the_right_and_words_are_not():
    html = table(pd.DataFrame({"words": ["a"], "count": [1], "yes": [True], "mixed": [None]}))
    assert re.findall(r'<td class="(n?)">([^<]*)', html) == [
        ("", "a"), ("n", "1"), ("", "True"), ("", "–"),
    ]  # fmt: skip


def test_markdown_becomes_headings_and_tables():
    tags = read(markdown("# A card\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n")).tags
    assert tags.count("h1") == 1 and tags.count("td") == 2
