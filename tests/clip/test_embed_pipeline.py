"""The node that embeds: what it writes, what it reuses, and what it does not."""

import numpy as np
import pytest
import torch

from toy_corpus import toy_corpus
from unclip_pipeline.clip.embed_config import EmbedConfig
from unclip_pipeline.clip.embed_shard import EmbedShard
from unclip_pipeline.clip.encoder import load_encoder
from unclip_pipeline.clip.model import ClipConfig, initial_model, scratch_architecture
from unclip_pipeline.corpus.embeddings import read_embeddings
from unclip_pipeline.corpus.files import SUCCESS, is_complete
from unclip_pipeline.corpus.images import decode_rgb
from unclip_pipeline.corpus.shards import read_shard, shard_paths, write_shard
from unclip_pipeline.engines import EngineConfig, ShardError
from unclip_pipeline.pipelines.embed import create_pipeline, nodes
from unclip_pipeline.weights import Weights

CONFIG = ClipConfig(width=16, image_side_px=16, channels=(4, 8), text_width=16, text_heads=2, text_layers=1)
HERE = EngineConfig(processes=1)


def embed(shards, weights, target, engine, **choices):
    return nodes.embed(shards, weights, target, target.parent / "scratch", EmbedConfig(**choices), engine)


def clip(seed: int = 0) -> Weights:
    tensors = dict(initial_model(CONFIG, seed=seed).state_dict())
    return Weights(tensors, {"kind": "clip", "architecture": scratch_architecture(CONFIG)})


@pytest.fixture
def shards(tmp_path):
    return toy_corpus(tmp_path / "shards", 40, heldout=8, shards=3)[0]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_pair_gets_the_vectors_of_its_picture_and_caption(shards, tmp_path):
    target, metrics = embed(shards, clip(), tmp_path / "embeddings", HERE)
    found, encoder = read_embeddings(target), load_encoder(clip())
    samples = {sample.uid: sample for path in shard_paths(shards) for sample in read_shard(path)}
    assert sorted(found.uid) == sorted(samples) and metrics["rows"] == 48 and is_complete(target)
    for row in (0, 17, 47):
        sample = samples[found.uid[row]]
        pixels = torch.from_numpy(decode_rgb(sample.image)).permute(2, 0, 1)[None]
        np.testing.assert_allclose(found.image[row], encoder.images(pixels)[0], atol=2e-2)
        np.testing.assert_allclose(found.text[row], encoder.texts([sample.caption])[0], atol=2e-2)
    assert found.embedder_id == encoder.embedder_id and metrics["embedding_width"] == 16


def test_vectors_keep_their_norms(shards, tmp_path):
    found = read_embeddings(embed(shards, clip(), tmp_path / "embeddings", HERE)[0])
    norms = np.linalg.norm(found.image.astype(np.float64), axis=1)
    assert np.abs(norms - 1).min() > 0.01 and norms.std() > 0


def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(shards, tmp_path, monkeypatch):
    unbroken, _ = embed(shards, clip(), tmp_path / "unbroken", HERE)
    work = EmbedShard.__call__

    def breaks_on_the_second(self, shard):
        if shard.stem == "00001":
            raise OSError("disk full")
        return work(self, shard)

    monkeypatch.setattr(EmbedShard, "__call__", breaks_on_the_second)
    with pytest.raises(ShardError, match="disk full"):
        embed(shards, clip(), tmp_path / "broken", HERE)
    assert not is_complete(tmp_path / "broken")
    monkeypatch.setattr(EmbedShard, "__call__", work)
    resumed, metrics = embed(shards, clip(), tmp_path / "broken", HERE)
    assert metrics["shards_reused"] == 1 and metrics["rows"] == 32
    assert contents(resumed) == contents(unbroken)


def test_nothing_is_reused_from_another_encoder_or_from_other_pairs(shards, tmp_path):
    target = tmp_path / "embeddings"
    embed(shards, clip(), target, HERE)
    assert embed(shards, clip(), target, HERE)[1]["shards_reused"] == 3
    write_shard(shards / "00002.tar", list(read_shard(shards / "00002.tar"))[1:])
    assert embed(shards, clip(), target, HERE)[1]["shards_reused"] == 2
    assert len(read_embeddings(target).uid) == 47
    assert embed(shards, clip(seed=1), target, HERE)[1]["shards_reused"] == 0


def test_vectors_of_a_shard_that_is_gone_go_with_it(shards, tmp_path):
    target = tmp_path / "embeddings"
    embed(shards, clip(), target, HERE)
    (shards / "00002.tar").unlink()
    embed(shards, clip(), target, HERE)
    assert sorted(path.name for path in target.iterdir()) == ["00000.parquet", "00001.parquet", SUCCESS]


def test_parts_of_a_shard_give_the_vectors_of_the_whole(shards, tmp_path):
    whole = read_embeddings(embed(shards, clip(), tmp_path / "whole", HERE)[0])
    parts = read_embeddings(embed(shards, clip(), tmp_path / "parts", HERE, images_at_once=5)[0])
    assert whole.uid.tolist() == parts.uid.tolist()
    np.testing.assert_allclose(whole.image, parts.image, atol=4e-3)


def test_the_pipeline_reads_and_writes_what_the_catalog_has():
    pipeline = create_pipeline()
    folders = {"raw_shards", "clip_weights", "embeddings_target", "embed_scratch"}
    assert pipeline.inputs() == folders | {"params:embed", "params:embed_engine"}
    assert pipeline.outputs() == {"embeddings", "embed_metrics"}
