"""Tables of figures: columns that line up, intervals beside values."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from unclip_pipeline.cards import charts
from unclip_pipeline.cards.figures import Figure, figure, interval, label, number


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
    """Cross figures: `rows` is a pattern whose group names the rows, `columns` are metric names with {row}.

    A cell is value over interval; a column nobody measured is left out.
    """
    found = dict.fromkeys(match[1] for match in map(re.compile(rows).fullmatch, metrics) if match)
    shown = {
        name: words
        for name, words in columns.items()
        if any(name.format(row=row) in metrics for row in found)
    }
    cells = [[escape(label(row)), *(cell(metrics, name.format(row=row)) for name in shown)] for row in found]
    return rows_table(["", *shown.values()], cells, frozenset(range(1, len(shown) + 1)))


def cell(metrics: Mapping[str, Any], name: str) -> str:
    """Write one figure with its interval below; a dash where it was not measured."""
    one = figure(metrics, name)
    return "–" if one is None else f'{number(one.value)}<span class="interval">{interval(one)}</span>'
