"""Shards on a Ray cluster: actors with explicit retries, since Ray's defaults give a lost node's work up."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from unclip_pipeline.engines.errors import ShardError, lost_too_often

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
        packed = ray.put(function)
        idle = [actor.remote(packed) for _ in range(count)]
        busy: dict[Any, tuple[Any, Shard]] = {}
        waiting = iter(shards)
        while True:
            while idle and (following := list(_take_one(waiting))):
                worker = idle.pop()
                busy[worker.work.remote(following[0])] = (worker, following[0])
            if not busy:
                return
            done, _ = ray.wait(list(busy), num_returns=1)
            worker, shard = busy.pop(done[0])
            yield _result(done[0], shard, max_attempts)
            idle.append(worker)


class _Work:
    """Keeps the function where it works."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def work(self, shard: Any) -> Any:
        return self._function(shard)


def _take_one(shards: Iterator[Any]) -> Iterator[Any]:
    for shard in shards:
        yield shard
        return


def _result(reference: Any, shard: Any, max_attempts: int) -> Any:
    import ray

    try:
        return ray.get(reference)
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
    quiet = {"logging_level": logging.WARNING, "log_to_driver": False}
    if address:
        ray.init(address=address, **quiet)
    else:
        ray.init(num_cpus=processes, include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
    try:
        yield
    finally:
        ray.shutdown()
