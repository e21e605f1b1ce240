from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from unclip_pipeline.curation.annotation.agreement import agreement, krippendorff_alpha
from unclip_pipeline.curation.annotation.labels import consensus, design_weights, read_labels, ties

HEAD = "uid,annotator,round,inclusion_probability,updated_at,unsafe\n"


def labels(folder: Path, *lines: str, known: str = "aa bb cc dd") -> object:
    (folder / "labels.csv").write_text(HEAD + "\n".join(lines) + "\n")
    return read_labels(folder, known.split())


def test_an_empty_folder_and_none_hold_no_labels(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("put labels here")
    for folder in (tmp_path, tmp_path / "nowhere"):
        found = read_labels(folder, ["aa"])
        assert found.answers.empty and found.uids == frozenset() and found.rounds == 0


def test_a_file_that_is_not_read_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("mine.xlsx", "README.md", ".hidden"):
        (tmp_path / name).write_text("")
    read_labels(tmp_path, [])
    assert "['mine.xlsx']" in caplog.text


def test_most_votes_count_and_ties_do_not(tmp_path: Path) -> None:
    found = labels(
        tmp_path, "aa,ann,1,.5,,yes", "aa,bob,1,.5,,yes", "aa,cai,1,.5,,no",
        "bb,ann,1,.5,,yes", "bb,bob,1,.5,,no", "cc,ann,1,.5,,no",
    )  # fmt: skip
    decided = consensus(found, "unsafe")
    assert decided[["uid", "label", "votes"]].values.tolist() == [["aa", True, 3], ["cc", False, 1]]
    assert ties(found, "unsafe") == ["bb"]


def test_a_persons_later_answer_replaces_the_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "again.csv").write_text(HEAD + "aa,ann,1,.5,2026-02-01,no\n")
    found = labels(tmp_path, "aa,ann,1,.5,2026-01-01,yes")
    assert consensus(found, "unsafe")["label"].tolist() == [False]
    assert found.set_aside == {"answered_again": 1}


def test_a_uid_that_is_not_known_names_the_file_the_uid_and_the_next_move(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"labels\.csv labels the uid 'zz'.*take the file away"):
        labels(tmp_path, "zz,ann,1,.5,,yes")


def test_weights_of_several_rounds_give_unbiased_totals() -> None:
    random = np.random.default_rng(0)
    values = random.random(40)
    chances = np.linspace(0.1, 0.6, 40)
    totals = []
    for _ in range(4000):
        first = random.random(40) < chances
        second = ~first & (random.random(40) < 0.3)
        rows = first | second
        weights = design_weights(np.where(first, chances, 0.3)[rows], np.where(first, 1, 2)[rows])
        totals.append((values[rows] * weights).sum())
    error = np.std(totals) / np.sqrt(len(totals))
    assert abs(np.mean(totals) - values.sum()) < 4 * error


def test_one_round_weighs_by_one_over_the_chance() -> None:
    assert design_weights(np.array([0.5, 0.1]), np.array([1, 1])).tolist() == [2.0, 10.0]


def test_alpha_is_that_of_krippendorffs_worked_example() -> None:
    """Computing Krippendorff's alpha-reliability (2011), section A: two observers, ten binary units."""
    first = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    second = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert krippendorff_alpha(pd.DataFrame({"a": first, "b": second})) == pytest.approx(0.095, abs=5e-4)


def test_agreement_is_measured_on_the_pictures_that_people_share(tmp_path: Path) -> None:
    found = labels(
        tmp_path, "aa,ann,1,.5,,yes", "aa,bob,1,.5,,yes", "bb,ann,1,.5,,no", "bb,bob,1,.5,,yes",
        "cc,ann,1,.5,,no", "cc,bob,1,.5,,no", "dd,ann,1,.5,,yes",
    )  # fmt: skip
    measured = agreement(found, "unsafe")
    assert (measured.annotators, measured.shared) == (2, 3)
    assert measured.kappa == pytest.approx(cohen_kappa_score([1, 0, 0], [1, 1, 0]))
    assert measured.alpha == pytest.approx(1 - (2 / 6) / (2 * 3 * 3 / 30))


def test_one_person_agrees_with_nobody(tmp_path: Path) -> None:
    measured = agreement(labels(tmp_path, "aa,ann,1,.5,,yes"), "unsafe")
    assert (measured.alpha, measured.kappa, measured.shared) == (None, None, 0)
