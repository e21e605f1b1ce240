"""Vectors on disk: exact, of one embedder, and never half-written."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unclip_pipeline.corpus.embeddings import (
    Embeddings,
    is_embedding_of,
    is_same_space,
    iter_embeddings,
    read_embeddings,
    write_embeddings,
)


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


def test_a_row_without_an_image_keeps_its_place_and_its_reason(tmp_path):
    found = some(4)
    lost = found.uid[2]
    rest = Embeddings(*(column[[0, 1, 3]] for column in found[:3]), "a", {lost: "undecodable: truncated"})
    write_embeddings(tmp_path / "00000.parquet", rest)
    table = pq.read_table(tmp_path / "00000.parquet")
    assert table["uid"].to_pylist() == found.uid.tolist()
    assert table["status"].to_pylist() == ["embedded"] * 2 + ["undecodable: truncated", "embedded"]
    assert table["image"].to_pylist()[2] == table["text"].to_pylist()[2] == [0] * 6
    again = read_embeddings(tmp_path)
    assert again.uid.tolist() == rest.uid.tolist() and again.undecodable == {lost: "undecodable: truncated"}
    assert np.array_equal(again.image, rest.image) and np.array_equal(again.text, rest.text)


def test_shards_can_be_read_one_at_a_time(tmp_path):
    for shard, part in enumerate((some(5), some(0), some(3, first=5))):
        write_embeddings(tmp_path / f"{shard:05d}.parquet", part)
    assert [len(part.uid) for part in iter_embeddings(tmp_path)] == [5, 0, 3]


def test_a_shard_without_its_file_and_a_file_without_its_shard_are_named(tmp_path):
    for shard in ("00000", "00002"):
        write_embeddings(tmp_path / f"{shard}.parquet", some(2))
    assert len(read_embeddings(tmp_path, ["00000", "00002"]).uid) == 4
    with pytest.raises(FileNotFoundError, match="00001.parquet; run the pipeline `embed`"):
        read_embeddings(tmp_path, ["00000", "00001", "00002"])
    with pytest.raises(ValueError, match="00002.parquet .* no shard"):
        read_embeddings(tmp_path, ["00000"])


def spoilt(path, **columns):
    table = pq.read_table(path)
    for name, column in columns.items():
        table = table.set_column(table.column_names.index(name), name, column)
    pq.write_table(table, path)


def test_a_vector_that_is_not_finite_is_named_with_its_file(tmp_path):
    path = tmp_path / "00000.parquet"
    write_embeddings(path, some(2))
    values = pa.array(np.array([0, 0, 0, 0, 0, 0, 0, np.nan, 0, 0, 0, 0], np.float16))
    spoilt(path, text=pa.FixedSizeListArray.from_arrays(values, 6))
    with pytest.raises(ValueError, match=f"00000.parquet has 1 text vectors .* {some(2).uid[1]}"):
        read_embeddings(tmp_path)


def test_a_file_of_something_else_and_half_a_file_are_named(tmp_path):
    path = tmp_path / "00000.parquet"
    pq.write_table(pa.table({"uid": ["a"]}), path)
    with pytest.raises(ValueError, match="00000.parquet is no whole file"):
        read_embeddings(tmp_path)
    write_embeddings(path, some(4))
    path.write_bytes(path.read_bytes()[:-40])
    assert not is_embedding_of(path, embedder_id="a", source="")
    with pytest.raises(ValueError, match="00000.parquet is no whole file"):
        read_embeddings(tmp_path)


def test_vectors_of_two_widths_are_never_mixed(tmp_path):
    narrow = some(3)
    write_embeddings(tmp_path / "00000.parquet", narrow)
    half = Embeddings(narrow.uid, narrow.image[:, :3], narrow.text[:, :3], "a")
    write_embeddings(tmp_path / "00001.parquet", half)
    with pytest.raises(ValueError, match="00000.parquet has 6 and .*00001.parquet has 3"):
        read_embeddings(tmp_path)


def test_a_file_of_an_older_kind_is_read_and_not_reused(tmp_path):
    path = tmp_path / "00000.parquet"
    write_embeddings(path, some(4), source="bytes")
    table = pq.read_table(path).drop_columns(["status"])
    pq.write_table(table.replace_schema_metadata({b"embedder_id": b"a", b"source": b"bytes"}), path)
    assert np.array_equal(read_embeddings(tmp_path).image, some(4).image)
    assert not is_embedding_of(path, embedder_id="a", source="bytes")


def test_number_type_and_mode_leave_vectors_comparable_and_nothing_else_does():
    assert is_same_space("vit/0a/224px-bicubic/float32", "vit/0a/224px-bicubic/bfloat16-fast")
    assert not is_same_space("vit/0a/224px-bicubic/float32", "vit/0b/224px-bicubic/float32")
