"""Adapters between the catalog, the encoder and the engine it runs on."""

import time
from itertools import islice
from pathlib import Path
from typing import Any

from unclip_pipeline.clip.embed_config import EmbedConfig
from unclip_pipeline.corpus.files import SUCCESS
from unclip_pipeline.corpus.shards import read_shard, shard_paths
from unclip_pipeline.engines import EngineConfig, map_shards
from unclip_pipeline.progress import progress

PAIRS_TO_MEASURE = 128


def embed(
    raw_shards: Path,
    clip: Any,  # Weights; naming it here would import torch
    target: Path,
    scratch: Path,
    config: EmbedConfig,
    engine: EngineConfig,
) -> tuple[Path, dict[str, int | float | str]]:
    """Embed every shard whose vectors by this encoder are not there yet."""
    from unclip_pipeline.clip.encoder import embedder_id_of

    shards = shard_paths(raw_shards)
    if not shards:
        raise FileNotFoundError(f"no shards in {raw_shards}: run the pipeline `scrape` first")
    function = _function(shards, clip, target, scratch, config, engine)
    waiting = _waiting(shards, target, embedder_id_of(clip, mode=config.mode, dtype=function.dtype))
    began_s = time.perf_counter()
    done = map_shards(function, waiting, engine)
    rows = sum(progress(done, label="embed", total=len(waiting), unit="shard"))
    (target / SUCCESS).touch()
    speed = {"images_per_second": rows / (time.perf_counter() - began_s)} if rows else {}
    counts = {"rows": rows, "shards": len(shards), "shards_reused": len(shards) - len(waiting)}
    width = clip.config["architecture"]["model"]["embed_dim"]
    return target, {**counts, "embedding_width": width, **speed}


def _waiting(shards: list[Path], target: Path, embedder_id: str) -> list[Path]:
    """Find the shards to embed; what belongs to none of the others is removed."""
    from unclip_pipeline.clip.embed_shard import embeddings_path, is_embedded

    target.mkdir(parents=True, exist_ok=True)
    (target / SUCCESS).unlink(missing_ok=True)
    waiting = [shard for shard in shards if not is_embedded(target, shard, embedder_id)]
    finished = {embeddings_path(target, shard) for shard in set(shards) - set(waiting)}
    for file in set(target.iterdir()) - finished:
        file.unlink()
    return waiting


def _function(
    shards: list[Path], clip: Any, target: Path, scratch: Path, config: EmbedConfig, engine: EngineConfig
) -> Any:
    """Settle what "auto" leaves open, once for all processes."""
    import torch

    from unclip_pipeline.clip.embed_shard import EmbedShard, decode
    from unclip_pipeline.clip.pictures import make_preparation
    from unclip_pipeline.clip.precision import settled_dtype
    from unclip_pipeline.training.devices import default_device

    device = str(default_device())
    samples = list(islice(read_shard(shards[0]), PAIRS_TO_MEASURE))
    few = decode(samples, make_preparation(clip.config["architecture"]["preprocessing"]))
    dtype = settled_dtype(clip, device, config, few.pixels, few.captions, scratch / "dtype.json")
    alone = engine.kind == "local" and engine.process_count == 1
    share = 0 if alone else max(1, torch.get_num_threads() // engine.process_count)
    return EmbedShard(clip, target, device, config, dtype, config.torch_threads or share)
