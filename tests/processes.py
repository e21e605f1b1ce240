"""Processes as torchrun starts them, and processes that may be killed; forked from a server that has torch."""

import multiprocessing
import os
import pickle
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

PATIENCE_S = 120


def together(folder: Path, work: Callable[..., Any], *arguments: Any, count: int = 2) -> list[Any]:
    """Run `work` in processes that train together; give what each returned, or how it ended by itself."""
    port = _free_port()
    folder.mkdir(exist_ok=True)
    processes = [
        _context().Process(target=_as_rank, args=(rank, count, port, folder, work, arguments))
        for rank in range(count)
    ]
    return _finished(processes, folder)


def alone(folder: Path, work: Callable[..., Any], *arguments: Any) -> Any:
    """Run `work` in one process; give what it returned, or the code it ended with."""
    return _finished([_context().Process(target=_run, args=(0, folder, work, arguments))], folder)[0]


def _finished(processes: list[Any], folder: Path) -> list[Any]:
    results = []
    for process in processes:
        process.start()
    for number, process in enumerate(processes):
        process.join(PATIENCE_S)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"process {number} still runs after {PATIENCE_S} s")
        file = folder / f"result{number}"
        results.append(pickle.loads(file.read_bytes()) if file.exists() else process.exitcode)
        file.unlink(missing_ok=True)
    return results


@cache
def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["taking_part"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # the server looks for the module there alone
    forkserver.ensure_running()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
    return context


def _as_rank(
    rank: int, count: int, port: int, folder: Path, work: Callable[..., Any], arguments: Any
) -> None:
    with launched(rank, count, port):
        _run(rank, folder, work, arguments)


def _run(rank: int, folder: Path, work: Callable[..., Any], arguments: Any) -> None:
    import torch

    torch.set_num_threads(1)
    result = work(*arguments)
    (folder / f"result{rank}").write_bytes(pickle.dumps(result))


@contextmanager
def launched(rank: int, count: int, port: int) -> Iterator[None]:
    """Be what torchrun makes of a process."""
    told = {
        "TORCHELASTIC_RUN_ID": "test", "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count,
        "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
    }  # fmt: skip
    os.environ.update({name: str(value) for name, value in told.items()})
    try:
        yield
    finally:
        for name in told:
            del os.environ[name]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
