"""The pages of the miniature web, written as differently as people write pages.

Every picture stands under its caption as `alt`; what else a page says of it, and how, goes by the page's style.
"""

from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple
from urllib.parse import urlsplit

from unclip_pipeline.world.plan import Entry

PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
PIXEL_PATH = "/pixel.gif"
_INLINE = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
_LICENCES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/deed.en",
}
_NO_USE_METAS = (
    '<meta name="robots" content="noai, noimageai">',
    '<meta name="tdm-reservation" content="1">',
    "",
)
_NO_USE_HEADERS = ([], [], [("X-Robots-Tag", "noml")])


class PageFile(NamedTuple):
    """A page as it is sent."""

    content: bytes
    headers: list[tuple[str, str]]


class _Style(NamedTuple):
    image: Callable[[str, str], str]  # (address, caption) -> element
    address: Callable[[str], str]  # URL -> what stands in the page
    legend: str = ""  # stands for the caption where it is not empty
    head: str = ""
    html: str = '<html lang="en">'
    charset: str = "utf-8"
    headers: tuple[tuple[str, str], ...] = ()


def gallery_page(title: str, entries: Sequence[Entry], number: int) -> PageFile:
    """Write a page of pictures in the style of its number."""
    style = _STYLES[number % len(_STYLES)]
    return _page(title, entries, style, style.head, list(style.headers))


def no_use_page(title: str, entries: Sequence[Entry], number: int) -> PageFile:
    """Write a page whose owner forbids the use of its pictures for machine learning."""
    kind = number % len(_NO_USE_METAS)
    return _page(title, entries, _STYLES[0], _NO_USE_METAS[kind], _NO_USE_HEADERS[kind])


def elsewhere_page(title: str, entries: Sequence[Entry], number: int) -> PageFile:
    """Write a page of pictures that lie on other hosts."""
    return _page(title, entries, _STYLES[0]._replace(address=str), "", [])


def home_page(title: str, latest: Sequence[Entry], paths: Sequence[str]) -> PageFile:
    """Write the page that leads to all others, with what every page has besides pictures."""
    links = "\n".join(f'<a href="{path}">page {number + 1}</a>' for number, path in enumerate(paths))
    page = _page(title, latest, _STYLES[0], "", [])
    clutter = (
        f'<img src="{PIXEL_PATH}" width="1" height="1" alt="seen"><img src="{PIXEL_PATH}" alt="">'
        f'<img src="{_INLINE}" alt="a dot">'
    )
    return page._replace(content=page.content + f"\n{clutter}\n{links}".encode())


def _page(
    title: str, entries: Sequence[Entry], style: _Style, head: str, headers: list[tuple[str, str]]
) -> PageFile:
    figures = "\n".join(_figure(entry, number, style) for number, entry in enumerate(entries))
    text = (
        f'<!doctype html>{style.html}<head><meta charset="{style.charset}">{head}<title>{title}</title></head>\n'
        f"<h1>{title}</h1>\n{figures}"
    )
    kind = (
        "Content-Type",
        "text/html" if style.charset == "utf-8" else f"text/html; charset={style.charset}",
    )
    return PageFile(text.encode(style.charset, "xmlcharrefreplace"), [*headers, kind])


def _figure(entry: Entry, number: int, style: _Style) -> str:
    caption = escape(entry.caption.text)
    legend = f"{style.legend} {number + 1}" if style.legend else caption
    image = style.image(escape(style.address(entry.url)), caption)
    return f"<figure>{image}<figcaption>{legend}{_licence(entry, number)}</figcaption></figure>"


def _licence(entry: Entry, number: int) -> str:
    if entry.licence is None:
        return ""
    rel = ' rel="license"' if number % 2 else ""
    return f' <a{rel} href="{_LICENCES[entry.licence]}">{entry.licence}</a>'


def _path(url: str) -> str:
    return urlsplit(url).path


_STYLES = (
    _Style(lambda address, caption: f'<img src="{address}" alt="{caption}">', _path),
    _Style(
        lambda address, caption: (
            f'<img src="{_INLINE}" data-src="{address}" alt="{caption}" title="enlarge">'
        ),
        _path,
        legend="Drawing",
    ),
    _Style(
        lambda address, caption: (
            f'<img alt="{caption}" src="{_INLINE}" srcset="{_INLINE} 1w, {address} 64w">'
        ),
        lambda url: url,
        legend="Plate",
        html='<html lang="en-GB">',
    ),
    _Style(
        lambda address, caption: f"<img alt='{caption}' src={address} width=64 height=64>",
        lambda url: f"..{_path(url)}",
        head='<base href="/gallery/rooms/../">',
    ),
    _Style(
        lambda address, caption: (
            f'<picture><source type="image/avif" srcset="{_INLINE}"><img src="{address}" alt="{caption}"></picture>'
        ),
        lambda url: url.removeprefix("http:"),
        legend="Étude n° ",
        html="<html>",
        charset="windows-1252",
        headers=(("Content-Language", "en"),),
    ),
)
