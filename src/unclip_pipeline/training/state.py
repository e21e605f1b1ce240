"""Everything a training run needs to go on where it stopped, as safetensors and JSON."""

import copy
import hashlib
import json
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from unclip_pipeline.corpus.files import atomic_folder
from unclip_pipeline.training.distributed import (
    is_main_process,
    join,
    laid_like,
    processes,
    same_in_all,
    whole,
)
from unclip_pipeline.training.ema import ema_copy
from unclip_pipeline.training.history import History
from unclip_pipeline.training.optim import TrainConfig, make_optimizers
from unclip_pipeline.training.sharding import Objective, shard, spread

Model = TypeVar("Model", bound=nn.Module)

CHECKPOINTS_KEPT = 2  # the one before the newest serves when the newest does not read


class CheckpointError(ValueError):
    """A saved training state that is truncated, altered, or not this model's."""


@dataclass
class TrainingState:
    """Model, its moving average, optimizers, curve and the position in the run."""

    model: nn.Module
    objective: nn.Module  # the model behind its loss, laid over the processes that train it
    average: nn.Module  # as sharded as the model
    ema: nn.Module  # the same where nothing is sharded; else what `show_average` last put together
    optimizers: dict[str, torch.optim.Optimizer]
    history: History
    images_seen: int = field(default=0)

    @classmethod
    def start(cls, model: nn.Module, config: TrainConfig, *, muon: Collection[str]) -> "TrainingState":
        """The state before the first step; `muon` names the parameters Muon trains."""
        _check_processes(config)
        join()
        same_in_all(model)
        ema = average = ema_copy(model)
        objective = spread(model, config)
        if config.sharding == "fsdp":
            average = copy.deepcopy(ema)
            shard(Objective(average))
        return cls(
            model=model,
            objective=objective,
            average=average,
            ema=ema if is_main_process() else average,
            optimizers=make_optimizers(model, config, muon=muon),
            history=History(images=config.images),
        )

    def show_average(self) -> None:
        """Put the moving average together in the main process's `ema`; all processes must take part."""
        if self.average is self.ema and processes() == 1:
            return
        tensors = _gathered(self.average.state_dict())
        if is_main_process() and self.ema is not self.average:
            self.ema.load_state_dict(tensors)

    def save(self, folder: Path, *, identity: str) -> Path:
        """Write the state to `folder/<images_seen>` atomically and drop all but the newest two.

        All processes must take part; the main one writes.
        """
        target, tensors = folder / f"{self.images_seen:012d}", _gathered(self._tensors())
        if not is_main_process():
            return target
        with atomic_folder(target) as unfinished:
            save_file(tensors, unfinished / "state.safetensors")
            record = {"identity": identity, "images_seen": self.images_seen, "history": self.history.sums}
            record["sha256"] = _digest(record, unfinished / "state.safetensors")
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
        for prefix, module in {"model.": self.model, "ema.": self.average}.items():
            saved, now = _under(tensors, prefix), module.state_dict()
            module.load_state_dict({name: laid_like(value, now[name]) for name, value in saved.items()})
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        for key, optimizer in self.optimizers.items():
            saved = _under(tensors, f"optimizer.{key}.")
            for parameter in (p for group in optimizer.param_groups for p in group["params"]):
                own = _under(saved, f"{names[parameter]}:")
                optimizer.state[parameter] = {k: _placed(v, parameter, k) for k, v in own.items()}
        self.images_seen, self.history.sums = record["images_seen"], record["history"]

    def _tensors(self) -> dict[str, Tensor]:
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"ema.{name}": value for name, value in self.average.state_dict().items()}
        return tensors | {
            f"optimizer.{key}.{names[parameter]}:{name}": value
            for key, optimizer in self.optimizers.items()
            for parameter, own in optimizer.state.items()
            for name, value in own.items()
        }


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


def read_record(checkpoint: Path) -> dict[str, Any]:
    """The JSON beside a saved state; raises CheckpointError unless both are as they were written."""
    try:
        record = json.loads((checkpoint / "state.json").read_text())
        sealed = record.pop("sha256")
        intact = sealed == _digest(record, checkpoint / "state.safetensors")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{checkpoint} does not read: {error!r}") from error
    if not intact:
        raise CheckpointError(f"{checkpoint} is not as it was written: its digest does not fit")
    return record


def _check_processes(config: TrainConfig) -> None:
    count, parts = processes(), config.micro_batches or processes()
    if parts % count or config.batch_size % parts:
        raise ValueError(
            f"batch_size must be a multiple of the {count} processes, and micro_batches too unless it is 0; "
            f"got {config.batch_size=} and {config.micro_batches=}"
        )
    if config.sharding == "fsdp" and count == 1:
        raise ValueError(
            "sharding='fsdp' needs processes to shard over: start with `torchrun --nproc-per-node=... -m kedro "
            "run ...`, or set sharding: none"
        )


def _gathered(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put sharded tensors together one by one, on the CPU of the main process; nothing on the others."""
    gathered = {}
    for name, tensor in tensors.items():
        together = whole(tensor.detach())
        if is_main_process():
            gathered[name] = together.to("cpu", copy=True).contiguous()
    return gathered


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _placed(value: Tensor, parameter: nn.Parameter, name: str) -> Tensor:
    if name == "step":  # fused AdamW keeps its step count beside the parameter
        return value.to(parameter.device)
    own = laid_like(value, parameter)
    return torch.empty_like(parameter).copy_(own)  # same memory format, hence the same arithmetic


def _digest(record: dict[str, Any], tensors: Path) -> str:
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    with tensors.open("rb") as file:
        digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
