"""A dataset version that lies elsewhere reads as the one on this disk, through a cache that stays bounded."""

import hashlib
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest

from elsewhere import BUCKET, digest_of_all, s3_server, stall, upload
from unclip_pipeline.corpus import shard_bytes
from unclip_pipeline.corpus.files import SUCCESS, atomic_folder
from unclip_pipeline.corpus.images import ImageDecodeError, encode_png
from unclip_pipeline.corpus.places import RemoteFolder
from unclip_pipeline.corpus.released import Dataset, ReleasedPair, dataset_facts, write_dataset
from unclip_pipeline.corpus.shard_cache import DamagedShardError, RemoteShard, ShardCache
from unclip_pipeline.corpus.shards import Sample
from unclip_pipeline.seeds import seeded_numpy

SHARDS, PER_SHARD, WIDTH = 6, 5, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("remote") / "dataset"
    shards = [
        (f"{shard:05d}", [pair(shard * PER_SHARD + n) for n in range(PER_SHARD)]) for shard in range(SHARDS)
    ]
    with atomic_folder(folder) as temporary:
        write_dataset(temporary, shards, embedder_id="tiny")
    return folder


def pair(number: int) -> ReleasedPair:
    random = seeded_numpy(0, "remote", number)
    image = encode_png(random.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    sample = Sample(f"{(number * 7919) % 65536:016x}", image, "png", f"caption {number}", {})
    return ReleasedPair(sample, "train", 1.0, *random.standard_normal((2, WIDTH)).astype(np.float16))


@pytest.fixture(scope="module")
def s3(folder):
    with s3_server() as options:
        upload(folder, f"s3://{BUCKET}/dataset", options)
        yield options


@pytest.fixture
def memory(folder, request):
    """The same in fsspec's memory, under a name of the test's own."""
    url = f"memory://{request.node.name}"
    upload(folder, url, {})
    return url


def remote(url: str, cache: Path, *, shards_kept: float, folder: Path, **options) -> RemoteFolder:
    """A place whose cache holds so many of the largest shard."""
    return RemoteFolder(
        url=url, cache=cache, cache_gb=shards_kept * largest(folder) / 10**9 * 1.0001, options=options
    )


def largest(folder: Path) -> int:
    return max(path.stat().st_size for path in folder.glob("shards/*.tar"))


def kept(cache: Path) -> int:
    return sum(path.stat().st_size for path in cache.glob("*.*"))


def assert_same(one: Dataset, other: Dataset, rows: np.ndarray) -> None:
    assert one.image_bytes(rows) == other.image_bytes(rows)
    assert np.array_equal(one.images(rows, 8), other.images(rows, 8))
    assert np.array_equal(one.image_embeddings(rows), other.image_embeddings(rows))
    assert np.array_equal(one.text_embeddings(rows), other.text_embeddings(rows))


@pytest.mark.parametrize("shards_kept", [0, 2, SHARDS])
def test_a_bucket_reads_as_the_folder_it_was_copied_from(folder, s3, tmp_path, shards_kept):
    near = Dataset.open(folder)
    place = remote(f"s3://{BUCKET}/dataset", tmp_path, shards_kept=shards_kept, folder=folder, **s3)
    far = Dataset.open(place).in_whole_shards(1)
    assert far.version == near.version and far.index.equals(near.index)
    assert dataset_facts(place) == dataset_facts(folder)
    rows = seeded_numpy(0, "rows").integers(0, len(near), 40)
    assert_same(near, far, rows)
    assert len(list(tmp_path.glob("*.tar"))) == shards_kept
    assert kept(tmp_path) <= shards_kept * largest(folder) * 1.01


def test_a_sample_by_range_takes_one_request(folder, memory, tmp_path, monkeypatch):
    near = Dataset.open(folder)
    far = Dataset.open(remote(memory, tmp_path, shards_kept=0, folder=folder))
    files, asked = far.shards.files, []
    ranges = files.cat_ranges
    monkeypatch.setattr(
        files, "cat_ranges", lambda paths, *args, **kw: asked.extend(paths) or ranges(paths, *args, **kw)
    )
    rows = np.array([7, 0, 21, 7, 22])
    assert_same(near, far.near(rows), rows)
    assert len(asked) == len(rows)
    assert near.near(rows) is near and not list(tmp_path.glob("*"))


def test_a_cached_shard_is_not_asked_for_again(folder, memory, tmp_path):
    far = Dataset.open(remote(memory, tmp_path, shards_kept=SHARDS, folder=folder))
    rows = np.arange(len(far))
    pictures = far.images(rows, 8)
    fsspec.filesystem("memory").rm(memory, recursive=True)
    assert np.array_equal(far.images(rows, 8), pictures)


def test_a_version_larger_than_its_cache_is_read_by_range_but_for_what_is_cached(
    folder, memory, tmp_path, monkeypatch
):
    monkeypatch.setattr(shard_bytes, "REQUEST_BYTES", 1)
    near, place = Dataset.open(folder), remote(memory, tmp_path, shards_kept=2, folder=folder)
    far, rows = Dataset.open(place), np.arange(SHARDS * PER_SHARD)
    assert_same(near, far, rows)
    assert_same(near, far.near(rows), rows)
    assert not list(tmp_path.glob("*.tar"))
    first = np.flatnonzero(far.shard_of == 0)
    assert_same(near, far.in_whole_shards(2), first)
    assert len(list(tmp_path.glob("*.tar"))) == 1
    fsspec.filesystem("memory").rm(f"{memory}/shards/00000.tar")
    assert_same(near, far, first)
    assert far.in_whole_shards(3) is far


def test_shards_of_which_much_is_wanted_are_fetched_once_each(folder, memory, tmp_path, monkeypatch):
    far = Dataset.open(remote(memory, tmp_path, shards_kept=2, folder=folder))
    fetched, blocks = [], type(far.shards)._blocks
    monkeypatch.setattr(
        type(far.shards), "_blocks", lambda self, shard: fetched.append(shard) or blocks(self, shard)
    )
    rows = np.arange(len(far))
    assert far.image_bytes(rows) == Dataset.open(folder).image_bytes(rows)
    assert len(fetched) == SHARDS and kept(tmp_path) <= 2 * largest(folder) * 1.01


def test_shards_read_last_stay(folder, memory, tmp_path):
    far = Dataset.open(remote(memory, tmp_path, shards_kept=3, folder=folder)).in_whole_shards(3)
    digests = list(dataset_facts(folder)["shards"].values())
    rows_of = [np.flatnonzero(far.shard_of == shard)[:1] for shard in range(SHARDS)]
    for shard in (0, 1, 2, 0, 3):
        far.image_bytes(rows_of[shard])
    assert {path.stem for path in tmp_path.glob("*.tar")} == {digests[shard] for shard in (2, 0, 3)}


def test_a_damaged_shard_is_named_and_never_kept(folder, memory, tmp_path):
    files, name = fsspec.filesystem("memory"), f"{memory}/shards/00003.tar"
    content = bytearray(files.cat_file(name))
    content[700] ^= 1
    files.pipe_file(name, bytes(content))
    far = Dataset.open(remote(memory, tmp_path, shards_kept=SHARDS, folder=folder))
    with pytest.raises(DamagedShardError, match="00003.tar has SHA-256 .* copy the whole dataset version"):
        far.image_bytes(np.arange(len(far)))
    assert not [path for path in tmp_path.glob("*.*") if path.suffix != ".tar"]
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.stem for path in tmp_path.glob("*.tar"))


