"""Kills at any moment: the rerun ends with the same bytes as a run that nobody disturbed."""

import shutil
import signal
import socket
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import pandas as pd
import pytest
from hostile_web import HostileWeb, hostile_web
from lives import begin, begin_and_die
from sites import NOBODY, SMALL, answers, contents, listed, records_of, scraped

from unclip_pipeline.scraping import ScrapeConfig

KILLS = 24
CONFIG = replace(SMALL, shard_size=3, threads=2, max_side_px=512, retry_failed=True)
SLOWNESS_S = 0.01


def _slowly(content: bytes):
    def answer(connection: socket.socket, hit: int) -> None:
        time.sleep(SLOWNESS_S)
        connection.sendall(content)

    return answer


@pytest.fixture(scope="module")
def web():
    with hostile_web({path: _slowly(content) for path, content in answers().items()}) as server:
        yield server


class Change:
    """A folder as it was, and the run that brings it along: rows that go, that come, that are taken down."""

    def __init__(
        self, web: HostileWeb, folder: Path, before: slice, after: slice, config: ScrapeConfig = CONFIG
    ) -> None:
        whole = listed(web)
        self.config = config
        self.start, self.urls = folder / "start", whole[after]
        scraped(web, self.start, urls=whole[before], config=config)
        self.takedowns = NOBODY
        if before.stop:
            taken = {"kind": ["url"], "value": [web.url("/8")], "reason": ["asked"]}
            self.takedowns = pd.DataFrame(taken)
        unbroken = self.copy(folder / "unbroken")
        scraped(web, unbroken, urls=self.urls, takedowns=self.takedowns, config=config)
        self.expected = contents(unbroken)

    def copy(self, folder: Path) -> Path:
        for source, target in ((self.start, folder), (records_of(self.start), records_of(folder))):
            shutil.copytree(source, target)
        return folder

    def arguments(self, folder: Path) -> tuple:
        return folder, self.urls, self.takedowns, self.config


@pytest.fixture(scope="module")
def from_nothing(web, tmp_path_factory) -> Change:
    return Change(web, tmp_path_factory.mktemp("nothing"), slice(0, 0), slice(0, 40))


@pytest.fixture(scope="module")
def growth(web, tmp_path_factory) -> Change:
    return Change(web, tmp_path_factory.mktemp("growth"), slice(0, 24), slice(4, 36))


def test_kills_at_random_moments_leave_no_trace(from_nothing, growth, tmp_path):
    random, kills, lives = Random(0), 0, 0
    while kills < KILLS:
        change = (from_nothing, growth)[lives % 2]
        folder = change.copy(tmp_path / f"life {lives}")
        kills += _live(change, folder, random)
        assert contents(folder) == change.expected
        lives += 1


def _live(change: Change, folder: Path, random: Random) -> int:
    """Kill runs until one comes through; returns the kills that met a run at work."""
    kills = 0
    while True:
        run = begin(*change.arguments(folder))
        run.join(random.uniform(0.0, 0.5) if kills < KILLS else None)
        if run.exitcode is None:
            run.kill()
            run.join()
            kills += 1
        if run.exitcode == 0:
            return kills
        assert run.exitcode == -signal.SIGKILL


@pytest.fixture(scope="module")
def edit(web, tmp_path_factory) -> Change:
    config = replace(CONFIG, retry_failed=False)  # a retry would mend what it should not have to
    return Change(web, tmp_path_factory.mktemp("edit"), slice(0, 9), slice(3, 10), config)


@pytest.mark.parametrize("first", range(2))
def test_a_death_before_any_change_of_a_file_leaves_no_trace(edit, tmp_path, first):
    for moment in range(first, 1000, 2):
        folder = edit.copy(tmp_path / f"moment {moment}")
        run = begin_and_die(moment, *edit.arguments(folder))
        run.join()
        assert run.exitcode in (0, -signal.SIGKILL)
        if run.exitcode == 0:
            assert moment > 20, "so many changes of files at least, however seldom progress was written"
            break
        scraped(None, folder, urls=edit.urls, takedowns=edit.takedowns, config=edit.config)
        assert contents(folder) == edit.expected
