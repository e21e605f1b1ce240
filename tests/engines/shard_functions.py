"""Functions that tests send to workers."""

import os
import signal
import time
from pathlib import Path


class Square:
    def __call__(self, number: int) -> tuple[int, int]:
        return number, number * number


class KillOnce:
    """Dies at one shard, as often as `times` says, and remembers it in a file."""

    def __init__(self, folder: Path, shard: int, times: int) -> None:
        self.folder, self.shard, self.times = folder, shard, times

    def __call__(self, number: int) -> int:
        deaths = len(list(self.folder.iterdir()))
        if number == self.shard and deaths < self.times:
            (self.folder / str(deaths)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number


class Pid:
    def __call__(self, number: int) -> int:
        time.sleep(0.05)
        return os.getpid()


class Fails:
    def __call__(self, number: int) -> int:
        raise KeyError(f"no row {number}")


class FailsToUnpickle(Square):
    def __reduce__(self):
        return (__import__, ("a_package_that_is_not_there",))
