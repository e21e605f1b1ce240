"""Vectors on disk: exact, of one embedder, and never half-written."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from unclip_pipeline.corpus.embeddings import Embeddings, is_embedding_of, read_embeddings, write_embeddings


def some(n: int, embedder_id: str = "a", first: int = 0) -> Embeddings:
    random = np.random.default_rng(first)
    vectors = (random.standard_normal((2, n, 6)) * 3).astype(np.float16)
    return Embeddings(
        np.array([f"{first + row:016x}" for row in range(n)]), vectors[0], vectors[1], embedder_id
    )


def test_vectors_come_back_bit_for_bit_in_the_order_of_the_shards(tmp_path):
    first, second = some(5), some(3, first=5)
    write_embeddings(tmp_path / "00001.parquet", second)
    write_embeddings(tmp_path / "00000.parquet", first)
    found = read_embeddings(tmp_path)
    assert found.uid.tolist() == [*first.uid, *second.uid] and found.embedder_id == "a"
    for kind in ("image", "text"):
        both = np.concatenate([getattr(first, kind), getattr(second, kind)])
        assert np.array_equal(getattr(found, kind), both) and getattr(found, kind).dtype == np.float16


def test_a_shard_without_pairs_is_no_obstacle(tmp_path):
    write_embeddings(tmp_path / "00000.parquet", some(0))
    write_embeddings(tmp_path / "00001.parquet", some(2))
    assert len(read_embeddings(tmp_path).uid) == 2


def test_vectors_are_stored_as_lists_of_fixed_size_half_floats(tmp_path):
    write_embeddings(tmp_path / "00000.parquet", some(4))
    schema = pq.read_schema(tmp_path / "00000.parquet")
    assert (
        str(schema.field("image").type)
        == str(schema.field("text").type)
        == "fixed_size_list<element: halffloat>[6]"
    )


def test_vectors_of_two_embedders_are_never_mixed(tmp_path):
    write_embeddings(tmp_path / "00000.parquet", some(4, "a"))
    write_embeddings(tmp_path / "00001.parquet", some(4, "b"))
    with pytest.raises(ValueError, match=r"\['a', 'b'\]"):
        read_embeddings(tmp_path)


def test_a_file_is_known_by_its_embedder_and_by_the_shard_it_was_made_from(tmp_path):
    path = tmp_path / "00000.parquet"
    write_embeddings(path, some(4, "a"), source="bytes")
    assert is_embedding_of(path, embedder_id="a", source="bytes")
    assert not is_embedding_of(path, embedder_id="b", source="bytes")
    assert not is_embedding_of(path, embedder_id="a", source="other bytes")


def test_a_vector_beyond_half_precision_is_named_and_nothing_is_written(tmp_path):
    broken = some(4)
    broken.text[2, 1] = np.inf
    with pytest.raises(ValueError, match=broken.uid[2]):
        write_embeddings(tmp_path / "00000.parquet", broken)
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_says_which_pipeline_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="embed"):
        read_embeddings(tmp_path)
