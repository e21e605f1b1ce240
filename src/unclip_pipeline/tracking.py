"""What a node says to MLflow while it runs: curves with images seen as the step, and pictures."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

from unclip_pipeline.progress import progress_bar
from unclip_pipeline.training.distributed import is_main_process

if TYPE_CHECKING:
    from PIL import Image

LOG_EVERY_S = 2.0
logger = logging.getLogger(__name__)


class _Step(Protocol):
    @property
    def images_seen(self) -> int: ...
    @property
    def metrics(self) -> Mapping[str, float]: ...
    @property
    def data_wait_s(self) -> float: ...


StepT = TypeVar("StepT", bound=_Step)
P = ParamSpec("P")


def _said_once(say: Callable[P, None]) -> Callable[P, None]:
    """Let the main process speak for all that train together; the others have no MLflow run."""

    @wraps(say)
    def in_main_process(*args: P.args, **kwargs: P.kwargs) -> None:
        if is_main_process():
            say(*args, **kwargs)

    return in_main_process


@_said_once
def log_metrics(metrics: Mapping[str, float], *, step: int) -> None:
    """Log numbers to the active run."""
    import mlflow

    mlflow.log_metrics({name: float(value) for name, value in metrics.items()}, step=step)


@_said_once
def log_image(image: "Image.Image", name: str, *, step: int | None = None) -> None:
    """Log a picture to the active run; with a step it becomes one of a series."""
    import mlflow

    path = f"{name}.png" if step is None else f"{name}/{step:09d}.png"
    mlflow.log_image(image, artifact_file=path)


@_said_once
def note_exportable(reasons: Sequence[str]) -> None:
    """Say in the log, and on the run if there is one, whether what is trained can go to diffusers."""
    import mlflow

    if mlflow.active_run() is not None:
        mlflow.set_tags({"exportable": str(not reasons).lower(), "why_not_exportable": "; ".join(reasons)})
    if reasons:
        logger.info("exportable: false (%s)", "; ".join(reasons))


def watch(steps: Iterator[StepT], *, stage: str, images: int) -> Iterator[StepT]:
    """Pass training steps through, showing a progress line and logging a curve point every two seconds.

    `data_wait_share` is the share of the time since the last point for which the steps waited for their batches.
    """
    logged_at, since, waited_s = 0.0, time.monotonic(), 0.0
    with progress_bar(None, label=stage, total=images, unit="img") as bar:
        for step in steps:
            bar.update(step.images_seen - bar.n)
            if "loss" in step.metrics:
                bar.set_postfix(loss=f"{step.metrics['loss']:.4f}", refresh=False)
            waited_s += step.data_wait_s
            if (now := time.monotonic()) - logged_at > LOG_EVERY_S:
                share = waited_s / max(now - since, 1e-9)
                log_metrics({**step.metrics, "data_wait_share": share}, step=step.images_seen)
                logged_at, since, waited_s = time.monotonic(), now, 0.0
            yield step
