"""What processes do in the tests of training together: functions that another process can import by name."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from small_trainings import NAMES, small_training
from unclip_pipeline.training.distributed import join, leave, share_batch_norms, whole
from unclip_pipeline.training.loop import _backward, resumable, train
from unclip_pipeline.training.state import checkpoints

STEPS = 3


def parts(name: str) -> dict[str, int]:
    """Noise is keyed by the part of a batch; CLIP has none here, and compares all pairs of a batch."""
    return {} if name == "clip" else {"micro_batches": 2}


def names(sharding: str) -> tuple[str, ...]:
    """The trainings that may be sharded so: FSDP2 takes no scalar parameter, and CLIP has one."""
    return NAMES if sharding == "none" else NAMES[:3]


def gradients(sharding: str) -> dict[str, dict[str, np.ndarray]]:
    """The first gradient of each training, its parameters by name."""
    found = {}
    for name in names(sharding):
        state, batches, loss, config = small_training(name, **parts(name), sharding=sharding)
        state.objective.train()
        _backward(state, batches, loss, config, seed=1)
        found[name] = {key: whole(p.grad).numpy() for key, p in state.model.named_parameters()}
    leave()
    return found


def lives(folder: Path, sharding: str, steps: int = STEPS) -> dict[str, list[float]]:
    """Train each network for some steps from where it was left, and save it; its losses."""
    losses = {}
    for name in names(sharding):
        state, batches, loss, config = small_training(name, **parts(name), sharding=sharding)
        for checkpoint in checkpoints(folder / name)[-1:]:
            state.restore(checkpoint, identity=name)
        run = train(state, batches, loss, config, seed=1)
        losses[name] = [next(run).metrics["loss"] for _ in range(steps)]
        state.save(folder / name, identity=name)
    leave()
    return losses


def taking_part(folder: Path, sharding: str, do: str) -> list[int]:
    """Train the prior as its pipeline does; the steps that this process was given."""
    state, batches, loss, config = small_training(
        "prior", micro_batches=2, sharding=sharding, preview_images=16
    )

    def disturbed(position: int) -> Any:
        if position == 20 and do == "stop":  # one process is told, in the middle of a step
            os.kill(os.getpid(), signal.SIGTERM)
        batch = batches(position)
        if position == 20 and do == "poison":
            batch = batch._replace(image=batch.image * torch.nan)
        return batch

    before = {key: value.clone() for key, value in state.ema.state_dict().items()}
    steps = []
    for step in resumable(state, disturbed, loss, config, seed=1, scratch=folder, identity="a"):
        steps.append(step.images_seen)
        if step.images_seen in (8, 16):
            moved = [key for key, value in state.ema.state_dict().items() if not value.equal(before[key])]
            assert bool(moved) == (sharding == "none" or step.images_seen == 16)
    (folder / "ended").write_text(json.dumps([*steps, torch.distributed.is_initialized()]))
    return steps


def normed(rows: Tensor) -> tuple[Any, ...]:
    """Batch norm and its gradients on this process's half of the rows."""
    join()
    model = nn.Sequential(nn.BatchNorm2d(3, momentum=0.3))
    share_batch_norms(model)
    share = len(rows) // (torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1)
    place = int(os.environ.get("RANK", 0))
    x = rows[place * share : (place + 1) * share].clone().requires_grad_()
    (model(x) * rows[: len(x)].sin()).sum().backward()
    found = [x.grad, model[0].weight.grad, model[0].running_mean, model[0].running_var]
    leave()
    return type(model[0]).__name__, list(model.state_dict()), [part.numpy() for part in found]


def killed_at(folder: Path, name: str, images_seen: int) -> None:
    state, batches, loss, config = small_training(name, muon=True)
    for step in resumable(state, batches, loss, config, seed=1, scratch=folder, identity=name):
        if step.images_seen == images_seen:
            os.kill(os.getpid(), signal.SIGKILL)
    state.save(folder, identity=name)
