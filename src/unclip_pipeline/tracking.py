"""What a node says to MLflow while it runs: curves with images seen as the step, and pictures."""

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

from unclip_pipeline.progress import progress_bar

if TYPE_CHECKING:
    from PIL import Image

LOG_EVERY_S = 2.0


class _Step(Protocol):
    @property
    def images_seen(self) -> int: ...
    @property
    def metrics(self) -> Mapping[str, float]: ...


StepT = TypeVar("StepT", bound=_Step)


def log_metrics(metrics: Mapping[str, float], *, step: int) -> None:
    """Log numbers to the active run."""
    import mlflow

    mlflow.log_metrics({name: float(value) for name, value in metrics.items()}, step=step)


def log_image(image: "Image.Image", name: str, *, step: int | None = None) -> None:
    """Log a picture to the active run; with a step it becomes one of a series."""
    import mlflow

    path = f"{name}.png" if step is None else f"{name}/{step:09d}.png"
    mlflow.log_image(image, artifact_file=path)


def watch(steps: Iterator[StepT], *, stage: str, images: int) -> Iterator[StepT]:
    """Pass training steps through, showing a progress line and logging a curve point every two seconds."""
    logged_at = 0.0
    with progress_bar(None, label=stage, total=images, unit="img") as bar:
        for step in steps:
            bar.update(step.images_seen - bar.n)
            if "loss" in step.metrics:
                bar.set_postfix(loss=f"{step.metrics['loss']:.4f}", refresh=False)
            if time.monotonic() - logged_at > LOG_EVERY_S:
                log_metrics(step.metrics, step=step.images_seen)
                logged_at = time.monotonic()
            yield step
