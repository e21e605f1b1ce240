"""Tables of figures: columns that line up, intervals beside values."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from unclip_pipeline.cards import charts
from unclip_pipeline.cards.figures import Figure, cross, figure, interval, label, number


def figure_table(found: Sequence[Figure]) -> str:
    """Write figures one per line: value, interval, line from 0 to 1 where it is a share, reference, n."""
    rows = []
    for one in found:
        reference = one.chance if one.chance is not None else one.floor
        is_share = one.low is not None and one.high is not None and 0 <= one.low and one.high <= 1
        line = charts.dot(one) if is_share else ""
        others = [number(value) if value is not None else "" for value in (reference, one.n)]
        rows.append([escape(label(one.name)), number(one.value), interval(one), line, *others])
    columns = ["", "value", "95% interval", "0 to 1", "chance or floor", "n"]
    return rows_table(columns, rows, frozenset({1, 2, 4, 5}))


def rows_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: frozenset[int] = frozenset()
) -> str:
    """Lay out cells that are already HTML; `numeric` columns are aligned to the right."""

    def cells(kind: str, row: Sequence[str]) -> str:
        classes = ["n" if place in numeric else "" for place in range(len(row))]
        return "".join(
            f'<{kind} class="{name}">{cell}</{kind}>' for name, cell in zip(classes, row, strict=True)
        )

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    head = cells("th", [escape(name) for name in columns])
    return f'<div class="scroll"><table><tr>{head}</tr>\n{body}</table></div>'


def cross_table(metrics: Mapping[str, Any], rows: str, columns: Mapping[str, str]) -> str:
    """Lay out crossed figures, each over its interval."""
    crossed = cross(metrics, rows, columns)
    lines = [[escape(label(row)), *map(_cell, found)] for row, found in crossed.rows.items()]
    return rows_table(["", *crossed.columns], lines, frozenset(range(1, len(crossed.columns) + 1)))


def cell(metrics: Mapping[str, Any], name: str) -> str:
    """Write one figure with its interval below; a dash where it was not measured."""
    return _cell(figure(metrics, name))


def _cell(one: Figure | None) -> str:
    return "–" if one is None else f'{number(one.value)}<span class="interval">{interval(one)}</span>'
