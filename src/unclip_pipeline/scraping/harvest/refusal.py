"""What a page says against the use of its pictures: its metas, and the headers it was sent with."""

from unclip_pipeline.scraping.harvest.page import Page
from unclip_pipeline.scraping.opt_out import TOKEN, refused_by

REFUSED_DIRECTIVES = ("noai", "noimageai", "noml", "none")
_ROBOTS_METAS = frozenset({"robots", "noai", TOKEN, TOKEN.replace("_", "-")})


def refusal(page: Page) -> str | None:
    """Give the signal that forbids the use of a page's pictures; None if there is none."""
    for name, value in page.metas:
        if name in _ROBOTS_METAS and (found := refused_by([value], REFUSED_DIRECTIVES)):
            return f"meta {name}: {found}"
        if name == "tdm-reservation" and value.strip() == "1":
            return "meta tdm-reservation: 1"
    for name, value in page.headers:
        if name.lower() == "x-robots-tag" and (found := refused_by([value], REFUSED_DIRECTIVES)):
            return f"header x-robots-tag: {found}"
        if name.lower() == "tdm-reservation" and value.strip() == "1":
            return "header tdm-reservation: 1"
    return None