def test_what_is_missing_there_is_named(folder, memory, tmp_path):
    files, place = fsspec.filesystem("memory"), remote(memory, tmp_path, shards_kept=2, folder=folder)
    files.rm(f"{memory}/shards/00002.tar")
    with pytest.raises(FileNotFoundError, match="lacks shard 00002.tar"):
        Dataset.open(place)
    files.rm(f"{memory}/{SUCCESS}")
    with pytest.raises(FileNotFoundError, match="no complete dataset version"):
        Dataset.open(place)


def test_a_shard_larger_than_the_cache_is_refused(tmp_path):
    shard = RemoteShard("far/0.tar", "00", 11)
    with pytest.raises(ValueError, match="raise cache_gb"), ShardCache(tmp_path, 10).opened(shard, list):
        pass


def test_secrets_of_a_place_are_not_shown(tmp_path):
    place = RemoteFolder(url="s3://b/d", cache=tmp_path, options={"secret": "hush"})
    assert "hush" not in repr(place) and "hush" not in str(place)
    with pytest.raises(ValueError, match="s3://bucket/folder"):
        RemoteFolder(url="/data", cache=tmp_path)


def test_a_broken_picture_is_named_by_its_uid(folder):
    near = Dataset.open(folder)
    torn = near.index.assign(image_size=near.index["image_size"].where(near.index.index != 7, 40))
    with pytest.raises(ImageDecodeError, match=near.uids(np.array([7]))[0]):
        replace(near, index=torn).images(np.arange(len(near)), 8)


def test_threads_fetch_a_shard_once(tmp_path):
    content, fetched = os.urandom(100_000), []
    shard = RemoteShard("far/0.tar", hashlib.sha256(content).hexdigest(), len(content))

    def blocks():
        fetched.append(threading.get_ident())
        time.sleep(0.05)
        yield content

    def read(_: int) -> bytes:
        with ShardCache(tmp_path, 10**6).opened(shard, blocks) as descriptor:
            return os.pread(descriptor, 5, 10)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(16))) == {content[10:15]}
    assert len(fetched) == 1


def test_processes_share_a_cache_that_holds_less_than_they_read(folder, tmp_path):
    """Two processes read everything at random while a third was killed in the middle of a fetch."""
    url, context = folder.as_uri(), multiprocessing.get_context("spawn")
    place = remote(url, tmp_path / "cache", shards_kept=2, folder=folder)
    victim = context.Process(target=stall, args=(place,))
    victim.start()
    while victim.is_alive() and not list((tmp_path / "cache").glob("*.part")):
        time.sleep(0.01)
    assert victim.is_alive()
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    with context.Pool(2) as pool:
        digests = pool.map(digest_of_all, [place, place])
    near = Dataset.open(folder)
    expected = hashlib.sha256(b"".join(near.image_bytes(np.arange(len(near))))).hexdigest()
    assert digests == [expected, expected]
    assert kept(tmp_path / "cache") <= 2 * largest(folder) * 1.01
