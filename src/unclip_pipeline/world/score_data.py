"""Compare what became of every URL with what was planted: scraping, filters, duplicates, audit labels.

Tables are those of the catalog; `truth` is `world_truth`. Shares come as flat metrics with Wilson's interval.
"""

import numpy as np
import pandas as pd
from jaxtyping import Bool

from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.intervals import share_metrics
from unclip_pipeline.corpus.uids import pair_uid
from unclip_pipeline.world.plan import TRANSFORMS

AVATAR_AXES = ("occupation", "group", "hair")


def score_accounting(
    url_list: pd.DataFrame, scrape_ledger: pd.DataFrame, ledger: pd.DataFrame, truth: pd.DataFrame
) -> dict[str, int | float]:
    """Check that every listed row is counted once and every uid has exactly one fate; 1 is perfect."""
    uids = set(truth["uid"])
    exact = all(
        table["uid"].is_unique and set(table["uid"]) == uids and table["fate"].notna().all()
        for table in (scrape_ledger, ledger)
    )  # fmt: skip
    counted = int(scrape_ledger["listed"].sum()) == len(url_list)
    return {
        "every_url_has_one_fate": float(exact and counted),
        "urls_listed": len(url_list),
        "uids": len(uids),
    }


def score_harvest(
    truth: pd.DataFrame, url_list: pd.DataFrame, harvested: pd.DataFrame
) -> dict[str, int | float]:
    """Compare what was read off the world's pages with what they show: every listed pair stands on one.

    Licence, language and refusal are judged on the pairs that were found.
    """
    rows = harvested.assign(uid=_uids(harvested))
    licences = dict(zip(_uids(url_list), url_list["licence"].fillna(""), strict=True))
    known = rows[rows["uid"].isin(set(truth["uid"]))]
    forbidden = set(truth.loc[truth["opt_out"], "uid"])
    licensed = known["licence"].fillna("") == known["uid"].map(licences)
    refused = known["opt_out"].notna() == known["uid"].isin(forbidden)
    return {
        **share_metrics("harvest_recall", known["uid"].nunique(), len(truth)),
        **share_metrics("harvest_precision", len(known), len(rows)),
        **share_metrics("harvest_licence", int(licensed.sum()), len(known)),
        **share_metrics("harvest_refusal", int(refused.sum()), len(known)),
        **share_metrics("harvest_language", int((known["page_language"] == "en").sum()), len(known)),
    }


def _uids(rows: pd.DataFrame) -> list[str]:
    return [pair_uid(url, caption) for url, caption in zip(rows["url"], rows["caption"], strict=True)]


def score_scrape(truth: pd.DataFrame, scrape_ledger: pd.DataFrame) -> dict[str, int | float]:
    """Compare scrape fates with the planted ones, opt-outs apart: those must be exact."""
    rows = _joined(truth, scrape_ledger[["uid", "fate"]])
    refused = rows["fate"] == "scrape.opted_out"
    unwilling, willing = rows["opt_out"], ~rows["opt_out"]
    by_signal = {
        f"opt_outs_by_{signal.lower().replace('.', '_').replace('-', '_')}": refused[places]
        for signal, places in rows[unwilling].groupby("signal").groups.items()
    }
    return {
        **share_metrics("scrape_fate", int((rows["fate"] == rows["expected_fate"]).sum()), len(rows)),
        **share_metrics("opt_outs_respected", int((refused & unwilling).sum()), int(unwilling.sum())),
        **share_metrics("willing_not_refused", int((~refused & willing).sum()), int(willing.sum())),
        **{
            key: figure
            for name, found in by_signal.items()
            for key, figure in share_metrics(name, int(found.sum()), len(found)).items()
        },
    }


def fate_mismatches(truth: pd.DataFrame, scrape_ledger: pd.DataFrame) -> pd.DataFrame:
    """List the URLs whose scrape fate is not the planted one."""
    rows = _joined(truth, scrape_ledger[["uid", "fate"]])
    return rows.loc[rows["fate"] != rows["expected_fate"], ["uid", "url", "fault", "expected_fate", "fate"]]


