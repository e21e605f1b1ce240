import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unclip_pipeline.curation import hash_bands
from unclip_pipeline.curation.hash_bands import bands, hash_pairs
from unclip_pipeline.seeds import seeded_numpy


def naive(hashes: list[int], bits: int) -> set[tuple[int, int]]:
    return {
        (i, j) for i in range(len(hashes)) for j in range(i + 1, len(hashes))
        if (hashes[i] ^ hashes[j]).bit_count() <= bits
    }  # fmt: skip


def found(hashes: list[int], bits: int) -> list[tuple[int, int]]:
    pairs = hash_pairs(np.array(hashes, np.uint64), bits)
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


@st.composite
def near_hashes(draw):
    """Hashes that differ from one another in few bits, so that there is something to find."""
    base = draw(st.integers(0, 2**64 - 1))
    flips = draw(st.lists(st.lists(st.integers(0, 63), max_size=12), max_size=30))
    return [base ^ sum(1 << bit for bit in set(bits)) for bits in flips]


@given(near_hashes() | st.lists(st.integers(0, 2**64 - 1), max_size=30), st.integers(0, 16))
def test_bands_find_what_a_double_loop_finds(hashes, bits):
    pairs = found(hashes, bits)
    assert set(pairs) == naive(hashes, bits)
    assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize("max_bits", [0, 1, 4, 16, 63])
def test_bands_cover_every_bit_once(max_bits):
    cut = bands(max_bits)
    assert len(cut) == max_bits + 1
    assert [bit for low, width in cut for bit in range(low, low + width)] == list(range(64))
    assert max(width for _, width in cut) - min(width for _, width in cut) <= 1


def test_large_bands_are_compared_in_blocks(monkeypatch):
    monkeypatch.setattr(hash_bands, "BLOCK", 7)
    hashes = [int(number) for number in seeded_numpy(0, "hashes").integers(0, 2**8, 60)]
    assert set(found(hashes, 2)) == naive(hashes, 2)


def test_a_hash_that_all_share_is_stopped_with_advice():
    with pytest.raises(ValueError, match="lower deduplicate.max_hash_bits"):
        hash_pairs(np.zeros(20_000, np.uint64), 4, max_memory_mb=64)
