"""A round of annotation from end to end, on a corpus whose truth is known to the test alone."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from toy_corpus import toy_corpus
from unclip_pipeline.corpus.embeddings import Embeddings, iter_embeddings, write_embeddings
from unclip_pipeline.corpus.files import SUCCESS
from unclip_pipeline.curation.annotation.choosing import AnnotateConfig
from unclip_pipeline.curation.annotation.evidence import add_probes, ruled
from unclip_pipeline.curation.annotation.labels import read_labels
from unclip_pipeline.curation.calibration import CalibrationConfig
from unclip_pipeline.curation.rules import FilterConfig
from unclip_pipeline.pipelines.annotate.nodes import choose_pictures, describe, export, study

N = 1200
RULES = FilterConfig(concepts={"unsafe": {"prompts": ["a red disc on the left"], "words": ["crimson"]}})
CALIBRATION = CalibrationConfig()


class Corpus(NamedTuple):
    shards: Path
    ledger: pd.DataFrame
    embeddings: Path
    verdicts: pd.DataFrame
    shows: dict[str, bool]  # the truth: red discs on the left


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Pictures, vectors that tell colour and place apart, and prompts that see half of what they should."""
    home = tmp_path_factory.mktemp("corpus")
    shards, ledger = toy_corpus(home / "shards", N)
    captions = {sample.uid: sample.caption for sample in _samples(shards)}
    ledger = ledger.assign(caption=ledger["uid"].map(captions), url="http://toy.example")
    ledger = ledger.sort_values("uid", ignore_index=True)
    shows = ledger["caption"].str.contains("red disc on the left").to_numpy()
    random = np.random.default_rng(0)
    vectors = random.normal(size=(N, 24))
    vectors[:, 0] += np.where(shows, 6.0, 0.0)
    parts = home / "embeddings"
    parts.mkdir()
    for shard, rows in ledger.groupby("shard"):
        own = vectors[rows.index].astype(np.float16)
        write_embeddings(parts / f"{shard}.parquet", Embeddings(rows["uid"].to_numpy(), own, own, "toy"))
    (parts / SUCCESS).touch()
    score = np.where(shows & (random.random(N) < 0.5), 2.0, -2.0)
    verdicts = pd.DataFrame(
        {"uid": ledger["uid"], "score_unsafe": score, "fails_unsafe": score > 1, "fate": "kept"}
    )
    return Corpus(shards, ledger, parts, verdicts, dict(zip(ledger["uid"], shows.tolist(), strict=True)))


def _samples(shards: Path):
    from unclip_pipeline.corpus.shards import read_shard, shard_paths

    return [sample for shard in shard_paths(shards) for sample in read_shard(shard)]


def hand_out(
    corpus: Corpus, annotations: Path, target: Path, labels: int = 200
) -> tuple[list[dict], str, dict]:
    """Run the stage; give the tasks, the page and the metrics."""
    found, metrics = study(
        corpus.ledger, corpus.verdicts, corpus.embeddings, annotations, CALIBRATION, RULES, 0
    )
    config = AnnotateConfig(labels=labels)
    chosen = choose_pictures(found, corpus.embeddings, config, 0)
    export(found, chosen, corpus.shards, target, config)
    page = describe(found, chosen, corpus.shards, CALIBRATION)
    return json.loads((target / "tasks.json").read_text()), page, metrics


def answered(tasks: list[dict], shows: dict[str, bool], *, people: int, noise: float) -> list[dict]:
    """Answer as people would, in Label Studio's export format."""
    random = np.random.default_rng(7)

    def one(task: dict, number: int, person: int) -> dict:
        truth = shows[task["data"]["uid"]] ^ (random.random() < noise)
        region = {**task["predictions"][0]["result"][0], "value": {"choices": ["yes" if truth else "no"]}}
        return {
            "id": 10 * number + person,
            "completed_by": person,
            "result": [region],
            "was_cancelled": False,
        }

    return [
        {"id": number, "data": task["data"], "annotations": [one(task, number, p) for p in range(people)]}
        for number, task in enumerate(tasks, 1)
    ]


def recall_and_precision(claimed: np.ndarray, corpus: Corpus) -> tuple[float, float]:
    shows = np.array([corpus.shows[uid] for uid in corpus.ledger["uid"]])
    return float(claimed[shows].mean()), float(shows[claimed].mean())


