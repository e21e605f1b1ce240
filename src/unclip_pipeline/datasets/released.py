"""The dataset version in the catalog: a folder of this disk, or one elsewhere that is only read."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from unclip_pipeline.corpus.places import DatasetPlace, RemoteFolder
from unclip_pipeline.datasets.folder import FolderDataset


class ReleasedDataset(AbstractDataset[Path, DatasetPlace]):
    """A node gets the place, never the bytes.

    `filepath` is a folder, or a URL of any filesystem that fsspec knows (`s3://bucket/folder`). What is read
    from a URL is kept in the folder `cache`, at most `cache_gb` of it: the shards read last, whole and checked
    by digest. With 0 nothing is kept and samples are read by byte range. `credentials` and `fs_args` go to fsspec.
    """

    def __init__(
        self,
        *,
        filepath: str,
        cache: str = "data/.cache/shards",
        cache_gb: int | float = 50,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = filepath
        self._cache, self._cache_gb = Path(cache), cache_gb
        self._options = {**(fs_args or {}), **(credentials or {})}
        self.metadata = metadata

    def load(self) -> DatasetPlace:
        if not self._is_remote:
            return self._folder.load()
        return RemoteFolder(
            url=self._filepath, cache=self._cache, cache_gb=self._cache_gb, options=self._options
        )

    def save(self, data: Path) -> None:
        if self._is_remote:
            raise DatasetError(
                f"a dataset version at {self._filepath} is only read; let `release_dataset` write to a folder of "
                "this disk and copy it there whole"
            )
        self._folder.save(data)

    @property
    def _is_remote(self) -> bool:
        return "://" in self._filepath

    @property
    def _folder(self) -> FolderDataset:
        return FolderDataset(filepath=self._filepath)

    def _exists(self) -> bool:
        return self._is_remote or self._folder.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "cache": str(self._cache), "cache_gb": self._cache_gb}
