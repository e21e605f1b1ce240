"""Folders of many files: a node gets the path, never the bytes."""

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from unclip_pipeline.corpus.files import SUCCESS, is_complete


class FolderDataset(AbstractDataset[Path, Path]):
    """A finished folder. Saving takes the path a node has just finished and checks that it is this one.

    A folder that may be `given`, by a user or another program, needs no mark to be read: files will do.
    """

    def __init__(self, *, filepath: str, given: bool = False, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._given = given
        self.metadata = metadata

    def load(self) -> Path:
        if self._given and not self._exists():
            raise DatasetError(
                f"{self._filepath} is not a folder with files in it: put yours there, name another folder in "
                "conf/local/catalog.yml, or run the pipeline that writes it"
            )
        if not self._exists():
            raise DatasetError(
                f"{self._filepath} is not a finished folder (no {SUCCESS} in it): "
                "run the pipeline that writes it, it goes on where it stopped"
            )
        return self._filepath

    def save(self, data: Path) -> None:
        if data.resolve() != self._filepath.resolve() or not is_complete(data):
            raise DatasetError(f"a node must finish {self._filepath} with {SUCCESS} in it, got {data}")

    def _exists(self) -> bool:
        has_files = self._given and self._filepath.is_dir() and any(self._filepath.iterdir())
        return has_files or is_complete(self._filepath)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class FolderTargetDataset(AbstractDataset[Path, NoReturn]):
    """Where a node is to write a folder: the path alone, whether or not anything is there yet."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
        return self._filepath

    def save(self, data: Any) -> NoReturn:
        raise DatasetError(f"{self._filepath} is a target: return it as the folder's own dataset")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
