"""The files of a dataset version, near or far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from unclip_pipeline.corpus.files import SUCCESS, is_complete
from unclip_pipeline.corpus.places import DatasetPlace, RemoteFolder
from unclip_pipeline.corpus.shard_bytes import CachedShards, MappedShards, RangedShards
from unclip_pipeline.corpus.shard_cache import RemoteShard, ShardCache

GB = 10**9


@dataclass(frozen=True)
class LocalFiles:
    """A folder of this disk."""

    folder: Path

    def read_bytes(self, name: str) -> bytes:
        """Read a small file whole; a missing one raises FileNotFoundError."""
        return (self.folder / name).read_bytes()

    def is_complete(self) -> bool:
        """Tell whether its writer finished it."""
        return is_complete(self.folder)

    def shards(self, digests: Mapping[str, str]) -> MappedShards:
        """Give access to the shards of these names and SHA-256; a missing one raises FileNotFoundError."""
        paths = [self.folder / "shards" / f"{shard}.tar" for shard in digests]
        _check_all_there(self.folder, [path.stem for path in paths if not path.is_file()])
        return MappedShards(paths)


@dataclass(frozen=True)
class RemoteFiles:
    """A folder of any filesystem."""

    folder: RemoteFolder

    @cached_property
    def _place(self) -> tuple[AbstractFileSystem, str]:
        return url_to_fs(self.folder.url, **self.folder.options)

    def read_bytes(self, name: str) -> bytes:
        files, root = self._place
        return files.cat_file(f"{root}/{name}")

    def is_complete(self) -> bool:
        files, root = self._place
        return files.exists(f"{root}/{SUCCESS}")

    def shards(self, digests: Mapping[str, str]) -> CachedShards | RangedShards:
        files, root = self._place
        files.invalidate_cache()
        listed = {Path(file["name"]).stem: file["size"] for file in files.ls(f"{root}/shards", detail=True)}
        _check_all_there(self.folder.url, [shard for shard in digests if shard not in listed])
        remote = [
            RemoteShard(f"{root}/shards/{shard}.tar", digest, listed[shard])
            for shard, digest in digests.items()
        ]
        if self.folder.cache_gb == 0:
            return RangedShards(files, remote)
        cache = ShardCache(self.folder.cache, int(self.folder.cache_gb * GB))
        return CachedShards(
            files, remote, cache, whole=sum(listed[name] for name in digests) <= cache.max_bytes
        )


def files_of(place: DatasetPlace) -> LocalFiles | RemoteFiles:
    """Open a folder, near or far."""
    return LocalFiles(place) if isinstance(place, Path) else RemoteFiles(place)


def _check_all_there(folder: Path | str, missing: Sequence[str]) -> None:
    if missing:
        raise FileNotFoundError(f"{folder} lacks shard {missing[0]}.tar; run `release_dataset` again")
