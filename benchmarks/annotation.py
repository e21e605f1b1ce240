"""What a round of labels is worth, on a finished run of the embedded world.

    python benchmarks/annotation.py --project .

People are played by the planted truth: they answer the tasks of `annotate`, in Label Studio's export format, some
answers wrong. The filter's concept rules are then judged against the truth before and after, for the project's own
rules and for rules whose prompts are taken away or blinded. Nothing is written into the project.
"""

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from unclip_pipeline.corpus.embeddings import read_embeddings
from unclip_pipeline.corpus.vectors import rows_of, unit
from unclip_pipeline.curation.annotation.choosing import AnnotateConfig, choose
from unclip_pipeline.curation.annotation.evidence import ruled, said
from unclip_pipeline.curation.annotation.labels import Labels, answer_table, read_labels
from unclip_pipeline.curation.annotation.study import LabelStudy, study_labels
from unclip_pipeline.curation.calibration import CalibrationConfig
from unclip_pipeline.curation.rules import FilterConfig


class Run(NamedTuple):
    """A finished run: verdicts with captions, unit image vectors, and what was planted, by concept."""

    rows: pd.DataFrame
    vectors: np.ndarray
    truth: dict[str, np.ndarray]
    rules: dict[str, Any]


class Case(NamedTuple):
    """Rules to begin with, and who answers."""

    name: str
    rows: pd.DataFrame
    rules: FilterConfig
    people: int
    noise: float


def read_run(project: Path) -> Run:
    """Read what the stages left behind; stamped copies bear a small mark and count on neither side."""
    data = project / "data"
    verdicts = pd.read_parquet(data / "02_intermediate/filter_verdicts.parquet")
    ledger = pd.read_parquet(data / "02_intermediate/scrape_ledger.parquet")
    truth = pd.read_parquet(data / "01_raw/world_truth.parquet").set_index("uid")
    rows = verdicts.merge(ledger[["uid", "url", "caption"]], on="uid", validate="one_to_one")
    rows = rows[(truth["transform"].loc[rows["uid"]] != "stamped").to_numpy()].reset_index(drop=True)
    found = read_embeddings(data / "04_feature/embeddings")
    vectors = unit(found.image[rows_of(found.uid, rows["uid"].tolist(), what="the embeddings")])
    planted = {name: truth[name].loc[rows["uid"]].to_numpy(bool) for name in ("unsafe", "watermark")}
    rules = OmegaConf.to_container(OmegaConf.load(project / "conf/base/parameters_filter.yml")["filter"])
    return Run(rows, vectors, planted, rules)


def cases(run: Run) -> Iterator[Case]:
    """Yield the rules as they are, with careless people, and rules that fail in two ways."""
    own = FilterConfig(**run.rules)
    yield Case("own rules", run.rows, own, 1, 0.0)
    yield Case("own rules, 5% wrong", run.rows, own, 1, 0.05)
    yield Case("own rules, two people, 5% wrong", run.rows, own, 2, 0.05)
    blind = np.random.default_rng(0).permutation(len(run.rows))
    rows = run.rows.assign(score_unsafe=run.rows["score_unsafe"].to_numpy()[blind])
    half = np.random.default_rng(1).random(len(rows)) < 0.3
    partly = run.rows.assign(score_unsafe=np.where(half, run.rows["score_unsafe"], -5.0))
    yield Case("prompts see 3 in 10", partly, own, 1, 0.0)
    yield Case("prompts see nothing (scores shuffled)", rows, own, 1, 0.0)


def unlabelled(run: Run, case: Case) -> LabelStudy:
    """Study a case before any label."""
    answers = {f"fails_{name}": ruled(case.rows, name, case.rules) for name in run.truth}
    nothing = Labels(answer_table([]), {})
    rows = case.rows.assign(**answers)
    return study_labels(rows, run.vectors, nothing, CalibrationConfig(), case.rules, seed=0)


