"""Weights folders in the catalog."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

if TYPE_CHECKING:
    from unclip_pipeline.weights import Weights


class WeightsDataset(AbstractDataset["Weights", "Weights"]):
    """`model.safetensors` and `config.json` in one folder."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> "Weights":
        from unclip_pipeline.weights import load_weights

        return load_weights(self._filepath)

    def save(self, data: "Weights") -> None:
        from unclip_pipeline.weights import save_weights

        save_weights(data, self._filepath)

    def _exists(self) -> bool:
        return (self._filepath / "config.json").is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
