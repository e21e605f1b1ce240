"""What became of every record and of every image: two closed vocabularies, counted."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

LISTED = "listed"
DROPS: dict[str, str] = {
    "no_address": "an image element without any address",
    "data_url": "the picture lies in the page itself",
    "not_http": "an address that is neither http nor https",
    "bad_url": "an address that cannot be read",
    "url_too_long": "an address longer than harvest.max_url_chars",
    "tracking_pixel": "one pixel or none, by its attributes",
    "too_small": "a side below harvest.min_side_px, by its attributes",
    "no_caption": "no text in any of harvest.caption_sources",
    "caption_too_long": "a caption longer than harvest.max_caption_chars",
    "repeated_on_page": "the same image and caption stand on this page already",
    "repeated_elsewhere": "another page shows the same image under the same caption",
}
RECORDS: dict[str, str] = {
    "page": "read as a page",
    "no_response": "not an answer of a server: warcinfo, request, revisit, ...",
    "status": "an answer other than 200",
    "not_html": "another kind of content",
    "empty": "no content",
    "undecodable": "content that cannot be unpacked as its headers say, or no JSON in a WAT",
    "too_large": "larger than harvest.max_record_bytes",
    "broken": "the file breaks off in it; nothing after it was read",
}
EXAMPLES_OF_EACH = 3


@dataclass
class Tally:
    """Counts that add up: over records, over images, over files."""

    candidates: int = 0
    drops: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    content_types: Counter[str] = field(default_factory=Counter)
    refused_pages: int = 0
    faults: list[str] = field(default_factory=list)
    examples: dict[str, list[list[str]]] = field(default_factory=dict)  # reason: [address, page]

    def drop(self, reason: str, what: str, page_url: str) -> None:
        """Count an image that is not listed, and remember the first few."""
        self.drops[reason] += 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < EXAMPLES_OF_EACH:
            shown.append([what[:200], page_url])

    def add(self, other: "Tally") -> None:
        """Add the counts of another file."""
        self.candidates += other.candidates
        self.refused_pages += other.refused_pages
        for name in ("drops", "records", "statuses", "content_types"):
            getattr(self, name).update(getattr(other, name))
        self.faults += other.faults
        for reason, found in other.examples.items():
            shown = self.examples.setdefault(reason, [])
            shown += found[: EXAMPLES_OF_EACH - len(shown)]

    def check(self, listed: int) -> None:
        """Raise unless every image was listed or dropped for a known reason."""
        unknown = sorted((set(self.drops) - set(DROPS)) | (set(self.records) - set(RECORDS)))
        if unknown:
            raise ValueError(f"every reason must be in the vocabulary of the harvest, got {unknown}")
        if listed + self.drops.total() != self.candidates:
            raise ValueError(
                f"every image of a crawl must be listed or dropped for a reason: {self.candidates} were "
                f"seen, {listed} are listed, {self.drops.total()} dropped; "
                "delete the scratch folder of the harvest and run again"
            )

    def as_json(self) -> dict[str, Any]:
        """Give the counts as plain JSON."""
        return dict(vars(self))

    @classmethod
    def of_json(cls, saved: dict[str, Any]) -> "Tally":
        """Read what `as_json` gave."""
        counters = ("drops", "records", "statuses", "content_types")
        return cls(**{name: Counter(value) if name in counters else value for name, value in saved.items()})
