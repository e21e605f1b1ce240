"""Bytes of shards by their place: mapped from this disk, through a cache on it, or by range from elsewhere.

Shards are numbers in the order in which they were given; `read` takes one piece from each place.
"""

import logging
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from fsspec import AbstractFileSystem
from jaxtyping import Int

from unclip_pipeline.corpus.shard_cache import RemoteShard, ShardCache

FETCHED_AT_ONCE = 8  # shards
BLOCK_BYTES = 1 << 24
REQUEST_BYTES = 1 << 18  # that could have come in the time a request takes

logger = logging.getLogger(__name__)
Places = Int[np.ndarray, " n"]


class MappedShards:
    """Shards of this disk, each mapped into memory when it is first read."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._maps: dict[int, np.ndarray] = {}

    def read(self, shards: Places, starts: Places, sizes: Places) -> list[bytes]:
        return [
            self._map(shard)[start : start + size].tobytes()
            for shard, start, size in zip(shards.tolist(), starts.tolist(), sizes.tolist(), strict=True)
        ]

    def _map(self, shard: int) -> np.ndarray:
        if shard not in self._maps:
            self._maps[shard] = np.asarray(np.memmap(self._paths[shard], dtype=np.uint8, mode="r"))
        return self._maps[shard]


@dataclass(frozen=True)
class CachedShards:
    """Shards of elsewhere, each fetched whole when it is first read and its digest checked.

    Unless `whole`, for a cache that does not hold them all: then a shard of which little is wanted at once, and
    that is not in the cache, is read by byte range.
    """

    files: AbstractFileSystem
    shards: Sequence[RemoteShard]
    cache: ShardCache
    whole: bool = True

    def read(self, shards: Places, starts: Places, sizes: Places) -> list[bytes]:
        pieces = [b""] * len(shards)
        order = np.lexsort((starts, shards))
        groups = np.split(order, np.flatnonzero(np.diff(shards[order])) + 1) if len(order) else []
        missing = [group for group in groups if not self.cache.holds(self.shards[shards[group[0]]])]
        if not self.whole:
            missing = [group for group in missing if self._is_little(group, self.shards[shards[group[0]]])]
            self._read_ranges(missing, shards, starts, sizes, pieces)
            ranged = {int(group[0]) for group in missing}
            groups = [group for group in groups if int(group[0]) not in ranged]
        elif len(missing) > 1:
            self._fetch([int(shards[group[0]]) for group in missing])
        for group in groups:
            with self._opened(int(shards[group[0]])) as descriptor:
                for place, start, size in zip(
                    group.tolist(), starts[group].tolist(), sizes[group].tolist(), strict=True
                ):
                    pieces[place] = os.pread(descriptor, size, start)
        return pieces

    def _is_little(self, group: Places, shard: RemoteShard) -> bool:
        return len(group) * REQUEST_BYTES < shard.size or shard.size > self.cache.max_bytes

    def _read_ranges(
        self, groups: Sequence[np.ndarray], shards: Places, starts: Places, sizes: Places, pieces: list[bytes]
    ) -> None:
        """Read the pieces of these groups into their places."""
        if groups:
            far = np.concatenate(groups)
            found = RangedShards(self.files, self.shards).read(shards[far], starts[far], sizes[far])
            for place, piece in zip(far.tolist(), found, strict=True):
                pieces[place] = piece

    def _fetch(self, shards: Sequence[int]) -> None:
        """Fetch at once rather than one after the other."""
        with ThreadPoolExecutor(FETCHED_AT_ONCE, "fetch") as pool:
            list(pool.map(self._touch, shards))

    def _touch(self, shard: int) -> None:
        with self._opened(shard):
            pass

    def _opened(self, shard: int) -> AbstractContextManager[int]:
        return self.cache.opened(self.shards[shard], partial(self._blocks, self.shards[shard]))

    def _blocks(self, remote: RemoteShard) -> Iterator[bytes]:
        logger.debug("fetching %s, %d bytes", remote.path, remote.size)
        for start in range(0, remote.size, BLOCK_BYTES):
            yield self.files.cat_file(remote.path, start=start, end=min(start + BLOCK_BYTES, remote.size))


@dataclass(frozen=True)
class RangedShards:
    """Shards of elsewhere, read by byte range and never kept; their digests cannot be checked."""

    files: AbstractFileSystem
    shards: Sequence[RemoteShard]

    def read(self, shards: Places, starts: Places, sizes: Places) -> list[bytes]:
        paths = [self.shards[shard].path for shard in shards.tolist()]
        return self.files.cat_ranges(paths, starts.tolist(), (starts + sizes).tolist(), on_error="raise")


class HeldSpans:
    """Stretches of shards that were read already."""

    def __init__(self, shards: Places, starts: Places, spans: Sequence[bytes]) -> None:
        held = sorted(zip(shards.tolist(), starts.tolist(), spans, strict=True))
        self._places, self._spans = [place[:2] for place in held], [span for *_, span in held]

    def read(self, shards: Places, starts: Places, sizes: Places) -> list[bytes]:
        return [
            self._piece(*place)
            for place in zip(shards.tolist(), starts.tolist(), sizes.tolist(), strict=True)
        ]

    def _piece(self, shard: int, start: int, size: int) -> bytes:
        number = bisect_right(self._places, (shard, start)) - 1
        offset = start - self._places[number][1]
        return self._spans[number][offset : offset + size]


ShardBytes = MappedShards | CachedShards | RangedShards | HeldSpans
