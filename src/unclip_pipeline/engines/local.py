"""Shards on this machine: a process pool that outlives its workers.

`multiprocessing.Pool` waits for ever for a killed worker and `ProcessPoolExecutor` gives the whole run up.
Here each worker has a pipe of its own, so its death is seen at once and its shard goes to a new worker.
"""

import pickle
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, TypeVar

from unclip_pipeline.engines.errors import ShardError, lost_too_often
from unclip_pipeline.engines.packed import PackedFunction

Shard = TypeVar("Shard")
Result = TypeVar("Result")


class _Task(NamedTuple):
    shard: Any
    losses: int  # workers this shard has cost


def map_in_process(function: Callable[[Shard], Result], shards: Iterable[Shard]) -> Iterator[Result]:
    """Work on one shard after the other, here."""
    for shard in shards:
        try:
            yield function(shard)
        except Exception as fault:  # whatever the caller's function raises
            raise ShardError(f"shard {shard!r:.200} failed: {fault}") from fault


def map_in_processes(
    function: Callable[[Shard], Result], shards: Iterable[Shard], processes: int, max_attempts: int
) -> Iterator[Result]:
    """Work on shards in fresh processes; yield the results as they come."""
    packed = PackedFunction(function)
    workers = [_Worker(packed) for _ in range(processes)]
    try:
        yield from _drive(workers, packed, iter(shards), max_attempts)
    finally:
        for worker in workers:
            worker.end()


def _drive(
    workers: list["_Worker"], packed: PackedFunction, shards: Iterator[Any], max_attempts: int
) -> Iterator[Any]:
    again: deque[_Task] = deque()
    idle = list(workers)
    while True:
        while idle and (task := _next_task(again, shards)) is not None:
            idle.pop().begin(task)
        busy = {worker.connection: worker for worker in workers if worker.task is not None}
        if not busy:
            return
        for connection in wait(list(busy)):
            worker = busy[connection]
            task, worker.task = worker.task, None
            try:
                succeeded, value = worker.connection.recv()
            except (EOFError, ConnectionResetError):
                if task.losses + 1 >= max_attempts:
                    raise lost_too_often(task.shard, max_attempts) from None
                again.append(task._replace(losses=task.losses + 1))
                worker.end()
                worker.start(packed)
            else:
                if not succeeded:
                    raise ShardError(f"shard {task.shard!r:.200} failed in its worker:\n{value}")
                yield value
            idle.append(worker)


def _next_task(again: deque[_Task], shards: Iterator[Any]) -> _Task | None:
    if again:
        return again.popleft()
    for shard in shards:
        return _Task(shard, losses=0)
    return None


class _Worker:
    """A process that works on one shard at a time; `task` is what it is busy with."""

    def __init__(self, packed: PackedFunction) -> None:
        self.task: _Task | None = None
        self.start(packed)

    def start(self, packed: PackedFunction) -> None:
        context = get_context("spawn")  # a fork would copy this process's threads' locks in mid-air
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, packed), daemon=True)
        self._process.start()
        theirs.close()  # so that the worker's death reads as the end of the pipe

    def begin(self, task: _Task) -> None:
        self.task = task
        try:
            self.connection.send(task.shard)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it died before: the read that follows finds the end of the pipe

    def end(self) -> None:
        self.connection.close()
        self._process.kill()
        self._process.join()


def _serve(connection: Connection, packed: PackedFunction) -> None:
    """Work on shards until the pipe ends; the parent alone answers Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while True:
            connection.send_bytes(_answer(packed, connection.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _answer(function: Callable[[Any], Any], shard: Any) -> bytes:
    try:
        return pickle.dumps((True, function(shard)))
    except Exception:  # whatever the caller's function raises is the parent's to report
        return pickle.dumps((False, traceback.format_exc()))
