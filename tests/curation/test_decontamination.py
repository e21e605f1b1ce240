import numpy as np
import pandas as pd
import pytest

from unclip_pipeline.curation.decontamination import plain_words, prove_decontaminated
from unclip_pipeline.curation.duplicate_config import DuplicateConfig
from unclip_pipeline.curation.duplicates import find_duplicates
from unclip_pipeline.curation.families import find_families
from unclip_pipeline.curation.links import Candidates
from unclip_pipeline.curation.pairs import Pairs
from unclip_pipeline.curation.pictures import fingerprint, stack
from unclip_pipeline.seeds import seeded_numpy


def picture(number: int) -> np.ndarray:
    random = seeded_numpy(number, "picture")
    coarse = np.kron(random.integers(40, 216, (4, 4, 3)), np.ones((16, 16, 1)))
    return (coarse + 4 * random.standard_normal((64, 64, 3))).clip(0, 255).astype(np.uint8)


def rows_of(splits: list[str], captions: list[str]) -> pd.DataFrame:
    n = len(splits)
    return pd.DataFrame(
        {
            "uid": [f"{row:016x}" for row in range(n)],
            "split": splits,
            "similarity": np.linspace(0.9, 0.1, n),
            "width": pd.array([64] * n, dtype="Int64"),
            "height": pd.array([64] * n, dtype="Int64"),
            "caption": captions,
            "sha256": [f"sha {row}" for row in range(n)],
        }
    )


def prints_of(*pictures: np.ndarray):
    return stack([(f"{row:016x}", fingerprint(image)) for row, image in enumerate(pictures)])


def units_with(cosine: float) -> np.ndarray:
    return np.array([[1, 0], [cosine, np.sqrt(1 - cosine**2)]], np.float32)


def test_a_training_picture_too_near_a_held_out_one_goes_though_its_grain_is_its_own():
    rows, prints = rows_of(["train", "heldout"], ["a b", "c d"]), prints_of(picture(0), picture(1))
    near = find_duplicates(rows, units_with(0.9995), prints, DuplicateConfig())
    assert near.verdicts["fate"].tolist() == ["deduplicate.near_heldout", "kept"]
    assert near.metrics["dropped_near_heldout"] == near.metrics["dropped_for_heldout"] == 1
    far = find_duplicates(rows, units_with(0.99), prints, DuplicateConfig())
    assert (far.verdicts["fate"] == "kept").all()


def test_two_training_pictures_that_near_are_both_kept():
    rows, prints = rows_of(["train", "train"], ["a b", "c d"]), prints_of(picture(0), picture(1))
    found = find_duplicates(rows, units_with(0.9995), prints, DuplicateConfig())
    assert (found.verdicts["fate"] == "kept").all()


def test_the_proof_refuses_what_a_search_has_left():
    rows, copy = rows_of(["heldout", "train"], ["Same words!", "same WORDS"]), picture(0)
    prints = prints_of(copy, (copy * 0.99).astype(np.uint8))
    with pytest.raises(ValueError, match=f"left 1 pairs.*{rows['uid'][0]} and {rows['uid'][1]}"):
        prove_decontaminated(rows, units_with(0.97), prints, DuplicateConfig())
    alike = rows.assign(sha256="same")
    with pytest.raises(ValueError, match="left 1 pairs"):
        prove_decontaminated(alike, units_with(0.1), prints_of(copy, picture(1)), DuplicateConfig())


def test_the_proof_counts_what_it_compared_and_captions_on_both_sides():
    rows = rows_of(["heldout", "train", "train"], ["A red, round thing", "a red round thing", "other"])
    vectors = np.eye(3, dtype=np.float32)
    facts = prove_decontaminated(rows, vectors, prints_of(*(picture(n) for n in range(3))), DuplicateConfig())
    assert facts == {
        "decontamination_left": 0,
        "decontamination_pairs_compared": 2,
        "decontamination_near_pairs": 0,
        "train_captions_also_heldout": 1,
    }


def test_slack_does_not_touch_what_is_held_out():
    rng = seeded_numpy(0, "many")
    vectors = rng.standard_normal((60, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pictures = [picture(number) for number in range(30)]
    copies = [image.copy() for image in pictures]
    for copy in copies:
        copy[40:, 24:] = 255  # another hash, the same grain elsewhere
    vectors[30:] = vectors[:30] + 0.1 * rng.standard_normal((30, 3))  # over the borders of clusters
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = rows_of(["heldout"] * 30 + ["train"] * 30, ["words"] * 60)
    hasty = DuplicateConfig(brute_force_rows=0, clusters=20, slack=1e-6, max_hash_bits=0)
    found = find_duplicates(rows, vectors, prints_of(*pictures, *copies), hasty)
    assert (found.verdicts["fate"][30:] != "kept").all()
    assert found.metrics["decontamination_left"] == 0


def test_every_search_is_measured():
    rows, prints = rows_of(["train"] * 2, ["a", "b"]), prints_of(picture(0), picture(0))
    metrics = find_duplicates(rows, units_with(0.95), prints, DuplicateConfig()).metrics
    assert (metrics["probe_rows"], metrics["probe_recall"], metrics["probe_recall_n"]) == (2, 1.0, 1)


def candidates(cosine: list[float], same: list[bool]) -> Candidates:
    pairs = Pairs(np.array([0, 0, 1]), np.array([1, 2, 2]))
    none = np.zeros(3, bool)
    return Candidates(pairs, np.array(cosine), np.array(same), none, np.ones(3))


def test_a_family_is_near_identical_says_other_things_and_has_no_copies():
    rows = rows_of(["train"] * 3, ["the clock at one", "the clock at two", "the clock at three"])
    kept, config = np.ones(3, bool), DuplicateConfig(family_cosine=0.97)
    family = find_families(rows, kept, candidates([0.98, 0.99, 0.98], [False] * 3), config)
    assert family["uid"].tolist() == [rows["uid"][place] for place in (1, 2, 0)]
    assert set(family["family"]) == {rows["uid"][0]}
    assert family["differs"].tolist() == ["one > two", "one > three", ""]
    assert find_families(rows, kept, candidates([0.98, 0.99, 0.98], [True] * 3), config).empty
    assert find_families(rows, kept, candidates([0.9] * 3, [False] * 3), config).empty
    worded_afresh = rows.assign(caption=["the clock at one", "one o'clock shown", "a clock face, dark"])
    assert find_families(worded_afresh, kept, candidates([0.99] * 3, [False] * 3), config).empty
    half = rows.assign(caption=["red clock", "clock", "a blue dial"])
    assert len(find_families(half, kept, candidates([0.99] * 3, [False] * 3), config)) == 2


def test_words_are_compared_without_case_and_punctuation():
    assert plain_words("The Clock, at one!") == "the clock at one"
