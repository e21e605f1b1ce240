"""How to harvest a crawl."""

from collections.abc import Sequence
from dataclasses import dataclass

CAPTION_SOURCES = ("alt", "figure_caption", "title_attribute")
ON_BROKEN = ("fail", "count")


@dataclass(frozen=True, kw_only=True)
class HarvestConfig:
    """Which images of a page to list, and under which caption."""

    caption_sources: Sequence[str] = CAPTION_SOURCES  # the first that is not empty is the caption
    open_graph: bool = False  # list og:image too, under og:image:alt or og:description
    lazy_attributes: Sequence[str] = ("data-src", "data-original", "data-lazy-src")  # before src
    base_url: str = ""  # where HTML files that name no address of their own were saved from
    min_side_px: int = 8  # by the attributes width and height, where a page gives them
    max_caption_chars: int = 2000
    max_url_chars: int = 4096
    max_record_bytes: int = 16 * 2**20  # of a record, packed or unpacked: what one page may cost in memory
    on_broken: str = "fail"  # or "count": leave out the rest of a file that breaks off, and say so
    detect_language: bool = True  # from the text of pages that name none

    def __post_init__(self) -> None:
        for name in ("caption_sources", "lazy_attributes"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise ValueError(f"harvest.{name} must be a list, got {value!r}; write [{value}]")
            object.__setattr__(self, name, tuple(map(str.lower, value)))
        unknown = [name for name in self.caption_sources if name not in CAPTION_SOURCES]
        if unknown or not self.caption_sources:
            raise ValueError(
                f"harvest.caption_sources must name some of {CAPTION_SOURCES}, got {self.caption_sources}"
            )
        if self.on_broken not in ON_BROKEN:
            raise ValueError(f"harvest.on_broken must be one of {ON_BROKEN}, got {self.on_broken!r}")
        for name in ("max_caption_chars", "max_url_chars", "max_record_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"harvest.{name} must be at least 1, got {getattr(self, name)}")
        if self.min_side_px < 0:
            raise ValueError(f"harvest.min_side_px must be 0 or more, got {self.min_side_px}")
        if self.base_url and not self.base_url.startswith(("http://", "https://")):
            raise ValueError(
                f"harvest.base_url must be an http or https address, got {self.base_url!r}; "
                "write it with its scheme, as https://example.org/"
            )
