"""The one training loop. It yields steps; images seen are its clock; randomness is keyed by position."""

import json
import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from unclip_pipeline.corpus.files import atomic_path
from unclip_pipeline.seeds import seed_of, seeded
from unclip_pipeline.training.ahead import Timed
from unclip_pipeline.training.devices import autocast, fast_float32
from unclip_pipeline.training.distributed import (
    any_of_all,
    is_main_process,
    leave,
    mean_of_all,
    of_all,
    processes,
    rank,
    whole,
)
from unclip_pipeline.training.ema import ema_decay_at, ema_update
from unclip_pipeline.training.interruption import sigterm_noted
from unclip_pipeline.training.optim import TrainConfig, learning_rate_share, set_learning_rates
from unclip_pipeline.training.sharding import gradients_shared
from unclip_pipeline.training.state import CheckpointError, TrainingState, checkpoints

Batch = TypeVar("Batch")
Loss = Callable[[nn.Module, Batch, torch.Generator], tuple[Tensor, dict[str, float | Tensor]]]
logger = logging.getLogger(__name__)

UIDS_SHOWN = 16


class Step(NamedTuple):
    """What one optimizer step showed; `metrics` holds at least loss, gradient_norm, learning_rate_share."""

    images_seen: int
    metrics: dict[str, float]
    data_wait_s: float = (
        0.0  # for which the step waited for its batch; no metric, as it differs from run to run
    )


class NonFiniteLossError(ArithmeticError):
    """The loss or a gradient became NaN or infinite; the weights are those before the failing step."""

    def __init__(self, report: dict[str, float], images_seen: int, uids: list[str]) -> None:
        self.facts = {**report, "images_seen": images_seen, "uids": uids}
        shown = ", ".join(uids[:UIDS_SHOWN]) + (", ..." if len(uids) > UIDS_SHOWN else "")
        super().__init__(
            f"loss {report['loss']} with gradient norm {report['gradient_norm']} at {images_seen=}; lower the "
            f"learning rates or look at the batch; its {len(uids)} uids: {shown}"
        )


def part_size(config: TrainConfig) -> int:
    """Rows of one forward pass: a batch is shared by processes, and by turns within each."""
    return config.batch_size // (config.micro_batches or processes())


def own_parts(config: TrainConfig, images_seen: int) -> list[int]:
    """Positions of the parts of a batch that this process takes, one after the other."""
    share, size = config.batch_size // processes(), part_size(config)
    first = images_seen + rank() * share
    return list(range(first, first + share, size))


def train(
    state: TrainingState,
    batches: Callable[[int], Batch],
    loss: Loss,
    config: TrainConfig,
    *,
    seed: int,
) -> Iterator[Step]:
    """Train until `config.images` images were seen.

    `batches(images_seen)` gives `part_size(config)` rows from that position on, and
    `loss(model, batch, generator)` draws its noise from a generator keyed by (seed, position): a resumed
    run equals the unbroken one, and two processes equal one that takes both parts. A batch with an
    attribute `uids` has them named when its loss is not finite.
    """
    state.objective.train()
    device, timed = next(state.model.parameters()).device, Timed(batches)
    while state.images_seen < config.images:
        with fast_float32(device, config.precision):
            metrics = _step(state, timed, loss, config, seed=seed)
        state.history.add(state.images_seen, metrics)
        yield Step(images_seen=state.images_seen, metrics=metrics, data_wait_s=timed.taken_s())


