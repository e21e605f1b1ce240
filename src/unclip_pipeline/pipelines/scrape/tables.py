"""What a scrape came to, as tables: every function counts rows of the ledger, or of what was measured."""

from urllib.parse import urlsplit

import pandas as pd

from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.uids import host_of
from unclip_pipeline.scraping.ledger import PLACEHOLDER
from unclip_pipeline.scraping.metrics import host_classes

HOSTS_SHOWN = 15
CASES_SHOWN = 3  # of each fate
GROUPS_SHOWN = 8


def fates(ledger: pd.DataFrame) -> pd.DataFrame:
    """Count the fates, most frequent first."""
    counts = ledger["fate"].value_counts().rename_axis("fate").reset_index(name="pairs")
    return counts.assign(share=counts["pairs"] / max(1, len(ledger)))


def hosts(ledger: pd.DataFrame) -> pd.DataFrame:
    """Count by host: how much was kept, and what went wrong most often."""
    return _by(ledger, pd.Series([host_of(url) or "(none)" for url in ledger["url"]], dtype=object), "host")


def classes(ledger: pd.DataFrame) -> pd.DataFrame:
    """Count by class of host: kind of address, or top-level domain."""
    return _by(ledger, pd.Series(host_classes(ledger["url"]), dtype=object), "host class")


def permissions(ledger: pd.DataFrame) -> pd.DataFrame:
    """Count what all signals about a URL came to, by what became of it."""
    known = ledger.assign(permission=ledger["permission"].fillna("nobody was asked"))
    known["outcome"] = known["fate"].where(known["fate"] == KEPT, "not kept")
    return pd.crosstab(known["permission"], known["outcome"]).reset_index()


def signals(evidence: pd.DataFrame) -> pd.DataFrame:
    """Count the signals that were read, by what they said; of a host's signal one, however many URLs."""
    hosts_of = [urlsplit(where).netloc for where in evidence["where"]]
    found = evidence.assign(host=pd.Series(hosts_of, index=evidence.index, dtype=object))
    table = found.groupby(["signal", "scope", "decision"], sort=True).agg(
        times=("signal", "size"), hosts=("host", "nunique"), example=("raw", "first")
    )
    return table.reset_index().assign(example=lambda rows: rows["example"].str.slice(0, 80))


def times(requests: pd.DataFrame) -> dict[str, object]:
    """Sum up how long requests took, and how often they were repeated."""
    if requests.empty:
        return {"requests measured": 0}
    median, slow, slowest = requests["elapsed_ms"].quantile([0.5, 0.95, 1.0])
    return {
        "requests measured": len(requests),
        "asked more than once": int((requests["attempts"] > 1).sum()),
        "redirected": int((requests["hops"].fillna(0) > 0).sum()),
        "megabytes read": float(requests["bytes"].sum() / 1e6),
        "median, ms": float(median),
        "95th percentile, ms": float(slow),
        "slowest, ms": float(slowest),
    }


def repeated_bytes(ledger: pd.DataFrame) -> pd.DataFrame:
    """List the contents found behind most URLs, and whether that made them placeholders."""
    whole = ledger[ledger["fate"].isin([KEPT, PLACEHOLDER])]
    groups = whole.groupby("sha256").agg(
        URLs=("url", "nunique"), fate=("fate", "first"), example=("url", "first")
    )
    many = groups[groups["URLs"] > 1].reset_index().nlargest(GROUPS_SHOWN, "URLs")
    return many.assign(sha256=many["sha256"].str.slice(0, 16))[["URLs", "fate", "sha256", "example"]]


def cases(ledger: pd.DataFrame) -> pd.DataFrame:
    """Give the first rows of each fate but `kept`, with the reason in words."""
    lost = ledger[ledger["fate"] != KEPT].groupby("fate", sort=True).head(CASES_SHOWN)
    shown = lost.sort_values("fate", kind="stable")[["fate", "url", "http_status", "error"]]
    return shown.assign(
        url=[_shortened(url) for url in shown["url"]], error=[_shortened(text) for text in shown["error"]]
    )


def _by(ledger: pd.DataFrame, group: pd.Series, name: str) -> pd.DataFrame:
    of_group = ledger.assign(group=group.to_numpy()).groupby("group")["fate"]
    table = pd.DataFrame(
        {
            "pairs": of_group.size(),
            "kept share": of_group.agg(lambda fate: (fate == KEPT).mean()),
            "most frequent failure": of_group.agg(_most_frequent_failure),
        }
    )
    table = table.sort_values("pairs", ascending=False, kind="stable").rename_axis(name)
    return table.reset_index()


def _most_frequent_failure(fate: pd.Series) -> str | None:
    failures = fate[fate != KEPT].value_counts()
    return str(failures.index[0]) if len(failures) else None


def _shortened(text: str | None, most: int = 110) -> str | None:
    if text is None or pd.isna(text) or len(text) <= most:
        return text
    return f"{text[: most - 12]} … {text[-9:]}"