def play(
    run: Run, case: Case, study: LabelStudy, seed: int, labels: int, rounds: int
) -> list[dict[str, Any]]:
    """Go round as often as asked; give a row per concept and round, the first before any label."""
    calibration, asking = CalibrationConfig(), AnnotateConfig(labels=labels)
    rows = study.rows
    result = [
        score(case, seed, 0, name, one.claimed, run.truth[name]) for name, one in study.concepts.items()
    ]
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as place:
        folder, names = Path(place), rows["uid"].to_numpy()
        for number in range(1, rounds + 1):
            began = perf_counter()
            left = ~rows["uid"].isin(study.labels.uids).to_numpy()
            chances = {name: one.chance[left] for name, one in study.concepts.items()}
            chosen = choose(names[left], run.vectors[left], chances, asking, seed=seed, round=number)
            export = list(answered(chosen, run, case, random))
            (folder / f"round{number}.json").write_text(json.dumps(export))
            labelled = read_labels(folder, names.tolist())
            study = study_labels(rows, run.vectors, labelled, calibration, case.rules, seed=seed)
            seconds = perf_counter() - began
            result += [after_labels(case, seed, number, name, study, run, seconds) for name in run.truth]
    return result


def answered(
    chosen: pd.DataFrame, run: Run, case: Case, random: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """Answer every task as each person would."""
    place = {uid: row for row, uid in enumerate(run.rows["uid"])}
    for number, row in enumerate(chosen.itertuples(index=False)):
        annotations = []
        for person in range(case.people):
            words = {
                name: "yes" if planted[place[row.uid]] ^ (random.random() < case.noise) else "no"
                for name, planted in run.truth.items()
            }
            result = [
                {"type": "choices", "from_name": name, "to_name": "image", "value": {"choices": [word]}}
                for name, word in words.items()
            ]
            annotations.append({"id": f"{number}-{person}", "completed_by": person, "result": result})
        data = {"uid": row.uid, "inclusion_probability": row.inclusion_probability, "round": row.round}
        yield {"id": number, "data": data, "annotations": annotations}


def after_labels(
    case: Case, seed: int, number: int, name: str, study: LabelStudy, run: Run, seconds: float
) -> dict[str, Any]:
    """Score what the filter would now answer, and whether the estimates cover the truth."""
    one = study.concepts[name]
    claimed = ruled(case.rows, name, case.rules)
    if not one.calibrated.reason:
        claimed = one.calibrated.probability >= one.calibrated.threshold
        claimed = claimed | said(case.rows, name, case.rules)
    scored = score(case, seed, number, name, claimed, run.truth[name])
    precision, recall = one.now
    return scored | {
        "yes": one.calibrated.positives,
        "probe": int(not one.calibrated.reason),
        "recall inside": inside(scored["recall"], recall.low, recall.high),
        "precision inside": inside(scored["precision"], precision.low, precision.high),
        "alpha": one.agreement.alpha,
        "seconds": seconds,
    }


def score(
    case: Case, seed: int, number: int, name: str, claimed: np.ndarray, planted: np.ndarray
) -> dict[str, Any]:
    """Compare an answer with the truth."""
    precision = float(planted[claimed].mean()) if claimed.any() else float("nan")
    facts = {"case": case.name, "concept": name, "round": number, "seed": seed}
    return facts | {"recall": float(claimed[planted].mean()), "precision": precision}


def inside(value: float, low: float | None, high: float | None) -> float:
    """Tell whether an interval has the true value; not a number where there is no interval."""
    return float("nan") if low is None or high is None else float(low - 1e-9 <= value <= high + 1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--project", type=Path, default=Path("."), help="a project with a finished default run"
    )
    parser.add_argument("--labels", type=int, default=200, help="labels per round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=5)
    choices = parser.parse_args()
    run = read_run(choices.project)
    print(
        f"{len(run.rows):,} pictures, {choices.labels} labels a round, {choices.seeds} seeds; "
        f"{os.cpu_count()} cores, python {platform.python_version()}, scikit-learn {version('scikit-learn')}"
    )
    print({name: int(planted.sum()) for name, planted in run.truth.items()}, "planted")
    for case in cases(run):
        first = unlabelled(run, case)
        played = [
            line
            for seed in range(choices.seeds)
            for line in play(run, case, first, seed, choices.labels, choices.rounds)
        ]
        print(f"\n{case.name}\n{summary(played).round(3).to_string()}", flush=True)


def summary(played: list[dict[str, Any]]) -> pd.DataFrame:
    """Summarise the seeds by concept and round; round 0 is before any label."""
    by = pd.DataFrame(played).groupby(["concept", "round"], sort=False)
    return by.agg(
        recall=("recall", "mean"), least_recall=("recall", "min"),
        precision=("precision", "mean"), least_precision=("precision", "min"),
        recall_covered=("recall inside", "mean"), precision_covered=("precision inside", "mean"),
        yes=("yes", "mean"), alpha=("alpha", "mean"), seconds=("seconds", "mean"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
