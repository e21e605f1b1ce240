"""The one training loop. It yields steps; images seen are its clock; randomness is keyed by position."""

import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from unclip_pipeline.seeds import seed_of, seeded
from unclip_pipeline.training.devices import autocast
from unclip_pipeline.training.ema import ema_decay_at, ema_update
from unclip_pipeline.training.interruption import sigterm_noted
from unclip_pipeline.training.optim import TrainConfig, learning_rate_share, set_learning_rates
from unclip_pipeline.training.state import CheckpointError, TrainingState, checkpoints

Batch = TypeVar("Batch")
Loss = Callable[[nn.Module, Batch, torch.Generator], tuple[Tensor, dict[str, float | Tensor]]]
logger = logging.getLogger(__name__)


class Step(NamedTuple):
    """What one optimizer step showed; `metrics` holds at least loss, gradient_norm, learning_rate_share."""

    images_seen: int
    metrics: dict[str, float]


class NonFiniteLossError(ArithmeticError):
    """The loss or a gradient became NaN or infinite; the weights are those before the failing step."""


def train(
    state: TrainingState,
    batches: Callable[[int], Batch],
    loss: Loss,
    config: TrainConfig,
    *,
    seed: int,
) -> Iterator[Step]:
    """Train until `config.images` images were seen.

    `batches(images_seen)` gives the batch at that position and `loss(model, batch, generator)` draws its
    noise from a generator keyed by (seed, position): a resumed run equals the unbroken one. A batch with
    an attribute `uids` has them named when its loss is not finite.
    """
    state.model.train()
    while state.images_seen < config.images:
        position = state.images_seen
        metrics = _step(state, batches(position), loss, config, seed=seed)
        yield Step(images_seen=state.images_seen, metrics=metrics)


def _step(
    state: TrainingState, batch: Batch, loss: Loss, config: TrainConfig, *, seed: int
) -> dict[str, float]:
    position = state.images_seen
    set_learning_rates(state.optimizers, config, images_seen=position)
    with torch.random.fork_rng(devices=[]):  # dropout layers draw from the global generator
        torch.manual_seed(seed_of(seed, "layers", position))
        with autocast(next(state.model.parameters()).device, config.precision):
            value, metrics = loss(state.model, batch, seeded(seed, "loss", position))
        value.backward()
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), config.gradient_clip)
    report = {"loss": value.item(), "gradient_norm": norm.item()}
    _check_finite(report, batch, position)
    for optimizer in state.optimizers.values():
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    decay = ema_decay_at(position // config.batch_size, config.ema_decay)
    ema_update(state.ema, state.model, decay)
    state.images_seen = position + config.batch_size
    report["learning_rate_share"] = learning_rate_share(position, config)
    return report | {name: float(number) for name, number in metrics.items()}


def _check_finite(report: dict[str, float], batch: Batch, position: int) -> None:
    if all(math.isfinite(number) for number in report.values()):
        return
    uids = getattr(batch, "uids", None)
    named = f"; uids of the batch: {', '.join(map(str, uids))}" if uids is not None else ""
    raise NonFiniteLossError(
        f"loss {report['loss']} with gradient norm {report['gradient_norm']} at images_seen={position}; "
        f"lower the learning rates or look at the batch{named}"
    )


def resume(state: TrainingState, folder: Path, *, identity: str) -> bool:
    """Restore the newest readable checkpoint of this run below `folder`; False when there is none.

    A damaged checkpoint is named in a warning and the one before it is used; one of another identity
    (configuration, dataset version or seed changed) is passed over.
    """
    for checkpoint in reversed(checkpoints(folder)):
        try:
            state.restore(checkpoint, identity=identity)
        except CheckpointError as error:
            logger.warning("checkpoint passed over: %s", error)
        else:
            logger.info("going on from %s", checkpoint)
            return True
    return False


def checkpointed(
    steps: Iterator[Step], state: TrainingState, folder: Path, config: TrainConfig, *, identity: str
) -> Iterator[Step]:
    """Pass the steps on and save the state each time another `config.checkpoint_images` were seen.

    At SIGTERM the step under way is finished and saved, and the process exits with 0.
    """
    with sigterm_noted() as asked_to_stop:
        for step in steps:
            stops = asked_to_stop.is_set()
            if stops or is_due(step, config.checkpoint_images, config):
                state.save(folder, identity=identity)
            if stops:
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
    """Go on from the newest checkpoint of this run, or begin, and keep saving on the way."""
    resume(state, scratch, identity=identity)
    steps = train(state, batches, loss, config, seed=seed)
    yield from checkpointed(steps, state, scratch, config, identity=identity)
