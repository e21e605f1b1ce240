"""Read a page from HTML, however broken."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from unclip_pipeline.scraping.harvest.addresses import Size, largest_first, srcset
from unclip_pipeline.scraping.harvest.page import LINKS_READ, Link, Mention, Page, tidy

if TYPE_CHECKING:
    from resiliparse.parse.html import ElementNode, HTMLTree

_LICENCE_LINKS = 'a[rel~="license" i], link[rel~="license" i], area[rel~="license" i]'
_CC_LINKS = 'a[href*="creativecommons.org/" i], link[href*="creativecommons.org/" i]'
# Formats that the fetcher's decoder does not read, and drawings that are no pictures.
_UNREAD_TYPES = re.compile(r"image/(avif|jxl|svg\+xml|heic|heif|vnd\.)", re.IGNORECASE)
DEEPEST = 100  # levels between an image and its figure; without an end, a page could cost hours
LONGEST_LEGEND = 20_000  # characters, as written
_META_NAMES = ("name", "property", "http-equiv")
_AS_IS = Size(0.0, 1.0)
# How browsers and archivers note where a page was saved from
_SAVED_FROM = re.compile(
    r"<!--\s*(?:saved from url=\(\d+\)|Page saved with SingleFile\s+url:\s*)(https?://[^\s>]+)", re.IGNORECASE
)


def html_page(
    content: bytes, url: str, headers: list[tuple[str, str]], charset: str | None, lazy: Sequence[str]
) -> Page:
    """Read HTML; `charset` is what its server said, which goes before what the page says."""
    return _page(parse(content, charset), url, headers, lazy)


def parse(content: bytes, charset: str | None) -> "HTMLTree":
    """Decode and parse; a byte order mark goes before every word about charsets, as in browsers."""
    from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5
    from resiliparse.parse.html import HTMLTree

    known = map_encoding_to_html5(charset, fallback_utf8=False) if charset else None
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        known = None
    encoding = known or detect_encoding(content, from_html_meta=True) or "utf-8"
    return HTMLTree.parse_from_bytes(content, encoding, "replace")


def own_address(content: bytes, tree: "HTMLTree") -> str | None:
    """Find where a saved page says it came from: its saver's note, its canonical link, its base."""
    if match := _SAVED_FROM.search(content[:4096].decode("latin-1")):
        return match[1]
    for selector in ('link[rel~="canonical" i]', "base"):
        for element in _all(tree.document, selector):
            address = (element.getattr("href") or "").strip()
            if re.match("https?://[^/]", address, re.IGNORECASE):
                return address
    return None


def page_of_tree(tree: "HTMLTree", url: str, lazy: Sequence[str]) -> Page:
    """Read a page that no server sent."""
    return _page(tree, url, [], lazy)


def _page(tree: "HTMLTree", url: str, headers: list[tuple[str, str]], lazy: Sequence[str]) -> Page:
    document = tree.document
    if document is None:
        return Page(url=url, headers=headers)
    root = document.query_selector("html")
    base = document.query_selector("base[href]")
    figures = _Figures(document)
    return Page(
        url=url,
        title=tidy(tree.title),
        language=_attribute(root, "lang") or _attribute(root, "xml:lang") if root is not None else "",
        base=_attribute(base, "href") if base is not None else "",
        metas=[pair for meta in _all(document, "meta[content]") for pair in _meta(meta)],
        headers=headers,
        mentions=(_mention(image, figures, lazy) for image in _all(document, "img")),
        links=figures.outside,
        text=lambda: _visible_text(tree),
    )


def _meta(meta: "ElementNode") -> list[tuple[str, str]]:
    content = tidy(meta.getattr("content"))
    return [(name.strip().lower(), content) for key in _META_NAMES if (name := meta.getattr(key))]


class _Figures:
    """What the figures of a page say, each read once, however many and deep they are."""

    def __init__(self, document: "ElementNode") -> None:
        self.outside: list[Link] = []
        self._links: dict[ElementNode, list[Link]] = {}
        self._found: dict[ElementNode, tuple[Link, ...]] = {}
        self._legends: dict[ElementNode, ElementNode] = {}
        self._texts: dict[ElementNode, str] = {}
        self._are_there = document.query_selector("figure") is not None
        for legend in _all(document, "figcaption"):
            if (figure := self.around(legend)) is not None:
                self._legends.setdefault(figure, legend)
        for selector, is_licence in ((_LICENCE_LINKS, True), (_CC_LINKS, False)):
            for link in _all(document, selector):
                if href := _attribute(link, "href"):
                    figure = self.around(link)
                    place = self.outside if figure is None else self._links.setdefault(figure, [])
                    if len(place) < LINKS_READ:
                        place.append(Link(href, is_licence))

    def around(self, element: "ElementNode") -> "ElementNode | None":
        """Find the nearest figure around an element, within the depth that pages have."""
        place = element.parent_element if self._are_there else None
        for _ in range(DEEPEST):
            if place is None or place.tag == "figure":
                return place
            place = place.parent_element
        return None

    def legend(self, figure: "ElementNode | None") -> str:
        """Read the caption of a figure."""
        if figure is None or figure not in self._legends:
            return ""
        if figure not in self._texts:
            self._texts[figure] = tidy((self._legends[figure].text or "")[:LONGEST_LEGEND])
        return self._texts[figure]

    def links(self, figure: "ElementNode | None") -> tuple[Link, ...]:
        """List the links to licences of the nearest figure that has any, going outward."""
        passed = []
        while figure is not None and figure not in self._found:
            passed.append(figure)
            if figure in self._links:
                break
            figure = self.around(figure)
        found = self._found.get(figure) if figure is not None else ()
        found = tuple(self._links[figure]) if found is None else found
        self._found.update(dict.fromkeys(passed, found))
        return found


def _mention(image: "ElementNode", figures: _Figures, lazy: Sequence[str]) -> Mention:
    figure = figures.around(image)
    return Mention(
        sources=_sources(image, lazy),
        alt=tidy(image.getattr("alt")),
        title_attribute=tidy(image.getattr("title")),
        figure_caption=figures.legend(figure),
        width_attr=_attribute(image, "width"),
        height_attr=_attribute(image, "height"),
        figure_links=figures.links(figure),
    )


def _sources(image: "ElementNode", lazy: Sequence[str]) -> tuple[str, ...]:
    """Order the addresses of an image; of equal size, its own go before those of its `picture`."""
    own = [*srcset(_attribute(image, "srcset")), *srcset(_attribute(image, "data-srcset"))]
    plain = [(_AS_IS, _attribute(image, name)) for name in (*lazy, "src")]
    parent = image.parent_element
    offered = _all(parent, "source") if parent is not None and parent.tag == "picture" else []
    pictured = [
        candidate
        for source in offered
        if not _UNREAD_TYPES.match(_attribute(source, "type"))
        for name in ("srcset", "data-srcset")
        for candidate in srcset(_attribute(source, name))
    ]
    return largest_first([*own, *plain, *pictured])


def _all(place: "ElementNode", selector: str) -> "list[ElementNode]":
    """Find all elements; a slice is read in one go, where each step of a loop would read the whole list."""
    return list(place.query_selector_all(selector)[:])


def _attribute(element: "ElementNode", name: str) -> str:
    return element.getattr(name) or ""


def _visible_text(tree: "HTMLTree") -> str:
    from resiliparse.extract.html2text import extract_plain_text

    return tidy(extract_plain_text(tree, alt_texts=False, preserve_formatting=False))
