"""What is read ahead is what would be read now: the same rows, in the same order, the same bytes."""

import logging
import random
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from elsewhere import upload
from tiny_stack import tiny_dataset, tiny_weights
from unclip_pipeline.corpus.images import ImageDecodeError
from unclip_pipeline.corpus.places import RemoteFolder
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.training import pairs as pairs_module
from unclip_pipeline.training.ahead import ReadAhead, Timed
from unclip_pipeline.training.loop import own_parts
from unclip_pipeline.training.optim import PairsTraining
from unclip_pipeline.training.pairs import Pairs, following

CONFIG = PairsTraining(images=96, batch_size=16, warmup_images=16, reading_threads=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_dataset(tmp_path_factory.mktemp("pairs") / "dataset", tiny_weights()["clip"])


def all_pairs(dataset: Dataset, side_px: int = 16) -> Pairs:
    return Pairs(dataset, dataset.rows("train"), side_px)


@pytest.mark.parametrize("kept_bytes", [0, 1 << 30])
def test_reads_ahead_are_those_of_the_plain_path(folder, monkeypatch, kept_bytes):
    monkeypatch.setattr(pairs_module, "PIXELS_KEPT_BYTES", kept_bytes)
    dataset = Dataset.open(folder)
    read_at, plain = all_pairs(dataset).ahead(CONFIG, seed=3), all_pairs(dataset)
    rows_at = plain.batches(16, seed=3)
    for position in (*range(0, 96, 16), 48, 64, 0):  # on to the end, then as a resumed run does
        found, rows = read_at(position), rows_at(position)
        assert np.array_equal(found.rows, rows)
        assert np.array_equal(found.pictures, dataset.images(rows, 16))
        assert torch.equal(found.image_embeddings, plain.image_embeddings(rows))
        assert torch.equal(found.text_embeddings, plain.text_embeddings(rows))


def test_only_what_is_asked_for_is_read(folder):
    dataset = Dataset.open(folder)
    found = all_pairs(dataset).ahead(CONFIG, seed=0, embeddings=False)(0)
    assert found.image_embeddings is found.text_embeddings is None
    assert all_pairs(dataset, side_px=0).read(dataset.rows("train")[:2]).pictures is None


def test_a_picture_that_fits_in_memory_is_decoded_once(folder, monkeypatch):
    dataset, decoded = Dataset.open(folder), []
    images = Dataset.images
    monkeypatch.setattr(
        Dataset, "images", lambda self, rows, side: decoded.extend(rows.tolist()) or images(self, rows, side)
    )
    pairs = all_pairs(dataset)
    for _ in range(2):
        pairs.images(dataset.rows("train")[[3, 1, 3]])
    assert sorted(decoded) == sorted(dataset.rows("train")[[1, 3]].tolist())


def test_slow_reads_come_in_order_and_never_more_than_the_depth(folder):
    under_way, most, lock = 0, 0, threading.Lock()

    def read(position: int) -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(random.random() / 100)
        with lock:
            under_way -= 1
        return position * 10

    reads = ReadAhead(read, lambda place: place + 2 if place < 60 else None, depth=5, threads=4)
    for place in range(0, 62, 2):
        assert reads(place) == place * 10
        assert len(reads._waiting) <= 5
    assert 1 < most <= 5 and not reads._waiting


def test_what_goes_wrong_ahead_is_raised_where_it_is_asked_for(folder):
    dataset = Dataset.open(folder)
    torn = dataset.rows("train")[7]
    sizes = dataset.index["image_size"].where(dataset.index.index != torn, 60)
    pairs = all_pairs(replace(dataset, index=dataset.index.assign(image_size=sizes)))
    rows_at, read_at = pairs.batches(16, seed=0), pairs.ahead(CONFIG, seed=0)
    hit = [position for position in range(0, 96, 16) if torn in rows_at(position)]
    assert hit and len(hit) < 6
    for position in range(0, 96, 16):
        if position in hit:
            with pytest.raises(ImageDecodeError, match=dataset.uids(np.array([torn]))[0]):
                read_at(position)
        else:
            read_at(position)


@pytest.mark.parametrize(("world", "micro_batches"), [(1, 0), (1, 4), (2, 0), (2, 4)])
def test_each_process_reads_its_own_parts_and_all_of_them(monkeypatch, world, micro_batches):
    config = replace(CONFIG, micro_batches=micro_batches)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv("WORLD_SIZE", str(world))
    read = []
    for number in range(world):
        monkeypatch.setenv("RANK", str(number))
        own, position = [], own_parts(config, 0)[0]
        while position is not None:
            own.append(position)
            position = following(config, position)
        assert own == [part for step in range(0, 96, 16) for part in own_parts(config, step)]
        assert following(config, 3) is None
        read += own
    size = 16 // (micro_batches or world)
    assert sorted(read) == list(range(0, 96, size))


def test_a_cache_too_small_for_the_draw_is_said(folder, tmp_path, caplog):
    upload(folder, "memory://thrash", {})
    place = RemoteFolder(url="memory://thrash", cache=tmp_path, cache_gb=1e-9)
    with caplog.at_level(logging.WARNING):
        found = all_pairs(Dataset.open(place)).ahead(CONFIG, seed=0)(0)
    assert "set mixed_shards to 1" in caplog.text and not list(tmp_path.glob("*.tar"))
    assert torch.equal(found.pictures, all_pairs(Dataset.open(folder)).images(found.rows))
    caplog.clear()
    for gb in (0, 1):
        all_pairs(Dataset.open(replace(place, cache_gb=gb))).ahead(CONFIG, seed=0)
    assert not caplog.text


def test_shares_below_zero_are_refused():
    with pytest.raises(ValueError, match="mixed_shards"):
        PairsTraining(images=16, batch_size=16, warmup_images=0, mixed_shards=-1)


def test_the_wait_for_a_batch_is_counted_once():
    timed = Timed(lambda position: time.sleep(0.02) or position)
    assert [timed(0), timed(1)] == [0, 1]
    assert 0.04 <= timed.taken_s() < 0.5
    assert timed.taken_s() == 0
