import json
import tarfile
from io import BytesIO

import numpy as np
import pytest

from unclip_pipeline.corpus.files import SUCCESS, atomic_folder
from unclip_pipeline.corpus.images import encode_png
from unclip_pipeline.corpus.released import (
    Dataset,
    ReleasedPair,
    verify_dataset,
    write_dataset,
)
from unclip_pipeline.corpus.shards import Sample
from unclip_pipeline.seeds import seeded_numpy

WIDTH = 24


def pair(number: int, split: str = "train") -> ReleasedPair:
    random = seeded_numpy(0, "pair", number)
    image = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    uid = f"{(number * 7919) % 65536:016x}"
    sample = Sample(uid, encode_png(image), "png", f"caption {number}, «é»", {"number": number})
    vectors = random.standard_normal((2, WIDTH)).astype(np.float16)
    return ReleasedPair(sample, split, 1.0 + number % 3, vectors[0], vectors[1])


PAIRS = [pair(number, "heldout" if number % 5 == 0 else "train") for number in range(23)]


def write(folder, pairs=PAIRS):
    with atomic_folder(folder) as temporary:
        write_dataset(
            temporary, [("00000", pairs[:9]), ("00001", []), ("00002", pairs[9:])], embedder_id="tiny"
        )
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("released") / "dataset")


def test_what_was_written_is_read_back_in_any_order(folder):
    dataset = Dataset.open(folder)
    by_uid = {pair.sample.uid: pair for pair in PAIRS}
    rows = np.array([5, 0, 22, 5, 11])
    expected = [by_uid[uid] for uid in dataset.uids(rows)]
    assert dataset.captions(rows) == [pair.sample.caption for pair in expected]
    assert dataset.image_bytes(rows) == [pair.sample.image for pair in expected]
    assert np.array_equal(dataset.image_embeddings(rows), [pair.image_embedding for pair in expected])
    assert np.array_equal(dataset.text_embeddings(rows), [pair.text_embedding for pair in expected])
    assert dataset.weights(rows).tolist() == [pair.weight for pair in expected]
    assert dataset.images(rows, 8).shape == (5, 3, 8, 8)
    assert dataset.images(rows, 4).shape == (5, 3, 4, 4)


def test_images_are_those_of_the_rows(folder):
    dataset = Dataset.open(folder)
    row = dataset.uids(np.arange(len(dataset))).index(PAIRS[3].sample.uid)
    expected = seeded_numpy(0, "pair", 3).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(dataset.images(np.array([row]), 8)[0].transpose(1, 2, 0), expected)


def test_embeddings_lie_inside_the_samples(folder):
    with tarfile.open(folder / "shards/00000.tar") as tar:
        vector = np.load(BytesIO(tar.extractfile(f"{PAIRS[0].sample.uid}.image.npy").read()))
    assert np.array_equal(vector, PAIRS[0].image_embedding)


def test_splits_part_the_rows(folder):
    dataset = Dataset.open(folder)
    train, heldout = dataset.rows("train"), dataset.rows("heldout")
    assert sorted([*train, *heldout]) == list(range(23))
    assert len(heldout) == 5
    with pytest.raises(ValueError, match="'test'"):
        dataset.rows("test")


def test_a_second_writing_gives_the_same_bytes(folder, tmp_path):
    again = write(tmp_path / "again", PAIRS[:9][::-1] + PAIRS[9:])
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert [path.name for path in files if path.suffix == ".tar"] == ["00000.tar", "00002.tar"]
    for file in files:
        assert (folder / file).read_bytes() == (again / file).read_bytes(), file


def test_the_version_follows_the_content(folder, tmp_path):
    other = [PAIRS[0]._replace(weight=9.0), *PAIRS[1:]]
    assert Dataset.open(write(tmp_path / "other", other)).version != Dataset.open(folder).version


def test_verify_finds_one_flipped_byte(folder, tmp_path):
    copy = write(tmp_path / "copy")
    assert verify_dataset(copy) == json.loads((folder / "dataset.json").read_text())["version"]
    shard = copy / "shards/00002.tar"
    content = bytearray(shard.read_bytes())
    content[600] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ValueError, match="00002"):
        verify_dataset(copy)


def test_an_unfinished_or_torn_version_is_refused(tmp_path):
    copy = write(tmp_path / "copy")
    (copy / "shards/00002.tar").rename(tmp_path / "elsewhere.tar")
    with pytest.raises(FileNotFoundError, match="00002"):
        Dataset.open(copy)
    (copy / SUCCESS).unlink()
    with pytest.raises(FileNotFoundError, match="release_dataset"):
        Dataset.open(copy)


def test_an_empty_version_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one pair"):
        write_dataset(tmp_path, [("00000", [])], embedder_id="tiny")
