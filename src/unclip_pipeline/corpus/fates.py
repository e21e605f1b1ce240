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
        "scrape.blocked_private_address",
        "scrape.connection_error",
        "scrape.contact_missing",
        "scrape.decode_error",
        "scrape.empty",
        "scrape.host_not_found",
        "scrape.not_an_image",
        "scrape.opted_out",
        "scrape.permission_unknown",
        "scrape.placeholder",
        "scrape.redirect_loop",
        "scrape.taken_down",
        "scrape.timeout_total",
        "scrape.tls_error",
        "scrape.too_large",
        "scrape.too_slow",
        "scrape.too_small",
        "scrape.truncated",
        "filter.caption_boilerplate",
        "filter.caption_is_filename",
        "filter.caption_language",
        "filter.caption_not_text",
        "filter.caption_repetitive",
        "filter.caption_shared",
        "filter.caption_too_long",
        "filter.caption_too_short",
        "filter.image_blank",
        "filter.image_grey",
        "filter.image_placeholder",
        "filter.image_text_heavy",
        "filter.image_too_elongated",
        "filter.image_too_small",
        "filter.image_undecodable",
        "filter.reference_too_far",
        "filter.similarity_too_low",
        "filter.unsafe",
        "filter.watermark",
        "deduplicate.exact",
        "deduplicate.near_heldout",
        "deduplicate.perceptual",
        "deduplicate.semantic",
    }
)
_OPEN = re.compile(r"scrape\.http_[3-5]\d\d|filter\.concept_[a-z][a-z0-9_]*")


def is_fate(fate: str) -> bool:
    """Tell whether a word belongs to the vocabulary.

    Two kinds are not listed one by one: every HTTP status from 300 to 599, and the concepts that a
    user's configuration names.
    """
    return fate in FATES or _OPEN.fullmatch(fate) is not None


def check_fates(fates: Iterable[str | None]) -> None:
    """Raise if any word is outside the vocabulary, naming the first few."""
    unknown = sorted({str(fate) for fate in fates if not isinstance(fate, str) or not is_fate(fate)})
    if unknown:
        raise ValueError(
            f"every row needs a fate of corpus/fates.py, got {unknown[:5]}; add the reason there"
        )
