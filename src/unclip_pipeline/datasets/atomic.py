"""Any file dataset, written whole or not at all."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from unclip_pipeline.corpus.files import atomic_path


class AtomicDataset(AbstractDataset[Any, Any]):
    """Save another file dataset to a temporary sibling and rename it.

    A killed run leaves no half-written file under the final name, and a file that DVC links from its
    cache is replaced rather than written through. With `optional`, a file that is not there loads as
    None: for inputs that only some environments produce.
    """

    def __init__(
        self,
        *,
        filepath: str,
        dataset: str | dict[str, Any],
        optional: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = Path(filepath)
        self._config = {"type": dataset} if isinstance(dataset, str) else deepcopy(dataset)
        self._optional = optional
        self.metadata = metadata

    def load(self) -> Any:
        if self._optional and not self._filepath.is_file():
            return None
        if not self._filepath.is_file():
            raise DatasetError(f"{self._filepath} is not there: run the pipeline that writes it first")
        return self._inner(self._filepath).load()

    def save(self, data: Any) -> None:
        with atomic_path(self._filepath) as part:
            self._inner(part).save(data)

    def _inner(self, path: Path) -> AbstractDataset[Any, Any]:
        return AbstractDataset.from_config("inner", {**self._config, "filepath": str(path)})

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "dataset": self._config["type"], "optional": self._optional}
