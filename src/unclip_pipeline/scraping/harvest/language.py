"""The language of a page: what it says of itself, else what its text looks like."""

import re
from typing import NamedTuple

from unclip_pipeline.scraping.harvest.page import Page

_TAG = re.compile(r"\s*([a-z]{2,3})(?:[-_][a-z0-9]+)*\s*", re.IGNORECASE)
MIN_LETTERS = 40  # fewer say nothing reliable
READ_CHARS = 4000


class Language(NamedTuple):
    """A primary subtag of BCP 47, such as `en`, and who says so."""

    code: str | None
    source: str  # html_lang, content_language, detected or unknown


def language_of(page: Page, *, detect: bool) -> Language:
    """Read the attribute `lang`, the header or meta Content-Language, then the visible text."""
    said = [content for name, content in page.headers + page.metas if name.lower() == "content-language"]
    for source, values in (("html_lang", [page.language]), ("content_language", said)):
        codes = {code for value in values for tag in value.split(",") if (code := primary_subtag(tag))}
        if len(codes) == 1:
            return Language(codes.pop(), source)
    text = page.text()[:READ_CHARS] if detect else ""
    if sum(map(str.isalpha, text)) < MIN_LETTERS:
        return Language(None, "unknown")
    import py3langid

    return Language(str(py3langid.classify(text)[0]), "detected")


def primary_subtag(tag: str) -> str | None:
    """Give the language of a tag in lower case; None if it is not one."""
    match = _TAG.fullmatch(tag)
    return match[1].lower() if match else None
