"""Everything a training run needs to go on where it stopped, as safetensors and JSON."""

import hashlib
import json
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from unclip_pipeline.corpus.files import atomic_folder
from unclip_pipeline.training.ema import ema_copy
from unclip_pipeline.training.optim import TrainConfig, make_optimizers

Model = TypeVar("Model", bound=nn.Module)

CHECKPOINTS_KEPT = 2  # the one before the newest serves when the newest does not read


class CheckpointError(ValueError):
    """A saved training state that is truncated, altered, or not this model's."""


@dataclass
class TrainingState:
    """Model, its moving average, optimizers and the position in the run."""

    model: nn.Module
    ema: nn.Module
    optimizers: dict[str, torch.optim.Optimizer]
    images_seen: int = 0

    @classmethod
    def start(cls, model: nn.Module, config: TrainConfig, *, muon: Collection[str]) -> "TrainingState":
        """The state before the first step; `muon` names the parameters Muon trains."""
        optimizers = make_optimizers(model, config, muon=muon)
        return cls(model=model, ema=ema_copy(model), optimizers=optimizers)

    def save(self, folder: Path, *, identity: str) -> Path:
        """Write the state to `folder/<images_seen>` atomically and drop all but the newest two."""
        target = folder / f"{self.images_seen:012d}"
        with atomic_folder(target) as unfinished:
            save_file(self._tensors(), unfinished / "state.safetensors")
            record = {
                "identity": identity,
                "images_seen": self.images_seen,
                "sha256": _sha256(unfinished / "state.safetensors"),
            }
            (unfinished / "state.json").write_text(json.dumps(record, indent=2))
        for old in checkpoints(folder)[:-CHECKPOINTS_KEPT]:
            shutil.rmtree(old)
        return target

    def restore(self, checkpoint: Path, *, identity: str) -> None:
        """Take over a saved state; raises CheckpointError when it is damaged or of another run."""
        record = read_record(checkpoint)
        if record["identity"] != identity:
            raise CheckpointError(f"{checkpoint} is of another run: {record['identity']}, not {identity}")
        tensors = load_file(checkpoint / "state.safetensors")
        self.model.load_state_dict(_under(tensors, "model."))
        self.ema.load_state_dict(_under(tensors, "ema."))
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        for key, optimizer in self.optimizers.items():
            saved = _under(tensors, f"optimizer.{key}.")
            for parameter in (p for group in optimizer.param_groups for p in group["params"]):
                own = _under(saved, f"{names[parameter]}:")
                optimizer.state[parameter] = {k: _placed(v, parameter, k) for k, v in own.items()}
        self.images_seen = record["images_seen"]

    def _tensors(self) -> dict[str, Tensor]:
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"ema.{name}": value for name, value in self.ema.state_dict().items()}
        tensors |= {
            f"optimizer.{key}.{names[parameter]}:{name}": value
            for key, optimizer in self.optimizers.items()
            for parameter, own in optimizer.state.items()
            for name, value in own.items()
        }
        return {name: value.detach().clone().contiguous() for name, value in tensors.items()}


def initialised(build: Callable[[], Model], *, seed: int) -> Model:
    """Build a model whose random weights depend on the seed alone, the global generator left as it was."""
    with torch.random.fork_rng(devices=[]):  # torch initialises layers from the global generator only
        torch.manual_seed(seed)
        return build()


def run_identity(*parts: Any) -> str:
    """Name a run by everything that decides it: configurations, dataset version, embedder, seed."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def checkpoints(folder: Path) -> list[Path]:
    """Saved states below `folder`, oldest first."""
    return sorted(path.parent for path in folder.glob("*/state.json") if path.parent.name.isdigit())


def read_record(checkpoint: Path) -> dict:
    """The JSON beside a saved state; raises CheckpointError unless the weights are those it names."""
    try:
        record = json.loads((checkpoint / "state.json").read_text())
        intact = record["sha256"] == _sha256(checkpoint / "state.safetensors")
    except (OSError, json.JSONDecodeError, KeyError) as error:
        raise CheckpointError(f"{checkpoint} does not read: {error}") from error
    if not intact:
        raise CheckpointError(f"{checkpoint}/state.safetensors is not the file its state.json describes")
    return record


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _placed(value: Tensor, parameter: nn.Parameter, name: str) -> Tensor:
    if name == "step":  # fused AdamW keeps its step count beside the parameter
        return value.to(parameter.device)
    return torch.empty_like(parameter).copy_(value)  # same memory format, hence the same arithmetic


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
