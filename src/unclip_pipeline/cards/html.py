"""One quiet, self-contained HTML page: text, tables, figures and pictures, readable in dark and light.

Every function returns a piece of HTML with its content escaped; `page` puts pieces together.
"""

import base64
import io
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING

import pandas as pd
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --faint: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-top: 1px solid var(--line);
padding-top: 1rem; } h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p { max-width: 48rem; } .scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: left; border-bottom: 1px solid var(--line); }
th { font-weight: 600; background: var(--faint); } td.n { text-align: right; }
figure { margin: .8rem 0; } figcaption { opacity: .75; } img { max-width: 100%; height: auto; }
.plot { background: #fff; border-radius: 4px; padding: 4px; } .picture { image-rendering: pixelated; }
"""


def page(title: str, *sections: str) -> str:
    """Put sections together as a whole document that needs no other file."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n" + "\n".join(sections) + "\n</body></html>\n"
    )


def section(title: str, *pieces: str) -> str:
    """Put pieces under a heading."""
    return f"<section><h2>{escape(title)}</h2>\n" + "\n".join(pieces) + "\n</section>"


def heading(text: str) -> str:
    """Write a small heading inside a section."""
    return f"<h3>{escape(text)}</h3>"


def paragraph(text: str) -> str:
    """Write a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def table(frame: pd.DataFrame, formats: Mapping[str, Callable[[object], str]] | None = None) -> str:
    """Write a table without its index; missing values are dashes, fractions have four figures.

    `formats` gives a column its own way of writing a value.
    """
    formats = formats or {}
    head = "".join(f"<th>{escape(str(name))}</th>" for name in frame.columns)
    rows = [
        "<tr>"
        + "".join(_cell(value, formats.get(name)) for name, value in zip(frame, row, strict=True))
        + "</tr>"
        for row in frame.itertuples(index=False, name=None)
    ]
    return f'<div class="scroll"><table><tr>{head}</tr>\n' + "\n".join(rows) + "</table></div>"


def facts(values: Mapping[str, object]) -> str:
    """Write names and values as a table of two columns."""
    return table(pd.DataFrame({"": list(values), "value": pd.Series(list(values.values()), dtype=object)}))


def figure(drawing: "Figure", caption: str = "") -> str:
    """Inline a matplotlib figure as SVG that is the same for the same drawing."""
    import matplotlib

    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "unclip_pipeline", "svg.fonttype": "none"}):
        drawing.savefig(stream, format="svg", bbox_inches="tight", metadata={"Date": None})
    return _figure(_data_uri("image/svg+xml", stream.getvalue()), "plot", caption)


def picture(image: Image.Image, caption: str = "") -> str:
    """Inline a picture as PNG."""
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return _figure(_data_uri("image/png", stream.getvalue()), "picture", caption)


def details(title: str, *pieces: str) -> str:
    """Fold pieces away under a line that opens them."""
    return f"<details><summary>{escape(title)}</summary>\n" + "\n".join(pieces) + "\n</details>"


def number(value: float) -> str:
    """Write a number with four significant figures; whole numbers in full."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.4g}"


def _cell(value: object, write: Callable[[object], str] | None) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return '<td class="n">–</td>'
    is_number = isinstance(value, (int, float)) or hasattr(value, "__float__")
    is_number = is_number and not isinstance(value, bool)
    if write is not None:
        text = write(value)
    elif is_number and abs(float(value)) != float("inf"):
        text = number(float(value))
    else:
        text = str(value)
    kind = ' class="n"' if is_number else ""
    return f"<td{kind}>{escape(text)}</td>"


def _figure(source: str, kind: str, caption: str) -> str:
    legend = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img class="{kind}" alt="{escape(caption)}" src="{source}">{legend}</figure>'


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
