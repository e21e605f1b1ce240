"""Pages that need no other file: text, tables, plots, tiles.

Every function returns a piece of HTML with its content escaped; `page` puts pieces together.
"""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from unclip_pipeline.cards.figures import is_number, number
from unclip_pipeline.cards.tables import rows_table
from unclip_pipeline.cards.theme import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Write = Callable[[object], str]


def page(heading: str, under: str, *sections: str, title: str = "") -> str:
    """Put a heading, the piece right under it, and sections together as a whole document."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title or heading)}</title><style>{STYLE}</style></head>\n<body>\n"
        f"<header><h1>{escape(heading)}</h1>{under}</header>\n<main>\n"
        + "\n".join(filter(None, sections))
        + "\n</main></body></html>\n"
    )


def section(title: str, *pieces: str) -> str:
    """Put pieces under a heading; a paragraph that comes first says how to read them."""
    return f"<section><h2>{escape(title)}</h2>\n" + "\n".join(pieces) + "\n</section>"


def heading(text: str) -> str:
    """Write a small heading inside a section."""
    return f"<h3>{escape(text)}</h3>"


def paragraph(text: str) -> str:
    """Write a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def tile(name: str, value: str, beside: str) -> str:
    """Show one number large, with what to compare it with below."""
    return (
        f'<div class="tile"><div class="name">{escape(name)}</div><div class="value">{escape(value)}</div>'
        f'<div class="beside">{escape(beside)}</div></div>'
    )


def facts_line(facts: Mapping[str, str]) -> str:
    """Write names and values in one quiet line."""
    pieces = (f"<span>{escape(name)} <code>{escape(value)}</code></span>" for name, value in facts.items())
    return f'<p class="origin">{"".join(pieces)}</p>'


def facts(values: Mapping[str, object]) -> str:
    """Write names and values as a table of two columns."""
    rows = [[escape(name), escape(_text(value, whole=_is_whole(value)))] for name, value in values.items()]
    return rows_table(["", ""], rows)


def table(frame: pd.DataFrame, formats: Mapping[str, Write] | None = None) -> str:
    """Write a table without its index; missing values are dashes, `formats` writes a column in its own way."""
    columns = [_column(frame.iloc[:, place], (formats or {}).get(name)) for place, name in enumerate(frame)]
    numeric = frozenset(place for place in range(frame.shape[1]) if _is_numeric(frame.iloc[:, place]))
    return rows_table([str(name) for name in frame], list(zip(*columns, strict=True)), numeric)


def percent(share: object) -> str:
    """Write a share of the whole."""
    return f"{100 * float(share):.1f}%"  # type: ignore[arg-type]


def figure(drawing: "Figure", caption: str = "") -> str:
    """Inline a matplotlib figure as SVG that is the same for the same drawing."""
    import matplotlib

    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "unclip_pipeline", "svg.fonttype": "none"}):
        drawing.savefig(stream, format="svg", bbox_inches="tight", metadata={"Date": None})
    source = f"data:image/svg+xml;base64,{base64.b64encode(stream.getvalue()).decode()}"
    legend = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img class="plot" alt="{escape(caption)}" src="{source}">{legend}</figure>'


def details(title: str, *pieces: str) -> str:
    """Fold pieces away under a line that opens them."""
    return f"<details><summary>{escape(title)}</summary>\n" + "\n".join(pieces) + "\n</details>"


def markdown(text: str) -> str:
    """Render Markdown; HTML inside it is shown, not obeyed."""
    from markdown_it import MarkdownIt

    return f'<div class="card">{MarkdownIt("commonmark", {"html": False}).enable("table").render(text)}</div>'


def _column(values: pd.Series, write: Write | None) -> Sequence[str]:
    numbers = [value for value in values if is_number(_plain(value)) and not pd.isna(value)]
    whole = all(_is_whole(value) for value in numbers)
    return [escape(_text(value, whole=whole, write=write)) for value in values]


def _text(value: object, *, whole: bool, write: Write | None = None) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "–"
    if write is not None:
        return write(value)
    plain = _plain(value)
    if not is_number(plain):
        return str(value)
    return number(int(plain) if whole else float(plain))


def _plain(value: object) -> object:
    """Take a number out of NumPy's box."""
    return value.item() if hasattr(value, "item") else value


def _is_whole(value: object) -> bool:
    plain = _plain(value)
    return is_number(plain) and float(plain).is_integer()


def _is_numeric(values: pd.Series) -> bool:
    if pd.api.types.is_bool_dtype(values):
        return False
    present = values.dropna()
    return pd.api.types.is_numeric_dtype(values) or (
        len(present) > 0 and all(is_number(_plain(value)) for value in present)
    )