def score_filter(truth: pd.DataFrame, filter_verdicts: pd.DataFrame) -> dict[str, int | float]:
    """Measure each rule against what was planted for it, on the rows that reached the filter.

    A rule is judged by its own answer (`fails_<rule>`), whichever rule came first; a rule that the run
    does not have gives no figure. Stamped copies carry a small mark and count on neither side of the
    watermark rule.
    """
    rows = _joined(truth, filter_verdicts)
    match = rows["caption_match"]
    junk = rows.loc[match == "junk", "fate"]
    metrics = share_metrics("junk_caption_recall", int((junk != KEPT).sum()), len(junk))
    if "fails_similarity_too_low" in rows:
        low = rows["fails_similarity_too_low"].to_numpy(bool)
        metrics |= _precision("similarity_too_low", low, (match != "all").to_numpy())
        for kind in ("none", "one_attribute"):
            planted = (match == kind).to_numpy()
            name = f"similarity_too_low_recall_{kind}"
            metrics |= share_metrics(name, int(low[planted].sum()), int(planted.sum()))
        metrics |= _auc("similarity", rows, "none") | _auc("similarity", rows, "one_attribute")
    if "fails_unsafe" in rows:
        unsafe = rows["fails_unsafe"].to_numpy(bool)
        metrics |= _precision_recall("unsafe", unsafe, rows["unsafe"].to_numpy(bool)) | _leak(rows, unsafe)
    if "fails_watermark" in rows:
        clear = rows[rows["transform"] != "stamped"]
        marked = clear["fails_watermark"].to_numpy(bool)
        metrics |= _precision_recall("watermark", marked, clear["watermark"].to_numpy(bool))
    return metrics


def score_duplicates(truth: pd.DataFrame, duplicate_verdicts: pd.DataFrame) -> dict[str, int | float]:
    """Measure the search for duplicates on the rows that reached it.

    Recall by transform: a planted copy counts when some other picture of its group got there too, and is
    found when it was dropped or it is the only one of the group kept. Precision by reason: the picture that
    stands for a dropped one is of the same planted group; `_same_content` also admits pictures of equal
    latents that were drawn afresh. Survival: siblings of a template not dropped for one of their family.
    """
    rows = _joined(truth, duplicate_verdicts)
    dropped = rows["fate"] != KEPT
    reached = rows.groupby("duplicate_group")["uid"].transform("size")
    kept = (~dropped).groupby(rows["duplicate_group"]).transform("sum")
    found = dropped | (kept <= 1)
    metrics: dict[str, int | float] = {}
    for transform in ("exact", *TRANSFORMS):
        planted = (rows["transform"] == transform) & (reached > 1)
        metrics |= share_metrics(
            f"duplicate_recall_{transform}", int(found[planted].sum()), int(planted.sum())
        )
    stands = truth.set_index("uid").reindex(rows["duplicate_of"])
    for name, column in (("precision", "duplicate_group"), ("same_content", "latents")):
        same = rows[column].to_numpy() == stands[column].to_numpy()
        for reason in ("exact", "perceptual", "semantic"):
            claimed = (rows["fate"] == f"deduplicate.{reason}").to_numpy()
            metrics |= share_metrics(
                f"duplicate_{reason}_{name}", int(same[claimed].sum()), int(claimed.sum())
            )
    family = rows["template_family"].to_numpy() == stands["template_family"].to_numpy()
    copies = rows["duplicate_group"].to_numpy() == stands["duplicate_group"].to_numpy()
    siblings = rows["is_sibling"].to_numpy(bool)
    lost = siblings & family & ~copies & dropped.to_numpy()
    return metrics | share_metrics(
        "template_siblings_kept", int((siblings & ~lost).sum()), int(siblings.sum())
    )


def score_heldout(truth: pd.DataFrame, ledger: pd.DataFrame) -> dict[str, int | float]:
    """Count what must not be in training: held-out rows and combinations, copies of held-out pictures."""
    rows = _joined(truth.drop(columns="split"), ledger[["uid", "split", "fate"]])
    rows["planned_split"] = truth.set_index("uid")["split"].reindex(rows["uid"]).to_numpy()
    trained = (rows["split"] == "train") & (rows["fate"] == KEPT)
    heldout_groups = set(rows.loc[(rows["split"] == "heldout") & (rows["fate"] == KEPT), "duplicate_group"])
    return {
        "heldout_rows_in_train": int(
            ((rows["planned_split"] == "heldout") & (rows["split"] == "train")).sum()
        ),
        "heldout_combinations_in_train": int((rows["heldout_kind"].notna() & trained).sum()),
        "copies_of_heldout_in_train": int((rows["duplicate_group"].isin(heldout_groups) & trained).sum()),
        "heldout_rows_kept": int(((rows["split"] == "heldout") & (rows["fate"] == KEPT)).sum()),
    }


