"""A stage's flat metrics, read back as figures with interval, number and the value that chance gives.

`name` may have siblings: `name_low`, `name_high` (95% interval), `name_n`, `name_chance`, `name_floor`.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

SIBLINGS = ("low", "high", "n", "chance", "floor")


Number = int | float


class Figure(NamedTuple):
    name: str
    value: Number
    low: Number | None = None
    high: Number | None = None
    n: Number | None = None
    chance: Number | None = None  # what guessing reaches
    floor: Number | None = None  # what the same measure gives when nothing is wrong


def figure(metrics: Mapping[str, Any], name: str) -> Figure | None:
    """Read one figure with its siblings, or nothing where the stage did not measure it."""
    if not is_number(metrics.get(name)):
        return None
    siblings = {kind: metrics.get(f"{name}_{kind}") for kind in SIBLINGS}
    return Figure(name, metrics[name], **{kind: v for kind, v in siblings.items() if is_number(v)})


def figures(metrics: Mapping[str, Any]) -> list[Figure]:
    """Read every figure of a stage, in the stage's own order."""
    heads = [name for name in metrics if not _is_sibling(name, metrics)]
    found = (figure(metrics, name) for name in heads)
    return [one for one in found if one is not None]


class Crossed(NamedTuple):
    columns: list[str]
    rows: dict[str, list[Figure | None]]


def cross(metrics: Mapping[str, Any], rows: str, columns: Mapping[str, str]) -> Crossed:
    """Cross figures: `rows` is a pattern whose group names the rows, `columns` are metric names with {row}.

    A column that nobody measured is left out.
    """
    found = dict.fromkeys(match[1] for match in map(re.compile(rows).fullmatch, metrics) if match)
    shown = {
        name: words
        for name, words in columns.items()
        if any(name.format(row=row) in metrics for row in found)
    }
    cells = {row: [figure(metrics, name.format(row=row)) for name in shown] for row in found}
    return Crossed(list(shown.values()), cells)


def label(name: str) -> str:
    """Write a metric's name as words."""
    return name.replace("_", " ")


def number(value: Number | None) -> str:
    """Write a count in full and a measure with three decimals or three figures; a dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    if 0 < abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def interval(one: Figure) -> str:
    """Write the interval in brackets; nothing where there is none."""
    if one.low is None or one.high is None:
        return ""
    return f"[{number(one.low)}, {number(one.high)}]"


def is_number(value: object) -> bool:
    """Tell whether a metrics entry is a number (a bool is an answer, not a number)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_sibling(name: str, metrics: Mapping[str, Any]) -> bool:
    head, _, kind = name.rpartition("_")
    return kind in SIBLINGS and head in metrics
