"""The tables of the world: what a scraper is given, and what only the scorecard may read."""

from dataclasses import asdict

import pandas as pd

from unclip_pipeline.world.plan import Entry
from unclip_pipeline.world.scenes import WorldConfig, heldout_kind


def url_list(entries: list[Entry]) -> pd.DataFrame:
    """List the URLs as a user would hand them in."""
    rows = [(entry.url, entry.caption.text, entry.licence, entry.split) for entry in entries]
    return pd.DataFrame(rows, columns=["url", "caption", "licence", "split"])


def world_truth(entries: list[Entry], config: WorldConfig) -> pd.DataFrame:
    """Write down everything planted, one row per uid."""
    distinct = {entry.uid: entry for entry in entries}
    rows = [{"uid": uid, **_facts(entry, config)} for uid, entry in distinct.items()]
    truth = pd.DataFrame(rows)
    truth["listed"] = truth["uid"].map(pd.Series([entry.uid for entry in entries]).value_counts())
    return truth


def _facts(entry: Entry, config: WorldConfig) -> dict[str, object]:
    is_copy = entry.copy_of is not None
    return {
        **asdict(entry.scene),
        "url": entry.url,
        "caption": entry.caption.text,
        "split": entry.split,
        "latents": entry.scene.latents,
        "named": " ".join(entry.caption.named),
        "caption_match": entry.caption_match,
        "wrong_attribute": entry.wrong_attribute,
        "expected_fate": entry.expected_fate,
        "fault": entry.fault,
        "signal": entry.signal[0] if entry.signal else None,
        "signal_value": entry.signal[1] if entry.signal else None,
        "opt_out": entry.is_opted_out,
        "redirected": entry.redirected,
        "duplicate_group": entry.copy_of if is_copy else entry.uid,
        "transform": entry.transform,
        "template_family": entry.family if entry.family is not None else entry.uid,
        "is_sibling": entry.family is not None,
        "unsafe": entry.scene.kind == "hazard",
        "heldout_kind": heldout_kind(entry.scene, config),
    }
