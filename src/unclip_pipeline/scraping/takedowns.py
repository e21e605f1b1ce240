"""What must not be used: read from its list, and held against rows, addresses and bytes."""

from typing import NamedTuple
from urllib.parse import urlsplit

import pandas as pd

from unclip_pipeline.corpus.uids import url_name

TAKEN_DOWN = "scrape.taken_down"
TAKEDOWN_KINDS = ("url", "uid", "sha256", "host")
DIGITS = {"uid": 16, "sha256": 64}
FORMS = {
    "url": "whole, such as https://example.org/a.png",
    "uid": "16 hexadecimal digits, as in the ledger",
    "sha256": "64 hexadecimal digits, as in the ledger",
    "host": "a bare name such as example.org",
}


class Takedowns(NamedTuple):
    """What must not be used, by canonical URL, uid, sha256 of the bytes or host, with the reason."""

    url: dict[str, str]
    uid: dict[str, str]
    sha256: dict[str, str]
    host: dict[str, str]  # and all that are below it

    def of_address(self, url: str) -> str | None:
        """Say why a canonical URL must not be asked for; None if it may."""
        if url in self.url:
            return self.url[url]
        hosts = _with_parents(urlsplit(url).hostname or "") if self.host else []
        return next((self.host[host] for host in hosts if host in self.host), None)

    def of_answer(self, final_url: str | None, sha256: str | None) -> str | None:
        """Say why what was got must not be used, by the canonical URL that gave it or by its bytes."""
        reason = self.of_address(final_url) if final_url else None
        return self.sha256.get(sha256 or "") if reason is None else reason


NO_TAKEDOWNS = Takedowns({}, {}, {}, {})


def read_takedowns(takedown_list: pd.DataFrame) -> Takedowns:
    """Check a takedown list and sort it by kind."""
    missing = {"kind", "value", "reason"} - set(takedown_list.columns)
    if missing:
        raise ValueError(
            f"takedown_list needs the columns kind, value and reason, got no {sorted(missing)}; add them to the "
            "first line of the file"
        )
    unknown = sorted(set(takedown_list["kind"]) - set(TAKEDOWN_KINDS))
    if unknown:
        raise ValueError(
            f"takedown_list.kind must be one of {TAKEDOWN_KINDS}, got {unknown}; a row of another kind would "
            "take nothing down"
        )
    by_kind: dict[str, dict[str, str]] = {kind: {} for kind in TAKEDOWN_KINDS}
    for kind, value, reason in takedown_list[["kind", "value", "reason"]].itertuples(index=False, name=None):
        by_kind[kind][_name(kind, value.strip())] = str(reason)
    return Takedowns(**by_kind)


def _name(kind: str, value: str) -> str:
    """Spell a value of a takedown list as the rows spell theirs; one that no row can have is an error."""
    if kind == "url":
        parts = urlsplit(value)
        fits, name = bool(parts.scheme and parts.netloc), url_name(value)
    elif kind == "host":
        name = urlsplit(url_name(f"http://{value.removeprefix('*').strip('.')}/")).hostname or ""
        fits = bool(name) and not any(sign in value for sign in "/:@?# ")
    else:
        name = value.lower()
        fits = len(name) == DIGITS[kind] and not name.strip("0123456789abcdef")
    if not fits:
        raise ValueError(
            f"takedown_list.value of a {kind} must be {FORMS[kind]}, got {value!r}; correct it, or it would take "
            "nothing down"
        )
    return name


def _with_parents(host: str) -> list[str]:
    """Name a host and every domain that it lies in."""
    labels = host.rstrip(".").split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]
