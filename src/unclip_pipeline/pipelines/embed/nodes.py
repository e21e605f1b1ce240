"""Adapters between the catalog, the encoder and the engine it runs on."""

import time
from pathlib import Path

from unclip_pipeline.clip.embed_shard import EmbedShard, embeddings_path, is_embedded
from unclip_pipeline.clip.encoder import embedder_id_of
from unclip_pipeline.corpus.files import SUCCESS
from unclip_pipeline.corpus.shards import shard_paths
from unclip_pipeline.engines import EngineConfig, map_shards
from unclip_pipeline.progress import progress
from unclip_pipeline.training.devices import default_device
from unclip_pipeline.weights import Weights


def embed(
    raw_shards: Path, clip: Weights, target: Path, engine: EngineConfig
) -> tuple[Path, dict[str, int | float]]:
    """Embed every shard whose vectors by this encoder are not there yet."""
    shards, embedder_id = shard_paths(raw_shards), embedder_id_of(clip)
    target.mkdir(parents=True, exist_ok=True)
    (target / SUCCESS).unlink(missing_ok=True)
    waiting = [shard for shard in shards if not is_embedded(target, shard, embedder_id)]
    finished = {embeddings_path(target, shard) for shard in set(shards) - set(waiting)}
    for file in set(target.iterdir()) - finished:
        file.unlink()
    began_s = time.perf_counter()
    embed_shard = EmbedShard(clip, target, str(default_device()))
    done = map_shards(embed_shard, waiting, engine)
    rows = sum(progress(done, label="embed", total=len(waiting), unit="shard"))
    (target / SUCCESS).touch()
    speed = {"images_per_second": rows / (time.perf_counter() - began_s)} if rows else {}
    counts = {"rows": rows, "shards": len(shards), "shards_reused": len(shards) - len(waiting)}
    return target, {**counts, "embedding_width": clip.config["architecture"]["model"]["embed_dim"], **speed}
