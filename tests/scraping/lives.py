"""Runs that can be killed: each a process of its own, forked from one that has everything imported."""

import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd
from sites import scraped

from unclip_pipeline.scraping import ScrapeConfig

_forks = get_context("forkserver")
_forks.set_forkserver_preload(
    ["numpy", "PIL.Image", "unclip_pipeline.engines.local", "unclip_pipeline.scraping.downloader"]
    + ["unclip_pipeline.scraping.run", "pandas.io.parquet"]
)


def begin(folder: Path, urls: pd.DataFrame, takedowns: pd.DataFrame, config: ScrapeConfig) -> BaseProcess:
    """Begin a run."""
    return _started(_run, folder, urls, takedowns, config)


def begin_and_die(
    moment: int, folder: Path, urls: pd.DataFrame, takedowns: pd.DataFrame, config: ScrapeConfig
) -> BaseProcess:
    """Begin a run that kills itself just before it renames or removes a file for the `moment`-th time."""
    return _started(_run_and_die, moment, folder, urls, takedowns, config)


def _started(target: Callable[..., None], *arguments: object) -> BaseProcess:
    """Start a process, and wait until it has begun."""
    here, there = _forks.Pipe()
    process = _forks.Process(target=_begun, args=(there, target, *arguments), daemon=True)
    process.start()
    here.recv()
    return process


def _begun(there: Connection, target: Callable[..., None], *arguments: object) -> None:
    there.send(None)
    target(*arguments)


def _run(folder: Path, urls: pd.DataFrame, takedowns: pd.DataFrame, config: ScrapeConfig) -> None:
    scraped(None, folder, urls=urls, takedowns=takedowns, config=config)


def _run_and_die(moment: int, *arguments: object) -> None:
    left = moment

    def deadly(change: Callable[..., None]) -> Callable[..., None]:
        def changed(*paths: object, **options: object) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            change(*paths, **options)

        return changed

    os.replace, os.unlink, os.rename = deadly(os.replace), deadly(os.unlink), deadly(os.rename)
    _run(*arguments)
