"""The ledger: what became of every row, from the URL list to the dataset version."""

import pandas as pd

from unclip_pipeline.corpus.fates import KEPT, check_fates

STAGES = ("scrape", "filter", "deduplicate")


def check_accounted(expected: pd.Series, table: pd.DataFrame, *, stage: str) -> None:
    """Raise unless a stage's verdicts have exactly the expected uids, each once and with a known fate."""
    uids, wanted = set(table["uid"]), set(expected)
    lost, strange = sorted(wanted - uids), sorted(uids - wanted)
    repeated = sorted(table["uid"][table["uid"].duplicated()])
    if lost or strange or repeated:
        raise ValueError(
            f"{stage}: every row needs exactly one fate, of {len(wanted)} rows {len(lost)} have none "
            f"{lost[:3]}, {len(repeated)} have several {repeated[:3]}, {len(strange)} belong to no row "
            f"{strange[:3]}; run `{stage}` again on the tables that are there now"
        )
    check_fates(table["fate"])


def join_ledger(
    scrape_ledger: pd.DataFrame,
    filter_verdicts: pd.DataFrame,
    duplicate_verdicts: pd.DataFrame,
    sampling_weights: pd.DataFrame,
    released_shards: pd.Series,
) -> pd.DataFrame:
    """Join the verdicts of all stages: one row per uid with its final fate.

    Each stage must have judged exactly the rows that the one before it kept; `released_shards` (by uid)
    must be exactly those that are kept in the end.
    """
    check_accounted(scrape_ledger["uid"].drop_duplicates(), scrape_ledger, stage="scrape")
    check_accounted(_kept(scrape_ledger), filter_verdicts, stage="filter")
    check_accounted(_kept(filter_verdicts), duplicate_verdicts, stage="deduplicate")
    kept = duplicate_verdicts[duplicate_verdicts["fate"] == KEPT]
    _check_representatives(duplicate_verdicts)
    _check_same_uids(kept["uid"], pd.Series(released_shards.index), "release_dataset")
    _check_same_uids(_trained(scrape_ledger, kept), sampling_weights["uid"], "audit_data")
    ledger = scrape_ledger.set_index("uid")
    for verdicts in (filter_verdicts, duplicate_verdicts):
        ledger.loc[verdicts["uid"], "fate"] = verdicts["fate"].to_numpy()
    return ledger.assign(
        similarity=filter_verdicts.set_index("uid")["similarity"],
        duplicate_of=duplicate_verdicts.set_index("uid")["duplicate_of"],
        cosine=duplicate_verdicts.set_index("uid")["cosine"],
        weight=sampling_weights.set_index("uid")["weight"],
        released_shard=released_shards,
    ).reset_index()


def waterfall(ledger: pd.DataFrame) -> pd.DataFrame:
    """Count uids by stage and reason: what came in, what each reason took, what is left after each stage."""
    left = len(ledger)
    rows = [("listed", "", left, left)]
    for stage in STAGES:
        reasons = ledger["fate"][ledger["fate"].str.startswith(f"{stage}.")].value_counts()
        for fate, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
            left -= count
            rows.append((stage, fate.partition(".")[2], -count, left))
    rows.append((KEPT, "", left, left))
    return pd.DataFrame(rows, columns=["stage", "reason", "pairs", "left"])


def _kept(table: pd.DataFrame) -> pd.Series:
    return table["uid"][table["fate"] == KEPT]


def _trained(scrape_ledger: pd.DataFrame, kept: pd.DataFrame) -> pd.Series:
    train = scrape_ledger["uid"][scrape_ledger["split"] == "train"]
    return train[train.isin(kept["uid"])]


def _check_same_uids(expected: pd.Series, found: pd.Series, stage: str) -> None:
    lost, strange = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if lost or strange or found.duplicated().any():
        raise ValueError(
            f"{stage}: of {len(expected)} kept rows {len(lost)} are missing {lost[:3]}, {len(strange)} are "
            f"not kept {strange[:3]}; run `{stage}` again on the tables that are there now"
        )


def _check_representatives(verdicts: pd.DataFrame) -> None:
    """Every dropped duplicate names a kept row."""
    dropped = verdicts[verdicts["fate"] != KEPT]
    orphans = dropped["uid"][~dropped["duplicate_of"].isin(_kept(verdicts))].tolist()
    if orphans:
        raise ValueError(
            f"deduplicate: {len(orphans)} rows were dropped for a row that is not kept {orphans[:3]}; "
            "run `deduplicate` again"
        )
