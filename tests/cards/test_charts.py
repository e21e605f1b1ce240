import math
import re

import numpy as np
import pytest

from unclip_pipeline.cards.charts import dot, line_chart, log_ticks, smooth, ticks
from unclip_pipeline.cards.figures import Figure, figure, figures, number


def _points(svg):
    (points,) = re.findall(r'<polyline class="line s0" points="([^"]+)"', svg)
    return np.array([[float(v) for v in pair.split(",")] for pair in points.split()])


def test_a_straight_line_is_drawn_straight_and_upwards():
    x = np.linspace(0, 100, 11)
    drawn = _points(line_chart({"loss": (x, 2 * x + 1)}, x_name="images"))
    assert np.allclose(np.diff(drawn[:, 0]), drawn[1, 0] - drawn[0, 0], atol=0.11)
    assert (np.diff(drawn[:, 1]) < 0).all()  # SVG counts from the top


def test_an_exponential_is_straight_on_a_logarithmic_scale():
    x = np.linspace(0, 10, 21)
    drawn = _points(line_chart({"loss": (x, np.exp(-x))}, x_name="images", logarithmic=True))
    assert np.allclose(np.diff(drawn[:, 1]), drawn[1, 1] - drawn[0, 1], atol=0.11)


def test_what_cannot_be_drawn_is_left_out():
    assert "nothing was recorded" in line_chart({"loss": (np.array([1.0]), np.array([np.nan]))}, x_name="x")


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 17), (0.0012, 0.0019), (1e5, 4.2e6)])
def test_ticks_are_round_few_and_inside(low, high):
    chosen = ticks(low, high)
    assert 2 <= len(chosen) <= 7 and low <= min(chosen) and max(chosen) <= high + 1e-9
    step = chosen[1] - chosen[0]
    assert np.isclose(step / 10 ** math.floor(math.log10(step) + 1e-9), [1, 2, 2.5, 5, 10]).any()


def test_logarithmic_ticks_are_round_values():
    assert [round(10**tick, 6) for tick in log_ticks(math.log10(0.3), math.log10(2.5))] == [0.5, 1, 2]


def test_a_running_mean_keeps_a_constant_up_to_its_ends():
    assert np.allclose(smooth(np.full(50, 3.0)), 3.0)


def test_a_dot_lies_where_its_share_is_and_the_mark_where_chance_is():
    svg = dot(Figure("x", 0.5, 0.25, 0.75, 10, chance=0.0))
    assert 'cx="60.0"' in svg and 'class="reference" x1="4.0"' in svg
    assert 'class="interval" x1="32.0" x2="88.0"' in svg


def test_siblings_belong_to_their_figure_and_are_no_figures_of_their_own():
    metrics = {
        "a": 0.5,
        "a_low": 0.4,
        "a_high": 0.6,
        "a_n": 9,
        "a_chance": 0.1,
        "b_low": 3,
        "id": "clip",
        "ok": True,
    }
    assert [one.name for one in figures(metrics)] == ["a", "b_low"]
    assert figure(metrics, "a") == Figure("a", 0.5, 0.4, 0.6, 9, 0.1)
    assert figure(metrics, "missing") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.61, "0.610"),
        (12345.6, "12,346"),
        (17, "17"),
        (0.00012, "1.2e-04"),
        (27.08, "27.1"),
        (0.0, "0.000"),
    ],
)
def test_numbers_are_written_with_the_figures_that_matter(value, text):
    assert number(value) == text
