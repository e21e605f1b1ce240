"""Map a function over shards on any engine; a lost worker costs its shard a second try, never the run."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Shard = TypeVar("Shard")
Result = TypeVar("Result")

KINDS = ("local", "ray")


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Where shards are worked on."""

    kind: str = "local"  # or "ray"
    processes: int = 0  # 0: one per core; 1 on the local engine: in this process, without a pool
    max_attempts: int = 3  # how often a shard may lose its worker before the run gives up
    ray_address: str = ""  # empty: a Ray of this machine alone, ended with the run

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"engine.kind must be one of {KINDS}, got {self.kind!r}")
        if self.processes < 0:
            raise ValueError(f"engine.processes must be 0 (one per core) or more, got {self.processes}")
        if self.max_attempts < 1:
            raise ValueError(f"engine.max_attempts must be at least 1, got {self.max_attempts}")

    @property
    def process_count(self) -> int:
        """Processes on this machine, with 0 resolved to its cores."""
        return self.processes or os.cpu_count() or 1


def map_shards(
    function: Callable[[Shard], Result], shards: Iterable[Shard], engine: EngineConfig
) -> Iterator[Result]:
    """Yield `function(shard)` for every shard, as they finish.

    The function reaches each worker once and is kept there, so it may hold what is dear to build. It must
    depend on the shard alone and publish its files atomically: a shard whose worker was lost runs again.
    An exception inside the function ends the run as a `ShardError` with the worker's traceback.
    Close the iterator, or use it up, to end the workers.
    """
    if engine.kind == "ray":
        from unclip_pipeline.engines.ray import map_on_ray

        return map_on_ray(function, shards, engine.process_count, engine.max_attempts, engine.ray_address)
    from unclip_pipeline.engines.local import map_in_process, map_in_processes

    if engine.process_count == 1:
        return map_in_process(function, shards)
    return map_in_processes(function, shards, engine.process_count, engine.max_attempts)
