"""Small charts as inline SVG: they take the page's colours, so they read in light and in dark."""

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from jaxtyping import Float, Real

from unclip_pipeline.cards.figures import Figure, Number

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 26
MOST_POINTS = 240

Points = tuple[Real[np.ndarray, "_"], Real[np.ndarray, "_"]]


def line_chart(
    series: Mapping[str, Points], *, x_name: str, logarithmic: bool = False, raw: frozenset[str] = frozenset()
) -> str:
    """Draw curves over one axis, `raw` ones faintly, on a linear or logarithmic height."""
    lines = {name: _finite(x, y, logarithmic) for name, (x, y) in series.items()}
    lines = {name: points for name, points in lines.items() if len(points[0])}
    if not lines:
        return '<p class="quiet">nothing was recorded</p>'
    x_low, x_high = _range([x for x, _ in lines.values()])
    y_low, y_high = _range([y for _, y in lines.values()])
    x_scale = (x_low, x_high, LEFT, WIDTH - RIGHT)
    y_scale = (y_low, y_high, HEIGHT - BOTTOM, TOP)
    parts = [*_grid(x_scale, y_scale, logarithmic)]
    for place, (name, (x, y)) in enumerate(lines.items()):
        parts.append(_line(x, y, x_scale, y_scale, f"line s{place % 4}" + (" raw" if name in raw else "")))
    parts.append(
        f'<text class="name" x="{WIDTH - RIGHT}" y="{HEIGHT - 2}" text-anchor="end">{escape(x_name)}</text>'
    )
    legend = "".join(
        f'<span class="key s{place % 4}">{escape(name)}</span>' for place, name in enumerate(lines)
    )
    legend = f'<div class="legend">{legend}</div>' if len(lines) > 1 else ""
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>{legend}'


def smooth(y: Real[np.ndarray, " n"], share: float = 0.05) -> Float[np.ndarray, " n"]:
    """Running mean over a share of the curve, its ends included."""
    width = max(1, int(len(y) * share)) | 1
    weights = np.ones(width)
    total = np.convolve(np.ones(len(y)), weights, mode="same")
    return np.convolve(np.asarray(y, float), weights, mode="same") / total


def dot(one: Figure) -> str:
    """Draw one share on the line from 0 to 1: dot, interval, and a tick where chance or floor lies."""

    def line(kind: str, start: Number, end: Number, top: int = 9, bottom: int = 9) -> str:
        places = f'x1="{_place(start)}" x2="{_place(end)}" y1="{top}" y2="{bottom}"'
        return f'<line class="{kind}" {places}/>'

    parts = [line("axis", 0, 1)]
    reference = one.chance if one.chance is not None else one.floor
    if reference is not None:
        parts.append(line("reference", reference, reference, 2, 16))
    if one.low is not None and one.high is not None:
        parts.append(line("interval", one.low, one.high))
    parts.append(f'<circle class="dot" cx="{_place(one.value)}" cy="9" r="3.6"/>')
    size = 'viewBox="0 0 120 18" width="120" height="18"'
    return f'<svg class="dots" {size} aria-hidden="true">{"".join(parts)}</svg>'


def bar(share: Number, kind: str = "") -> str:
    """Draw a share of the whole as a bar."""
    width = 100 * min(1.0, max(0.0, share))
    return f'<span class="bar {escape(kind)}"><span style="width:{width:.2f}%"></span></span>'


def _place(share: Number) -> str:
    return f"{4 + 112 * min(1.0, max(0.0, share)):.1f}"


def _finite(x: np.ndarray, y: np.ndarray, logarithmic: bool) -> Points:
    x, y = np.asarray(x, float), np.asarray(y, float)
    usable = np.isfinite(x) & np.isfinite(y) & ((y > 0) if logarithmic else True)
    x, y = x[usable], np.log10(y[usable]) if logarithmic else y[usable]
    if len(x) > MOST_POINTS:
        kept = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).astype(int))
        x, y = x[kept], y[kept]
    return x, y


def _range(arrays: Sequence[np.ndarray]) -> tuple[float, float]:
    low, high = float(min(a.min() for a in arrays)), float(max(a.max() for a in arrays))
    if low == high:
        return low - 0.5, high + 0.5
    return low, high


def _grid(x_scale: tuple, y_scale: tuple, logarithmic: bool) -> list[str]:
    parts = []
    heights = log_ticks(y_scale[0], y_scale[1]) if logarithmic else ticks(y_scale[0], y_scale[1])
    for value in heights:
        y = _at(value, y_scale)
        text = f"{10**value:g}" if logarithmic else f"{value:g}"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{text}</text>')
    for value in ticks(x_scale[0], x_scale[1])[:-1]:
        x = _at(value, x_scale)
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{_short(value)}</text>'
        )
    return parts


def ticks(low: Number, high: Number, about: int = 4) -> list[float]:
    """Choose about this many round values between two ends."""
    raw = (high - low) / about
    power = 10 ** math.floor(math.log10(raw))
    step = min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda width: abs(width - raw))
    first = math.ceil(low / step - 1e-9)
    return [round(float(place * step), 12) for place in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Choose logarithms of round values between two ends: powers of ten, with 2 and 5 where they are few."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        chosen = [power + math.log10(step) for power in powers for step in steps]
        inside = [value for value in chosen if low <= value <= high]
        if len(inside) >= 3:
            break
    return inside


def _short(value: float) -> str:
    for size, name in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{name}"
    return f"{value:g}"


def _line(x: np.ndarray, y: np.ndarray, x_scale: tuple, y_scale: tuple, kind: str) -> str:
    points = " ".join(f"{_at(a, x_scale):.1f},{_at(b, y_scale):.1f}" for a, b in zip(x, y, strict=True))
    return f'<polyline class="{kind}" points="{points}"/>'


def _at(value: float, scale: tuple) -> float:
    low, high, start, end = scale
    return start + (value - low) / (high - low) * (end - start)