def _step(
    state: TrainingState, batches: Callable[[int], Batch], loss: Loss, config: TrainConfig, *, seed: int
) -> dict[str, float]:
    position = state.images_seen
    set_learning_rates(state.optimizers, config, images_seen=position)
    report, uids = _backward(state, batches, loss, config, seed=seed)
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), config.gradient_clip)
    report["gradient_norm"] = whole(norm).item()
    if not all(math.isfinite(report[name]) for name in ("loss", "gradient_norm")):
        raise NonFiniteLossError(report, position, [uid for part in of_all(uids) for uid in part])
    for optimizer in state.optimizers.values():
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    decay = ema_decay_at(position // config.batch_size, config.ema_decay)
    ema_update(state.average, state.model, decay)
    state.images_seen = position + config.batch_size
    return report | {"learning_rate_share": learning_rate_share(position, config)}


def _backward(
    state: TrainingState, batches: Callable[[int], Batch], loss: Loss, config: TrainConfig, *, seed: int
) -> tuple[dict[str, float], list[str]]:
    """Leave the gradient of the whole batch on the model; its figures, and the uids this process saw."""
    device = next(state.model.parameters()).device
    parts, reports, uids = own_parts(config, state.images_seen), [], []
    for start in parts:
        batch = batches(start)
        uids += map(str, getattr(batch, "uids", []))
        with gradients_shared(state.objective, start == parts[-1]):
            with torch.random.fork_rng(devices=[]):  # dropout layers draw from the global generator
                torch.manual_seed(seed_of(seed, "layers", start))
                with autocast(device, config.precision):
                    value, metrics = state.objective(loss, batch, seeded(seed, "loss", start))
                (value / len(parts)).backward()
        reports.append({"loss": value.item()} | {name: float(number) for name, number in metrics.items()})
    means = {name: sum(report[name] for report in reports) / len(reports) for name in reports[0]}
    return mean_of_all(means), uids


def resume(state: TrainingState, folder: Path, *, identity: str) -> bool:
    """Restore the newest readable checkpoint of this run below `folder`; False when there is none.

    A damaged checkpoint is named in a warning and the one before it is used; one of another identity
    (configuration, dataset version or seed changed) is passed over.
    """
    for checkpoint in reversed(checkpoints(folder)):
        try:
            state.restore(checkpoint, identity=identity)
        except CheckpointError as error:
            if is_main_process():
                logger.warning("checkpoint passed over: %s", error)
        else:
            if is_main_process():
                logger.info("going on from %s", checkpoint)
            break
    if len(set(positions := of_all(state.images_seen))) > 1:
        raise RuntimeError(
            f"the processes find different checkpoints below {folder}, at {positions} images; "
            "put it on a disk that all of them share"
        )
    return state.images_seen > 0


def checkpointed(
    steps: Iterator[Step], state: TrainingState, folder: Path, config: TrainConfig, *, identity: str
) -> Iterator[Step]:
    """Pass the steps on and save the state each time another `config.checkpoint_images` were seen.

    At SIGTERM the step under way is finished and saved, and the process exits with 0.
    """
    with sigterm_noted() as asked_to_stop:
        for step in steps:
            stops = any_of_all(asked_to_stop.is_set())
            if stops or is_due(step, config.checkpoint_images, config):
                state.save(folder, identity=identity)
            if stops:
                leave()
                if is_main_process():
                    logger.warning(
                        "asked to stop: saved at %d of %d images; the same command goes on from there",
                        state.images_seen, config.images,
                    )  # fmt: skip
                raise SystemExit(0)
            yield step


def is_due(step: Step, every_images: int, config: TrainConfig) -> bool:
    """Tell whether this step passed a multiple of `every_images` (0: never), the end of the run apart."""
    passed = every_images > 0 and step.images_seen % every_images < config.batch_size
    return passed and step.images_seen < config.images


def resumable(
    state: TrainingState,
    batches: Callable[[int], Batch],
    loss: Loss,
    config: TrainConfig,
    *,
    seed: int,
    scratch: Path,
    identity: str,
) -> Iterator[Step]:
    """Go on from the newest checkpoint of this run, or begin, and keep saving on the way.

    Of several processes only the main one is given the steps, and only that one comes out of the training:
    the others take part in every step, then exit with 0.
    """
    resume(state, scratch, identity=identity)
    steps = _uids_written(train(state, batches, loss, config, seed=seed), scratch / "non_finite.json")
    for step in checkpointed(steps, state, scratch, config, identity=identity):
        if is_due(step, config.preview_images, config):
            state.show_average()
        if is_main_process():
            yield step
    state.show_average()
    leave()
    if not is_main_process():
        raise SystemExit(0)


def _uids_written(steps: Iterator[Step], file: Path) -> Iterator[Step]:
    """Pass the steps on; when the loss is not finite, write down which rows the batch had."""
    try:
        yield from steps
    except NonFiniteLossError as error:
        if is_main_process():
            with atomic_path(file) as path:
                path.write_text(json.dumps(error.facts, indent=2) + "\n")
            error.add_note(f"the uids of the batch are in {file}")
        raise
