"""What can become of a row: one closed vocabulary from the first stage to the last.

A fate is `kept`, or the stage and the reason that ended the row there.
"""

import re
from collections.abc import Iterable

KEPT = "kept"

FATES: frozenset[str] = frozenset(
    {
        KEPT,
        "scrape.bad_url",
        "scrape.connection_error",
        "scrape.decode_error",
        "scrape.empty",
        "scrape.not_an_image",
        "scrape.opted_out",
        "scrape.redirect_loop",
        "scrape.taken_down",
        "scrape.timeout_total",
        "scrape.too_large",
        "scrape.too_small",
        "scrape.truncated",
        "filter.caption_is_filename",
        "filter.caption_too_short",
        "filter.image_blank",
        "filter.image_too_small",
        "filter.similarity_too_low",
        "filter.unsafe",
        "filter.watermark",
        "deduplicate.exact",
        "deduplicate.perceptual",
        "deduplicate.semantic",
    }
)
_HTTP = re.compile(r"scrape\.http_[3-5]\d\d")


def is_fate(fate: str) -> bool:
    """Tell whether a word belongs to the vocabulary; every HTTP status from 300 to 599 is one."""
    return fate in FATES or _HTTP.fullmatch(fate) is not None


def check_fates(fates: Iterable[str | None]) -> None:
    """Raise if any word is outside the vocabulary, naming the first few."""
    unknown = sorted({str(fate) for fate in fates if not isinstance(fate, str) or not is_fate(fate)})
    if unknown:
        raise ValueError(
            f"every row needs a fate of corpus/fates.py, got {unknown[:5]}; add the reason there"
        )
