"""What a page says, whatever it was read from."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

LINKS_READ = 50  # to licences, in one place; more would name no licence either


class Link(NamedTuple):
    """A link as written; `is_licence` if the page itself says that it leads to the licence."""

    href: str
    is_licence: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Mention:
    """One image as a page shows it, texts and addresses as written."""

    sources: tuple[str, ...]  # the best first
    alt: str = ""
    title_attribute: str = ""
    figure_caption: str = ""
    width_attr: str = ""
    height_attr: str = ""
    figure_links: tuple[Link, ...] = ()
    open_graph_caption: tuple[str, str] | None = None  # (source, text) of an og:image


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One page: where it is, what it shows, and on which terms."""

    url: str
    title: str = ""
    language: str = ""  # of the element html
    base: str = ""
    metas: list[tuple[str, str]] = field(default_factory=list)  # (name or property, content)
    headers: list[tuple[str, str]] = field(default_factory=list)
    mentions: Iterable[Mention] = ()  # to be gone through once: a page may show very many
    links: list[Link] = field(default_factory=list)  # to licences, outside figures
    text: Callable[[], str] = str  # reads the visible text, when it is wanted


def tidy(text: str | None) -> str:
    """Put text on one line as a browser shows it, in characters that every file format can hold."""
    return " ".join((text or "").split()).encode("utf-8", "replace").decode()


def open_graph_mention(metas: list[tuple[str, str]]) -> Mention | None:
    """Read the picture by which a page wants to be shown elsewhere."""
    first: dict[str, str] = {}
    for name, content in metas:
        first.setdefault(name.lower(), content)
    if "og:image" not in first:
        return None
    for name, source in (("og:image:alt", "og_image_alt"), ("og:description", "og_description")):
        if first.get(name, "").strip():
            return Mention(sources=(first["og:image"],), open_graph_caption=(source, first[name]))
    return Mention(sources=(first["og:image"],), open_graph_caption=("og_image_alt", ""))
