"""Read robots directives, in `X-Robots-Tag` headers and in robots meta tags of pages.

Values are lists of directives; a crawler's name may stand before those meant for it alone. Some directives
carry a value after a colon, and dates hold commas and colons of their own: taking any text before a colon
for a crawler's name is how `unavailable_after: 25 Jun 2010 15:00:00 PST, noai` gets lost.

`noindex` is about search and refuses nothing here. `none` is short for "noindex, nofollow"; whoever writes
it wants no robot at all, so the default reads it as a no.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from unclip_pipeline.scraping.answer import Evidence
from unclip_pipeline.scraping.permission.decision import TOKEN, evidence_of

_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_CRAWLER = re.compile(r"(?:\*|[a-z_][a-z0-9_.*-]*)(?:/[a-z0-9.]+)?")
_OUR_NAMES = frozenset({TOKEN, TOKEN.replace("_", "-")})
_RULE = "x-robots-tag/1"


def refused_by(robots_tags: Iterable[str], directives: Sequence[str]) -> str | None:
    """Return the first directive in force for us among the refused ones (given in lower case)."""
    for tag in robots_tags:
        for crawler, directive in _directives(tag.lower(), directives):
            if directive in directives and (crawler == "*" or crawler in _OUR_NAMES):
                return directive
    return None


def header_evidence(where: str, tags: Iterable[str], directives: Sequence[str]) -> Iterator[Evidence]:
    """Read each `X-Robots-Tag`: it can refuse, and without a refused directive says nothing about our use."""
    for tag in tags:
        decision = "refused" if refused_by([tag], directives) else "unknown"
        yield evidence_of("answer", where, "X-Robots-Tag", tag, decision, _RULE)


def meta_evidence(
    where: str, metas: Iterable[tuple[str, str]], directives: Sequence[str]
) -> Iterator[Evidence]:
    """Read a page's `<meta name="robots">`, those in our name, and directives that stand as names."""
    for name, content in metas:
        word = name.strip().lower()
        if word in _OUR_NAMES or word == "robots" or word in directives:
            is_refused = word in directives or refused_by([content], directives)
            decision = "refused" if is_refused else "unknown"
            yield evidence_of("page", where, "meta robots", f"{name}: {content}", decision, _RULE)


def _directives(tag: str, refused: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (crawler, directive) pairs; a crawler's name holds until the next one."""
    crawler = "*"
    for part in re.split(r"[,;]", tag):
        name, colon, value = (piece.strip(" \t\"'") for piece in part.partition(":"))
        if colon and name in _WITH_VALUE:
            continue
        if colon and name not in refused and _CRAWLER.fullmatch(name):
            crawler, name = name.partition("/")[0], value
        for word in name.split():
            yield crawler, word.strip("\"'")
