import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unclip_pipeline.curation.cover import greedy_cover, rank
from unclip_pipeline.curation.duplicate_config import DuplicateConfig
from unclip_pipeline.curation.duplicates import find_duplicates
from unclip_pipeline.curation.pairs import Pairs
from unclip_pipeline.curation.pictures import fingerprint, stack
from unclip_pipeline.seeds import seeded_numpy

WIDTH = 32


@st.composite
def graphs(draw):
    n = draw(st.integers(1, 25))
    possible = [(i, j) for j in range(n) for i in range(j)]
    edges = draw(st.lists(st.sampled_from(possible), unique=True)) if possible else []
    first, second = np.array(edges, np.int64).reshape(-1, 2).T
    strength = np.array(draw(st.lists(st.floats(0.9, 1), min_size=len(edges), max_size=len(edges))), float)
    return n, Pairs(first, second), strength


@given(graphs())
def test_greedy_cover_leaves_no_orphan_and_no_kept_neighbours(graph):
    n, pairs, strength = graph
    standing = greedy_cover(n, pairs, strength)
    edges = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    kept = {row for row in range(n) if standing[row] == row}
    for row in range(n):
        if row not in kept:
            assert standing[row] in kept
            assert (standing[row], row) in edges
    assert not any(i in kept and j in kept for i, j in edges)


@given(graphs())
def test_greedy_cover_equals_the_sequential_rule(graph):
    n, pairs, strength = graph
    kept: list[int] = []
    edges = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    for row in range(n):
        if not any((other, row) in edges for other in kept):
            kept.append(row)
    standing = greedy_cover(n, pairs, strength)
    assert [row for row in range(n) if standing[row] == row] == kept


def test_a_dropped_row_names_its_closest_kept_neighbour():
    pairs = Pairs(np.array([0, 1, 2]), np.array([3, 3, 3]))
    assert greedy_cover(4, pairs, np.array([0.95, 0.99, 0.97])).tolist() == [0, 1, 2, 1]


def test_a_chain_keeps_its_ends():
    chain = Pairs(np.array([0, 1]), np.array([1, 2]))  # 0-1, 1-2, but not 0-2: connected components drop 2
    assert greedy_cover(3, chain, np.array([0.97, 0.97])).tolist() == [0, 0, 2]


def table(**columns) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    defaults = {
        "uid": [f"{row:016x}" for row in range(n)],
        "split": ["train"] * n,
        "similarity": np.linspace(0.9, 0.1, n),
        "width": pd.array([64] * n, dtype="Int64"),
        "height": pd.array([64] * n, dtype="Int64"),
        "caption": ["a caption"] * n,
        "sha256": [f"sha {row}" for row in range(n)],
    }
    return pd.DataFrame(defaults | columns)


def test_rank_puts_held_out_rows_first_then_the_most_similar():
    rows = table(split=["train", "heldout", "train"], similarity=[0.9, 0.1, 0.95])
    assert rank(rows).tolist() == [1, 2, 0]


def test_rank_breaks_ties_by_size_caption_and_uid():
    rows = table(
        similarity=[0.5] * 4, width=pd.array([8, 8, 9, 8], dtype="Int64"), caption=["long", "ab", "a", "ab"]
    )
    assert rank(rows).tolist() == [2, 0, 1, 3]


def picture(number: int) -> np.ndarray:
    random = seeded_numpy(number, "picture")
    coarse = np.kron(random.integers(40, 216, (4, 4, 3)), np.ones((16, 16, 1)))
    return (coarse + 4 * random.standard_normal((64, 64, 3))).clip(0, 255).astype(np.uint8)


def planted(pictures: list[np.ndarray], contents: list[int]):
    """Fingerprints of pictures, and embeddings that are close to each other where contents are equal."""
    random = seeded_numpy(0, "embeddings")
    centres = random.standard_normal((max(contents) + 1, WIDTH))
    vectors = centres[contents] + 0.05 * random.standard_normal((len(contents), WIDTH))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return vectors, stack([(f"{row:016x}", fingerprint(image)) for row, image in enumerate(pictures)])


def test_every_kind_of_copy_is_dropped_for_what_is_kept_and_says_why():
    original = picture(0)
    stamped = original.copy()
    stamped[50:60, 30:60] = 255
    fainter = (original * 0.99).astype(np.uint8)
    vectors, prints = planted([original, original, stamped, fainter, picture(1)], [0, 0, 0, 0, 1])
    rows = table(sha256=["a", "a", "b", "c", "d"])
    verdicts = find_duplicates(rows, vectors, prints, DuplicateConfig()).verdicts.set_index("uid")
    uid = rows["uid"].tolist()
    assert verdicts["fate"].tolist() == [
        "kept", "deduplicate.exact", "deduplicate.semantic", "deduplicate.perceptual", "kept",
    ]  # fmt: skip
    assert verdicts["duplicate_of"].tolist() == [None, uid[0], uid[0], uid[0], None]
    assert verdicts["group"].tolist() == [uid[0]] * 4 + [uid[4]]
    assert verdicts["cosine"].isna().tolist() == [True, False, False, False, True]
    assert (verdicts["cosine"].dropna() > 0.9).all()


