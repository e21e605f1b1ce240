"""Shards on a Ray cluster: actors with explicit retries, since Ray's defaults give a lost node's work up."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from unclip_pipeline.engines.errors import ShardError, lost_too_often
from unclip_pipeline.engines.packed import PackedFunction

Shard = TypeVar("Shard")
Result = TypeVar("Result")


def map_on_ray(
    function: Callable[[Shard], Result],
    shards: Iterable[Shard],
    processes: int,
    max_attempts: int,
    address: str,
) -> Iterator[Result]:
    """Work on shards in actors of one core each; yield the results as they come.

    With an address the cluster's cores count, not this machine's.
    """
    import ray

    with _cluster(processes, address):
        count = max(1, int(ray.cluster_resources().get("CPU", 1))) if address else processes
        actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=max_attempts - 1)(_Work)
        idle = [actor.remote(PackedFunction(function)) for _ in range(count)]
        busy: dict[Any, tuple[Any, Shard]] = {}
        for shard in shards:
            worker = idle.pop()
            busy[worker.work.remote(shard)] = (worker, shard)
            if not idle:
                yield _next_result(busy, idle, max_attempts)
        while busy:
            yield _next_result(busy, idle, max_attempts)


class _Work:
    """Keeps the function where it works."""

    def __init__(self, function: PackedFunction) -> None:
        self._function = function

    def work(self, shard: Any) -> Any:
        return self._function(shard)


def _next_result(busy: dict[Any, tuple[Any, Any]], idle: list[Any], max_attempts: int) -> Any:
    """Wait for any shard, free its worker and give its result."""
    import ray

    done, _ = ray.wait(list(busy), num_returns=1)
    worker, shard = busy.pop(done[0])
    idle.append(worker)
    try:
        return ray.get(done[0])
    except ray.exceptions.RayTaskError as fault:
        raise ShardError(f"shard {shard!r:.200} failed in its worker:\n{fault}") from fault
    except ray.exceptions.RayError as fault:
        raise lost_too_often(shard, max_attempts) from fault


@contextmanager
def _cluster(processes: int, address: str) -> Iterator[None]:
    """Join the cluster that is there, or start one on loopback and end it afterwards."""
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"logging_level": logging.WARNING, "log_to_driver": False}
    if address:
        ray.init(address=address, **quiet)
    else:
        ray.init(num_cpus=processes, include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
    try:
        yield
    finally:
        ray.shutdown()
