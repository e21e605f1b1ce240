"""One line per finished stage: time, rows, and the figure that matters."""

import sys
import time
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

from unclip_pipeline.hooks.stages import stage_of

HEADLINES_SHOWN = 4


class StageLineHook:
    """Print a line when a stage ends."""

    def __init__(self) -> None:
        self._stage: str | None = None
        self._began_s = 0.0
        self._metrics: dict[str, float] = {}

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Close the line of the stage before, and start the clock of a new one."""
        stage = stage_of(node)
        if stage != self._stage:
            self._print()
            self._stage, self._began_s, self._metrics = stage, time.perf_counter(), {}

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Remember the stage's metrics."""
        if dataset_name == f"{self._stage}_metrics":
            self._metrics = data

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Close the last line."""
        self._print()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Forget the stage that failed: it has no line."""
        self._stage = None

    def _print(self) -> None:
        if self._stage is not None:
            wall_s = time.perf_counter() - self._began_s
            print(stage_line(self._stage, wall_s, self._metrics), file=sys.stderr, flush=True)
            self._stage = None


def stage_line(stage: str, wall_s: float, metrics: dict[str, float]) -> str:
    """Write the line: a stage puts its own figures in the order it wants them read."""
    shown = [name for name in metrics if not name.endswith(("_low", "_high", "_n"))][:HEADLINES_SHOWN]
    figures = "  ".join(f"{name}={_figure(metrics[name])}" for name in shown)
    return f"{stage:<16} {wall_s:7.1f} s  {figures}"


def _figure(value: float) -> str:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) >= 10)
    return f"{int(value):,}" if whole else f"{value:.3f}" if isinstance(value, float) else str(value)