def test_equal_content_drawn_afresh_survives_unless_the_cosine_alone_decides():
    again = (picture(0) * 0.0 + 128 + 4 * seeded_numpy(9, "n").standard_normal((64, 64, 3))).astype(np.uint8)
    vectors, prints = planted([picture(0), again, picture(1)], [0, 0, 1])
    rows = table(sha256=["a", "b", "c"])
    looked_at = find_duplicates(rows, vectors, prints, DuplicateConfig()).verdicts
    assert (looked_at["fate"] == "kept").all()
    trusted = find_duplicates(rows, vectors, prints, DuplicateConfig(min_grain=0.0)).verdicts
    assert trusted["fate"].tolist() == ["kept", "deduplicate.semantic", "kept"]


def test_the_same_template_with_other_content_survives():
    other = picture(0)
    other[16:32, 16:32] = 255 - other[16:32, 16:32]
    vectors, prints = planted([picture(0), other], [0, 1])  # all but a corner alike, embeddings apart
    verdicts = find_duplicates(table(sha256=["a", "b"]), vectors, prints, DuplicateConfig()).verdicts
    assert (verdicts["fate"] == "kept").all()


def test_a_training_copy_gives_way_to_the_held_out_picture():
    vectors, prints = planted([picture(0), picture(0)], [0, 0])
    rows = table(sha256=["a", "b"], split=["train", "heldout"], similarity=[0.9, 0.1])
    verdicts = find_duplicates(rows, vectors, prints, DuplicateConfig()).verdicts
    assert verdicts["duplicate_of"].tolist() == [rows["uid"][1], None]


def test_copies_of_a_dropped_picture_name_a_kept_one():
    smaller = (picture(0) * 0.99).astype(np.uint8)
    vectors, prints = planted([picture(0), smaller, smaller], [0, 0, 0])
    verdicts = find_duplicates(table(sha256=["a", "b", "b"]), vectors, prints, DuplicateConfig()).verdicts
    kept = set(verdicts.loc[verdicts["fate"] == "kept", "uid"])
    assert len(kept) == 1
    assert set(verdicts["duplicate_of"].dropna()) == kept


def test_the_order_of_rows_changes_nothing():
    pictures = [picture(0), picture(0), picture(1), (picture(1) * 0.99).astype(np.uint8), picture(2)]
    rows = table(sha256=["a", "a", "b", "c", "d"])
    vectors, prints = planted(pictures, [0, 0, 1, 1, 2])
    turned = [3, 1, 4, 0, 2]
    shuffled = find_duplicates(
        rows.iloc[turned].reset_index(drop=True),
        vectors[turned],
        type(prints)(*(column[turned] for column in prints)),
        DuplicateConfig(),
    ).verdicts
    pd.testing.assert_frame_equal(
        shuffled, find_duplicates(rows, vectors, prints, DuplicateConfig()).verdicts
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_cosine": 1.5},
        {"max_hash_bits": 40},
        {"min_grain": 1.0},
        {"slack": 0.0},
        {"slack": 1.5},
        {"max_memory_mb": 1},
        {"probe_rows": -1},
        {"decontaminate_cosine": 0.0},
    ],
)
def test_impossible_limits_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=f"deduplicate.{next(iter(wrong))}"):
        DuplicateConfig(**wrong)


def test_the_picture_that_others_were_made_from_stands_for_them_all():
    original = picture(0)
    left, right = original.copy(), original.copy()
    left[:, :20], right[:, 44:] = 255, 0  # each shares plain grain with the original, hardly with the other
    vectors, prints = planted([left, right, original], [0, 0, 0])
    rows = table(sha256=["a", "b", "c"], similarity=[0.9, 0.8, 0.1])
    verdicts = find_duplicates(rows, vectors, prints, DuplicateConfig()).verdicts
    assert verdicts["duplicate_of"].tolist() == [rows["uid"][2], rows["uid"][2], None]


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_cosine": 1.5}, {"max_hash_bits": 17}, {"min_grain": 1.0}, {"slack": 0.0}, {"max_memory_mb": 1},
        {"decontaminate_cosine": 0.5},
    ],
)  # fmt: skip
def test_a_choice_that_cannot_be_meant_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=f"deduplicate.{next(iter(wrong))} .*(try|leave it out)"):
        DuplicateConfig(**wrong)
