"""Where work on shards runs: this machine's processes, or a Ray cluster, behind one call."""

from unclip_pipeline.engines.engine import EngineConfig, map_shards
from unclip_pipeline.engines.errors import ShardError

__all__ = ["EngineConfig", "ShardError", "map_shards"]
