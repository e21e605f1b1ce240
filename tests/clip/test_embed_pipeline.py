"""The node that embeds: what it writes, what it reuses, and what it does not."""

import numpy as np
import pytest
import torch

from toy_corpus import toy_corpus
from unclip_pipeline.clip import precision
from unclip_pipeline.clip.embed_config import EmbedConfig
from unclip_pipeline.clip.embed_shard import EmbedShard
from unclip_pipeline.clip.encoder import load_encoder
from unclip_pipeline.clip.model import ClipConfig, initial_model, scratch_architecture
from unclip_pipeline.clip.precision import Trial
from unclip_pipeline.clip.prefetch import map_ahead
from unclip_pipeline.corpus.embeddings import is_same_space, read_embeddings
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


def with_broken_picture(shards):
    """Spoil one picture of the first shard; give its uid."""
    path = shard_paths(shards)[0]
    samples = list(read_shard(path))
    samples[3] = samples[3]._replace(image=samples[3].image[:60])
    write_shard(path, samples)
    return samples[3].uid


def test_a_picture_that_cannot_be_decoded_has_a_status_and_no_vector(shards, tmp_path):
    uid = with_broken_picture(shards)
    target, metrics = embed(shards, clip(), tmp_path / "embeddings", HERE)
    found = read_embeddings(target)
    assert metrics["rows"] == 48 and len(found.uid) == len(found.image) == 47 and uid not in found.uid
    assert list(found.undecodable) == [uid] and found.undecodable[uid].startswith("undecodable: ")


def test_a_shard_of_broken_pictures_alone_is_accounted_for(shards, tmp_path):
    path = shard_paths(shards)[1]
    write_shard(path, [sample._replace(image=b"no image") for sample in read_shard(path)])
    found = read_embeddings(embed(shards, clip(), tmp_path / "embeddings", HERE)[0])
    assert len(found.uid) == 32 and len(found.undecodable) == 16


@pytest.mark.parametrize("kind", ["local", "ray"])
def test_two_processes_write_the_bytes_of_one(kind, shards, tmp_path):
    one, _ = embed(shards, clip(), tmp_path / "one", HERE, torch_threads=1)
    if kind == "ray":
        pytest.importorskip("ray")
    many = EngineConfig(kind=kind, processes=2)
    two, _ = embed(shards, clip(), tmp_path / "two", many, torch_threads=1)
    assert contents(one) == contents(two)


def test_processes_share_the_cores(shards, tmp_path):
    def threads(processes, **choices):
        config, engine = EmbedConfig(**choices), EngineConfig(processes=processes)
        return nodes._function(shard_paths(shards), clip(), tmp_path, tmp_path, config, engine).torch_threads

    cores = torch.get_num_threads()
    assert threads(1) == 0  # in this process: torch keeps what it has
    assert threads(2) == max(1, cores // 2) and threads(4 * cores) == 1 and threads(2, torch_threads=3) == 3


def test_decoders_and_their_number_change_no_byte(shards, tmp_path):
    one, _ = embed(shards, clip(), tmp_path / "one", HERE, decoders=1)
    three, _ = embed(shards, clip(), tmp_path / "three", HERE, decoders=3)
    assert contents(one) == contents(three)


def test_captions_kept_between_shards_change_no_vector(shards, tmp_path):
    plain = read_embeddings(embed(shards, clip(), tmp_path / "plain", HERE)[0])
    kept = read_embeddings(embed(shards, clip(), tmp_path / "kept", HERE, cached_captions=5)[0])
    assert np.array_equal(plain.image, kept.image)
    np.testing.assert_allclose(plain.text, kept.text, atol=4e-3)


def test_mode_and_number_type_are_part_of_the_name_and_only_of_its_last_part(shards, tmp_path):
    target, ids = tmp_path / "embeddings", []
    for choices in ({}, {"mode": "fast"}, {"dtype": "bfloat16"}):
        folder, metrics = embed(shards, clip(), target, HERE, **choices)
        assert metrics["shards_reused"] == 0
        ids.append(read_embeddings(folder).embedder_id)
    assert [embedder_id.rpartition("/")[2] for embedder_id in ids] == ["float32", "float32-fast", "bfloat16"]
    assert ids[0] == load_encoder(clip()).embedder_id and is_same_space(ids[0], ids[2])
    assert not is_same_space(ids[0], load_encoder(clip(seed=1)).embedder_id)


def test_an_automatic_number_type_is_measured_once(shards, tmp_path, monkeypatch):
    measured = []

    def trial(weights, device, dtype, pixels, captions):
        measured.append(dtype)
        return Trial(dtype, 3.0 if dtype == "bfloat16" else 1.0, 0.9999)

    monkeypatch.setattr(precision, "try_dtype", trial)
    first = read_embeddings(embed(shards, clip(), tmp_path / "first", HERE, dtype="auto")[0])
    again = read_embeddings(embed(shards, clip(), tmp_path / "again", HERE, dtype="auto")[0])
    assert first.embedder_id == again.embedder_id and first.embedder_id.endswith("/bfloat16")
    assert measured == ["float32", "bfloat16", "float16"]


def test_a_number_type_is_taken_only_if_its_vectors_agree_and_it_is_clearly_faster():
    exact = Trial("float32", 100, 1.0)
    assert precision.best_dtype([exact, Trial("bfloat16", 300, 0.99)]) == "float32"
    assert precision.best_dtype([exact, Trial("bfloat16", 120, 0.9999)]) == "float32"
    assert precision.best_dtype([exact, Trial("bfloat16", 300, 0.9999)]) == "bfloat16"


def test_a_number_type_is_tried_on_real_vectors():
    pixels = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    same, half = (precision.try_dtype(clip(), "cpu", d, pixels, ["a disc"]) for d in ("float32", "bfloat16"))
    assert same.least_cosine > 1 - 1e-6 and 0.99 < half.least_cosine < same.least_cosine


@pytest.mark.parametrize(
    ("broken", "said"),
    [({"mode": "quick"}, "exact"), ({"dtype": "int8"}, "auto"), ({"decoders": -1}, "decoders")],
)
def test_a_broken_choice_names_its_field(broken, said):
    with pytest.raises(ValueError, match=said):
        EmbedConfig(**broken)


def test_no_shards_say_which_pipeline_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="scrape"):
        embed(tmp_path, clip(), tmp_path / "embeddings", HERE)


def test_work_ahead_keeps_its_order_and_its_bounds():
    taken = []

    def items():
        for item in range(50):
            taken.append(item)
            yield item

    threads_here = torch.get_num_threads()
    done = map_ahead(lambda item: (item, torch.get_num_threads()), items(), threads=2, ahead=4)
    assert next(done) == (0, 1) and len(taken) == 5
    assert [item for item, _ in done] == list(range(1, 50)) and torch.get_num_threads() == threads_here


def test_a_fault_ahead_is_raised_in_its_place():
    done = map_ahead(lambda item: 1 // (2 - item), range(5), threads=2, ahead=3)
    assert [next(done), next(done)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(done)