@pytest.mark.parametrize(("people", "noise"), [(1, 0.0), (2, 0.05)])
def test_one_round_of_labels_rescues_a_rule_whose_prompts_fail(
    corpus: Corpus, tmp_path: Path, people: int, noise: float
) -> None:
    folder = tmp_path / "annotations"
    folder.mkdir()
    tasks, page, metrics = hand_out(corpus, folder, tmp_path / "first")
    assert len(tasks) == 200 and metrics["labelled"] == 0
    assert "there are no labels" in page
    (folder / "round1.json").write_text(json.dumps(answered(tasks, corpus.shows, people=people, noise=noise)))

    labels = read_labels(folder, corpus.ledger["uid"].tolist())
    facts = corpus.verdicts.merge(corpus.ledger[["uid", "caption"]], on="uid")
    before = recall_and_precision(ruled(facts, "unsafe", RULES), corpus)
    probed, limits = add_probes(
        facts, lambda: iter_embeddings(corpus.embeddings), labels, CALIBRATION, RULES, seed=0
    )
    after = recall_and_precision((probed["probe_unsafe"] >= limits["unsafe"]).to_numpy(), corpus)
    assert before[0] < 0.6
    assert after[0] >= (0.9 if noise else 0.95) and after[1] >= 0.9

    again, page, metrics = hand_out(corpus, folder, tmp_path / "second")
    assert not {task["data"]["uid"] for task in tasks} & {task["data"]["uid"] for task in again}
    assert {task["data"]["round"] for task in again} == {2}
    assert metrics["unsafe_rule_recall_low"] <= before[0] <= metrics["unsafe_rule_recall_high"]
    assert metrics["unsafe_now_recall_low"] <= after[0]
    if not noise:  # wrong answers look like pictures that were missed, so recall seems lower than it is
        assert after[0] <= metrics["unsafe_now_recall_high"]
    assert "takes the place of the prompts" in page
    assert (metrics.get("unsafe_alpha") is None) == (people == 1)


def test_without_labels_the_rules_judge_as_before(corpus: Corpus, tmp_path: Path) -> None:
    facts = corpus.verdicts.merge(corpus.ledger[["uid", "caption"]], on="uid")
    labels = read_labels(tmp_path / "nothing", [])
    probed, limits = add_probes(
        facts, lambda: iter_embeddings(corpus.embeddings), labels, CALIBRATION, RULES, seed=0
    )
    assert limits == {} and probed is facts


def test_labels_that_cannot_be_weighed_leave_the_rule_and_say_so_in_the_log(
    corpus: Corpus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A plain CSV of one's own: uid and concept alone."""
    rows = [f"{uid},{'yes' if shows else 'no'}" for uid, shows in list(corpus.shows.items())[:300]]
    (tmp_path / "mine.csv").write_text("\n".join(["uid,unsafe", *rows]))
    labels = read_labels(tmp_path, set(corpus.shows))
    facts = corpus.verdicts.merge(corpus.ledger[["uid", "caption"]], on="uid")
    probed, limits = add_probes(
        facts, lambda: iter_embeddings(corpus.embeddings), labels, CALIBRATION, RULES, seed=0
    )
    assert limits == {} and "probe_unsafe" not in probed
    assert "keeps the rule of 'unsafe'" in caplog.text and "inclusion_probability" in caplog.text


def test_when_all_is_labelled_nothing_is_asked_and_the_page_says_so(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "annotations"
    folder.mkdir()
    rows = corpus.ledger[["uid"]].assign(
        unsafe=["yes" if corpus.shows[u] else "no" for u in corpus.ledger["uid"]]
    )
    rows.to_csv(folder / "all.csv", index=False)
    tasks, page, _ = hand_out(corpus, folder, tmp_path / "tasks")
    assert tasks == []
    assert "nothing left to ask" in page


def test_nothing_scraped_is_an_error_that_says_where_to_look(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scrape_report"):
        study(corpus.ledger, corpus.verdicts.iloc[:0], corpus.embeddings, tmp_path, CALIBRATION, RULES, 0)


def test_a_label_of_another_list_stops_both_stages(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("uid,unsafe\nffffffffffffffff,yes\n")
    with pytest.raises(ValueError, match=r"old\.csv labels the uid 'ffffffffffffffff'"):
        study(corpus.ledger, corpus.verdicts, corpus.embeddings, tmp_path, CALIBRATION, RULES, 0)
