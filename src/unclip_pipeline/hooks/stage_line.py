"""One line per finished stage: time, rows, and the figure that matters."""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from unclip_pipeline.hooks.stages import stage_of

HEADLINES_SHOWN = 4


class StageLineHook:
    """Print a line when the last node of a stage has saved its outputs."""

    def __init__(self) -> None:
        self._stage: str | None = None
        self._began_s = 0.0
        self._nodes_left: Counter[str] = Counter()
        self._wall_s: defaultdict[str, float] = defaultdict(float)
        self._metrics: dict[str, dict[str, int | float]] = {}

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Count the nodes of each stage: Kedro may run nodes of two stages in turn."""
        self._stage = None
        self._nodes_left = Counter(stage_of(node) for node in pipeline.nodes)
        self._wall_s.clear()

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Close the node before, and start the clock of this one."""
        self._finish_node()
        self._stage, self._began_s = stage_of(node), time.perf_counter()

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Remember the stage's metrics."""
        if dataset_name.endswith("_metrics"):
            self._metrics[dataset_name.removesuffix("_metrics")] = data

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Close the last node."""
        self._finish_node()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Forget the stage that failed: it has no line."""
        self._stage = None

    def _finish_node(self) -> None:
        if self._stage is None:
            return
        stage, self._stage = self._stage, None
        self._wall_s[stage] += time.perf_counter() - self._began_s
        self._nodes_left[stage] -= 1
        if self._nodes_left[stage] == 0:
            line = stage_line(stage, self._wall_s[stage], self._metrics.get(stage, {}))
            print(line, file=sys.stderr, flush=True)


def headlines(metrics: Mapping[str, int | float]) -> dict[str, int | float]:
    """Choose the first figures of a stage, without their intervals and counts."""
    shown = [name for name in metrics if not is_interval(name)][:HEADLINES_SHOWN]
    return {name: metrics[name] for name in shown}


def is_interval(name: str) -> bool:
    """Tell whether a metric is the end of another's interval, or the number of cases behind it."""
    return name.endswith(("_low", "_high", "_n"))


def stage_line(stage: str, wall_s: float, metrics: Mapping[str, int | float]) -> str:
    """Write the line: a stage puts its own figures in the order it wants them read."""
    figures = "  ".join(f"{name}={_figure(value)}" for name, value in headlines(metrics).items())
    return f"{stage:<16} {wall_s:7.1f} s  {figures}"


def _figure(value: int | float) -> str:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) >= 10)
    return f"{int(value):,}" if whole else f"{value:.3f}" if isinstance(value, float) else str(value)
