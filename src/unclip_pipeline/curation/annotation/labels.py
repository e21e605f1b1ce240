"""Labels: the answers of all files together, one per person, picture and concept, and what most say."""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from unclip_pipeline.curation.annotation.exports import Answer, read_export

SUFFIXES = (".json", ".csv")
logger = logging.getLogger(__name__)


class Labels(NamedTuple):
    """The answers that count (columns of `Answer`), and how many entries do not, by reason."""

    answers: pd.DataFrame
    set_aside: Mapping[str, int]

    @property
    def uids(self) -> frozenset[str]:
        """Name the pictures that anybody gave an answer for."""
        return frozenset(self.answers["uid"])

    @property
    def rounds(self) -> int:
        """Count the rounds of annotation that answers came back from."""
        return int(self.answers["round"].max()) if len(self.answers) else 0


def read_labels(folder: Path, known_uids: Collection[str]) -> Labels:
    """Read every export in a folder; one that is empty or not there holds no labels.

    A person's later answer replaces the earlier one, by `updated_at`, then by file name: the same project
    may be exported twice. A uid that is not known is an error that names the file.
    """
    files = [path for path in sorted(folder.glob("*")) if path.suffix in SUFFIXES]
    if strange := [path.name for path in folder.glob("[!._]*") if path.suffix not in (*SUFFIXES, ".md")]:
        logger.warning("%s: not read are %s; labels are files %s", folder, sorted(strange), SUFFIXES)
    exports = [read_export(path) for path in files]
    set_aside = sum((export.set_aside for export in exports), Counter())
    answers = answer_table(answer for export in exports for answer in export.answers)
    _check_known(answers, frozenset(known_uids), folder)
    latest = answers.sort_values(["updated_at", "file"], kind="stable")
    latest = latest.drop_duplicates(["uid", "concept", "annotator"], keep="last")
    if repeated := len(answers) - len(latest):
        set_aside["answered_again"] = repeated
    return Labels(latest.sort_values(["concept", "uid", "annotator"], ignore_index=True), dict(set_aside))


def answer_table(answers: Iterable[Answer]) -> pd.DataFrame:
    """Put answers into a table, typed even if there are none."""
    table = pd.DataFrame(list(answers), columns=Answer._fields)
    return table.astype({"answer": bool, "inclusion_probability": float, "round": np.int64})


def consensus(labels: Labels, concept: str) -> pd.DataFrame:
    """Give what most people say of each picture: uid, label, votes, weight; ties are left out.

    `weight` is how many pictures one stands for, NaN where it was not drawn by `annotate`.
    """
    own = labels.answers[labels.answers["concept"] == concept]
    votes = own.groupby("uid", sort=True).agg(
        share=("answer", "mean"),
        votes=("answer", "size"),
        inclusion_probability=("inclusion_probability", "max"),
        round=("round", "max"),
    )
    decided = votes[votes["share"] != 0.5]
    return pd.DataFrame(
        {
            "uid": decided.index.to_numpy(),
            "label": (decided["share"] > 0.5).to_numpy(),
            "votes": decided["votes"].to_numpy(),
            "weight": design_weights(
                decided["inclusion_probability"].to_numpy(),
                decided["round"].to_numpy(),
            ),
        }
    )


def ties(labels: Labels, concept: str) -> list[str]:
    """Name the pictures of which as many people say yes as no."""
    shares = labels.answers[labels.answers["concept"] == concept].groupby("uid")["answer"].mean()
    return sorted(shares.index[shares == 0.5])


def design_weights(
    probability: Float[np.ndarray, " n"], drawn_in: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Weigh rows drawn in R rounds, each from what was not labelled before, for unbiased totals.

    The total is estimated once after every round k, as what is labelled already plus 1/p of what the round
    drew; the mean of the R estimates gives a row of round k the weight (R - k + 1/p) / R.
    """
    rounds = np.unique(drawn_in[np.isfinite(probability)])
    later = len(rounds) - 1 - np.searchsorted(rounds, drawn_in)
    return (later + 1 / probability) / max(1, len(rounds))


def _check_known(answers: pd.DataFrame, known: frozenset[str], folder: Path) -> None:
    strange = answers[~answers["uid"].isin(known)]
    if len(strange):
        first = strange.iloc[0]
        raise ValueError(
            f"{folder / first['file']} labels the uid {first['uid']!r}, which the scrape ledger does not know "
            f"({strange['uid'].nunique()} such uids): they are of another URL list, or a spreadsheet rewrote them as "
            "numbers; take the file away, or restore its uids (open it with that column as text)"
        )
