"""How a run that is under way is seen from outside: its name, and how far each shard is.

Workers write small files that the parent reads, so it is the same in one process, in many, and on Ray with
a shared folder. The run's name lies beside them: a worker that outlived its killed parent finds another
run's name there, or none, and stops before it could write into the new run's shards.
"""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.progress import progress_bar

EVERY_S = 0.5
_NAME = "run"


class SupersededError(RuntimeError):
    """Another run works on this folder now."""


def begin_run(scratch: Path) -> str:
    """Make the folder of a run and name the run."""
    scratch.mkdir()
    name = uuid4().hex
    (scratch / _NAME).write_text(name)
    return name


class ShardProgress:
    """A worker's side: counts fates, and makes sure that its run is still the one that counts."""

    def __init__(self, scratch: Path, run: str, shard: str) -> None:
        self._scratch, self._run = scratch, run
        self._path = scratch / f"{shard}.progress"
        self._fates: Counter[str] = Counter()
        self._written_at_s = time.monotonic()

    def count(self, fate: str) -> None:
        """Count a row; now and then, let the parent know."""
        self._fates[fate] += 1
        if time.monotonic() - self._written_at_s > EVERY_S:
            self.check_run()
            self._write()

    def check_run(self) -> None:
        """Raise if the run that this worker belongs to is over."""
        try:
            found = (self._scratch / _NAME).read_text()
        except FileNotFoundError:
            found = None
        if found != self._run:
            raise SupersededError("the run of this worker is over, another one works on the folder")

    def finish(self) -> dict[str, int]:
        """Let the parent know of the last row; returns rows by fate."""
        self._write()
        return dict(self._fates)

    def _write(self) -> None:
        self._written_at_s = time.monotonic()
        part = self._path.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(self._fates))
        part.replace(self._path)


@contextmanager
def shown_progress(scratch: Path, rows: int) -> Iterator[None]:
    """Show a line of progress per URL while the block runs, whoever does the work."""
    over = threading.Event()
    with progress_bar(None, label="scrape", total=rows, unit="url") as bar:

        def follow() -> None:
            while not over.wait(EVERY_S):
                _update(bar, scratch)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            _update(bar, scratch)


def count_fates(scratch: Path) -> Counter[str]:
    """Count the rows that have their fate so far."""
    fates: Counter[str] = Counter()
    for path in scratch.glob("*.progress"):
        fates.update(json.loads(path.read_text()))
    return fates


def _update(bar: Any, scratch: Path) -> None:
    fates = count_fates(scratch)
    done = fates.total()
    if done > bar.n or not done:
        bar.set_postfix_str(summary(fates), refresh=False)
        bar.update(done - bar.n)


def summary(fates: Counter[str]) -> str:
    """Say in a few words how it goes: the share kept, and the failure that is most frequent."""
    done = fates.total()
    if not done:
        return "nothing has come yet"
    failures = [(fate, count) for fate, count in fates.most_common() if fate != KEPT]
    top = f", {failures[0][0].removeprefix('scrape.')} {failures[0][1] / done:.1%}" if failures else ""
    return f"kept {fates[KEPT] / done:.1%}{top}"
