"""Pictures on a page: grids with prompts, and rows that put pictures side by side."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from unclip_pipeline.corpus.images import encode_png
from unclip_pipeline.corpus.released import Dataset


class Picture(NamedTuple):
    image: bytes  # PNG or JPEG
    caption: str = ""
    beside: bytes | None = None  # another one to its right, under the same caption


class Row(NamedTuple):
    prompt: str
    pictures: tuple[Picture | None, ...]  # one per column; None leaves the place empty


def dataset_pictures(dataset: Dataset, uids: Iterable[str], side_px: int) -> dict[str, bytes]:
    """Read pictures of a dataset version as small PNGs; a uid it does not hold is left out."""
    wanted = np.flatnonzero(dataset.index["uid"].isin(set(uids)).to_numpy())
    pictures = dataset.images(wanted, side_px).transpose(0, 2, 3, 1)
    return {uid: encode_png(one) for uid, one in zip(dataset.uids(wanted), pictures, strict=True)}


def grid(pictures: Sequence[Picture], *, small: bool = False) -> str:
    """Lay pictures out with their captions below, enlarged to a common width or as small as they are."""
    kinds = ["grid", *(["small"] if small else []), *(["pairs"] if any(p.beside for p in pictures) else [])]
    return f'<div class="{" ".join(kinds)}">' + "\n".join(_figure(one) for one in pictures) + "</div>"


def side_by_side(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Show rows of pictures under column names, the prompt in front of each row."""
    head = "".join(f"<span>{escape(name)}</span>" for name in ("prompt", *columns))
    lines = [f'<div class="row head">{head}</div>']
    for row in rows:
        pictures = "".join(_figure(one) if one else "<span></span>" for one in row.pictures)
        lines.append(f'<div class="row"><span class="prompt">{escape(row.prompt)}</span>{pictures}</div>')
    body = "\n".join(lines)
    return f'<div class="scroll"><div class="rows" style="--columns: {len(columns)}">{body}</div></div>'


def _figure(one: Picture) -> str:
    shown = [_image(data, one.caption) for data in (one.image, one.beside) if data is not None]
    legend = f"<figcaption>{escape(one.caption)}</figcaption>" if one.caption else ""
    return f"<figure>{''.join(shown)}{legend}</figure>"


def _image(data: bytes, caption: str) -> str:
    kind = "jpeg" if data.startswith(b"\xff\xd8") else "png"
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img loading="lazy" alt="{escape(caption)}" src="{source}">'
