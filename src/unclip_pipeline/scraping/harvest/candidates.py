"""From a page to rows: every image it shows is listed, or dropped for one reason."""

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain

from unclip_pipeline.corpus.uids import host_of, pair_uid
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.harvest.addresses import base_of, first_usable
from unclip_pipeline.scraping.harvest.config import HarvestConfig
from unclip_pipeline.scraping.harvest.language import Language, language_of
from unclip_pipeline.scraping.harvest.licences import licence_of
from unclip_pipeline.scraping.harvest.page import Mention, Page, open_graph_mention, tidy
from unclip_pipeline.scraping.harvest.tally import LISTED, Tally
from unclip_pipeline.scraping.permission import page_decision

Row = dict[str, str | int | bool | None]
_WHOLE = re.compile(r"\s*(\d{1,6})(?:\.\d*)?\s*(?:px)?\s*", re.IGNORECASE)


def rows_of(page: Page, config: HarvestConfig, policy: ScrapeConfig, tally: Tally) -> Iterator[Row]:
    """Yield a row for every image to list, and one for every image that its page refuses under the policy.

    A refused image that is dropped here for another reason has a row too (its `reason` says so):
    another page may show the same address, and what one page refuses is refused everywhere.
    """
    reader = _Reader(page, config, policy)
    tally.refused_pages += reader.opt_out is not None
    seen: set[str] = set()
    for mention in reader.mentions:
        tally.candidates += 1
        row = reader.row(mention)
        if row["reason"] == LISTED and row["uid"] in seen:
            row["reason"] = "repeated_on_page"
        seen.add(str(row["uid"]))
        if row["reason"] != LISTED:
            what = row["url"] or next(iter(mention.sources), "")
            tally.drop(str(row["reason"]), str(what), page.url)
        if row["reason"] == LISTED or (row["url"] and row["opt_out"]):
            yield row


class _Reader:
    """What all images of a page share; languages are dear, so they are read when a row needs one."""

    def __init__(self, page: Page, config: HarvestConfig, policy: ScrapeConfig) -> None:
        self._page, self._config = page, config
        self._base = base_of(page.url, page.base)
        decision = page_decision(page.metas, page.headers, page.url, policy)
        self.opt_out = decision.reason if decision.is_refused else None
        portrait = open_graph_mention(page.metas) if config.open_graph else None
        self.mentions: Iterable[Mention] = chain(page.mentions, [portrait] if portrait else [])

    @cached_property
    def _language(self) -> Language:
        return language_of(self._page, detect=self._config.detect_language)

    def row(self, mention: Mention) -> Row:
        source, caption = self._caption(mention)
        url, reason = first_usable(mention.sources, self._base, self._config.max_url_chars)
        reason = reason or self._too_small(mention) or self._bad_caption(caption)
        row: Row = {
            "reason": reason or LISTED,
            "uid": pair_uid(url, caption) if reason is None and url else "",
            "url": url,
            "opt_out": self.opt_out,
            "page_url": self._page.url,
        }
        return row if reason else row | self._details(mention, source, caption, str(url))

    def _caption(self, mention: Mention) -> tuple[str, str]:
        if mention.open_graph_caption is not None:
            source, text = mention.open_graph_caption
            return source, tidy(text)
        for source in self._config.caption_sources:
            if text := getattr(mention, source):
                return source, text
        return "", ""

    def _too_small(self, mention: Mention) -> str | None:
        sides = [
            side for side in (pixels(mention.width_attr), pixels(mention.height_attr)) if side is not None
        ]
        if len(sides) == 2 and max(sides) <= 1:
            return "tracking_pixel"
        return "too_small" if sides and min(sides) < self._config.min_side_px else None

    def _bad_caption(self, caption: str) -> str | None:
        if not caption:
            return "no_caption"
        return "caption_too_long" if len(caption) > self._config.max_caption_chars else None

    def _details(self, mention: Mention, source: str, caption: str, url: str) -> Row:
        page, most = self._page, self._config.max_caption_chars
        licence = licence_of(mention.figure_links, page.links, self._base)
        return {
            "caption": caption,
            "caption_source": source,
            "alt": mention.alt[:most] or None,
            "title_attribute": mention.title_attribute[:most] or None,
            "figure_caption": mention.figure_caption[:most] or None,
            "page_title": page.title[:most] or None,
            "page_language": self._language.code,
            "page_language_source": self._language.source,
            "licence": licence.identifier,
            "licence_url": licence.url,
            "licence_source": licence.source,
            "width_attr": pixels(mention.width_attr),
            "height_attr": pixels(mention.height_attr),
            "is_own_host": host_of(url) == host_of(page.url),
        }


def pixels(written: str) -> int | None:
    """Read an attribute `width` or `height`; None for a percentage, a word, or nothing."""
    match = _WHOLE.fullmatch(written)
    return int(match[1]) if match else None