def score_labels(truth: pd.DataFrame, audit_labels: pd.DataFrame) -> dict[str, int | float]:
    """Measure the audit's labels on avatars, axis by axis, and whether its shares cover the true ones.

    An axis of the audit is compared where the world has it. Accuracy is over avatars with a label other
    than "unknown"; `_known` is the share that has one. Covered: the true share of a value lies in Wilson's
    interval of its labelled share.
    """
    rows = _joined(truth[truth["kind"] == "avatar"], audit_labels, labels="_label")
    metrics: dict[str, int | float] = {}
    covered = []
    for axis in AVATAR_AXES:
        if f"{axis}_label" not in rows:
            continue
        labels = rows[f"{axis}_label"]
        known = (labels != "unknown").to_numpy()
        right = (labels == rows[axis]).to_numpy()
        metrics |= share_metrics(f"label_{axis}", int(right[known].sum()), int(known.sum()))
        metrics |= share_metrics(f"label_{axis}_known", int(known.sum()), len(known))
        for value, share in rows[axis].value_counts(normalize=True).items():
            bounds = share_metrics("share", int((labels[known] == value).sum()), int(known.sum()))
            covered.append(known.any() and bounds["share_low"] <= share <= bounds["share_high"])
    return metrics | share_metrics("label_shares_covered", sum(map(bool, covered)), len(covered))


def _joined(truth: pd.DataFrame, table: pd.DataFrame, labels: str = "_found") -> pd.DataFrame:
    """Put the truth beside the rows of a table; columns of both get a suffix in the table's."""
    unknown = set(table["uid"]) - set(truth["uid"])
    if unknown and labels == "_found":
        raise ValueError(
            f"the truth knows no uid of {sorted(unknown)[:3]}; render the world and scrape it again"
        )
    return truth.merge(table, on="uid", how="inner", suffixes=("", labels), validate="one_to_one")


def _precision(
    name: str, claimed: Bool[np.ndarray, " n"], actual: Bool[np.ndarray, " n"]
) -> dict[str, int | float]:
    return share_metrics(f"{name}_precision", int((claimed & actual).sum()), int(claimed.sum()))


def _precision_recall(
    name: str, claimed: Bool[np.ndarray, " n"], actual: Bool[np.ndarray, " n"]
) -> dict[str, int | float]:
    recall = share_metrics(f"{name}_recall", int((claimed & actual).sum()), int(actual.sum()))
    return _precision(name, claimed, actual) | recall


def _auc(score: str, rows: pd.DataFrame, kind: str) -> dict[str, int | float]:
    """Give the chance that an honest caption scores above a planted one; 0.5 tells them apart not at all."""
    honest = rows.loc[rows["caption_match"] == "all", score].to_numpy(float)
    planted = rows.loc[rows["caption_match"] == kind, score].to_numpy(float)
    if not len(honest) or not len(planted):
        return {}
    ranks = pd.Series(np.concatenate([honest, planted])).rank().to_numpy()[: len(honest)]
    wins = ranks.sum() - len(honest) * (len(honest) + 1) / 2
    return {f"{score}_auc_{kind}": float(wins / (len(honest) * len(planted)))}


def _leak(rows: pd.DataFrame, unsafe: Bool[np.ndarray, " n"]) -> dict[str, int | float]:
    """Give the share of harmless avatars that the unsafe rule takes, group by group."""
    metrics: dict[str, int | float] = {}
    for group in sorted(rows["group"].dropna().unique()):
        own = ((rows["group"] == group) & (rows["kind"] == "avatar")).to_numpy()
        metrics |= share_metrics(f"unsafe_leak_{group}", int(unsafe[own].sum()), int(own.sum()))
    return metrics
