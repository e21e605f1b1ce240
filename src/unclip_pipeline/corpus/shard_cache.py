"""Files of elsewhere on this disk: whole, checked, and together never more than a given number of bytes."""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

STALE_S = 3600.0  # a fetch that has written nothing for so long is no longer under way
WAIT_S = 0.05
STRIPES = 2  # first digits of a digest that share a lock: 256 locks in all


class DamagedShardError(ValueError):
    """What was fetched is not what the dataset version was made of."""


class RemoteShard(NamedTuple):
    """Where a shard lies, the SHA-256 it must have, and its size in bytes."""

    path: str
    digest: str
    size: int


@dataclass(frozen=True)
class ShardCache:
    """A folder of files named by their SHA-256; those not read for longest make room for others.

    Threads and processes may share it: a file is fetched by one of them while the others wait for it, and
    one that is being read stays readable when it makes room.
    """

    folder: Path
    max_bytes: int

    def holds(self, shard: RemoteShard) -> bool:
        """Tell whether a shard is there now."""
        return self._path(shard.digest).exists()

    @contextmanager
    def opened(self, shard: RemoteShard, blocks: Callable[[], Iterable[bytes]]) -> Iterator[int]:
        """Yield a file descriptor to read from; `blocks` gives the bytes of a shard that is not there yet."""
        descriptor = self._open(shard.digest)
        if descriptor is None:
            descriptor = self._fetched(shard, blocks)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _open(self, digest: str) -> int | None:
        try:
            descriptor = os.open(self._path(digest), os.O_RDONLY)
        except FileNotFoundError:
            return None
        os.utime(descriptor)  # the clock by which files make room
        return descriptor

    def _fetched(self, shard: RemoteShard, blocks: Callable[[], Iterable[bytes]]) -> int:
        part = self.folder / f"{shard.digest}.part"
        with self._locked(shard.digest[:STRIPES]):
            if (descriptor := self._open(shard.digest)) is not None:  # somebody else was faster
                return descriptor
            try:
                self._reserve(part, shard)
                _write(part, shard, blocks())
                descriptor = os.open(part, os.O_RDONLY)
                os.replace(part, self._path(shard.digest))
            finally:
                part.unlink(missing_ok=True)
        return descriptor

    def _reserve(self, part: Path, shard: RemoteShard) -> None:
        """Make a file of the shard's size, of holes, as soon as there is room for it."""
        if shard.size > self.max_bytes:
            raise ValueError(
                f"a cache must hold its largest shard, got {shard.size} bytes of {shard.path} for "
                f"{self.max_bytes}; raise cache_gb, or set it to 0 to read by byte ranges"
            )
        while True:
            with self._locked("room"):
                if self._make_room(shard.size, part):
                    with part.open("wb") as file:
                        file.truncate(shard.size)
                    return
            time.sleep(WAIT_S)  # others are fetching; what they fetch can make room

    def _make_room(self, size: int, part: Path) -> bool:
        """Remove what was not read for longest until `size` more bytes fit; False while fetches take the room."""
        files = {path: stat for path, stat in _files(self.folder) if path != part}
        free = self.max_bytes - sum(stat.st_size for stat in files.values())
        for path, stat in sorted(files.items(), key=lambda file: file[1].st_mtime_ns):
            if free >= size:
                break
            if path.suffix == ".tar" or time.time() - stat.st_mtime > STALE_S:
                path.unlink(missing_ok=True)
                free += stat.st_size
        return free >= size

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Hold what one thread of one process holds at a time, until it ends or dies."""
        locks = self.folder / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / name).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}.tar"


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """List what takes room; what another process removes or renames meanwhile may be missing."""
    for path in list(folder.iterdir()):
        if path.suffix in (".tar", ".part"):
            with suppress(FileNotFoundError):
                yield path, path.stat()


def _write(part: Path, shard: RemoteShard, blocks: Iterable[bytes]) -> None:
    found = hashlib.sha256()
    with part.open("r+b") as file:
        for block in blocks:
            file.write(block)
            found.update(block)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    if found.hexdigest() != shard.digest:
        raise DamagedShardError(
            f"{shard.path} has SHA-256 {found.hexdigest()}, and {shard.digest} in dataset.json: it is damaged or "
            "of another version; copy the whole dataset version there again"
        )
