"""Count a scrape: rows by fate and host class, and how long it took."""

import ipaddress
from collections.abc import Iterable

import pandas as pd

from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.intervals import share_metrics
from unclip_pipeline.corpus.uids import host_of
from unclip_pipeline.scraping.run import Scraped

CLASSES_NAMED = 8
OTHER = "other"
NO_HOST = "none"


def scrape_metrics(scraped: Scraped) -> dict[str, int | float]:
    """Count rows by fate and host class; speed, retries and times where anything was measured."""
    ledger = scraped.ledger
    fates = ledger["fate"].value_counts()
    kept = int(fates.get(KEPT, 0))
    return {
        "urls": len(ledger),
        "kept": kept,
        **share_metrics("success_share", kept, len(ledger)),
        "rows": int(ledger["listed"].sum()),
        "fetched_rows": scraped.asked_rows,
        **({"images_per_second": scraped.asked_rows / scraped.fetch_s} if scraped.asked_rows else {}),
        **_of_requests(scraped.requests),
        **{f"fate/{fate}": int(count) for fate, count in sorted(fates.items())},
        **_of_host_classes(ledger),
    }


def _of_requests(requests: pd.DataFrame) -> dict[str, int | float]:
    if requests.empty:
        return {"requests_rows": 0}
    median_ms, slow_ms = requests["elapsed_ms"].quantile([0.5, 0.95])
    return {
        "requests_rows": len(requests),
        "requests_retried": int((requests["attempts"] > 1).sum()),
        "requests_bytes": int(requests["bytes"].sum()),
        "requests_p50_ms": float(median_ms),
        "requests_p95_ms": float(slow_ms),
    }


def _of_host_classes(ledger: pd.DataFrame) -> dict[str, int]:
    classes = pd.Series(host_classes(ledger["url"]), dtype=object)
    counts = classes.value_counts()
    kept = classes[(ledger["fate"] == KEPT).to_numpy()].value_counts()
    return {
        f"host_class/{name}/{what}": int(numbers.get(name, 0))
        for name in sorted(counts.index)
        for what, numbers in (("urls", counts), ("kept", kept))
    }


def host_classes(urls: Iterable[str]) -> list[str]:
    """Name the class of each URL's host: its kind of address or its top-level domain, rare ones `other`."""
    found = pd.Series([host_class(url) for url in urls], dtype=object)
    named = set(found.value_counts().index[:CLASSES_NAMED])
    return [name if name in named else OTHER for name in found]


def host_class(url: str) -> str:
    """Name the class of a URL's host."""
    host = host_of(url)
    if not host:
        return NO_HOST
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "loopback" if host == "localhost" else host.rpartition(".")[2]
    if address.is_loopback:
        return "loopback"
    return "address" if address.is_global else "private"
