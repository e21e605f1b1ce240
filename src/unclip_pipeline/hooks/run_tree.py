"""MLflow: one parent run per invocation, a child per stage."""

import atexit
import signal
import sys
import threading
from dataclasses import asdict, is_dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

from unclip_pipeline.corpus.places import DatasetPlace
from unclip_pipeline.hooks.lineage import dataset_input
from unclip_pipeline.hooks.parent_run import Parent, open_parent
from unclip_pipeline.hooks.stage_line import headlines, is_interval
from unclip_pipeline.hooks.stages import stage_of

LONGEST_PARAM = 6000
METRICS, REPORT, HISTORY = "_metrics", "_report", "_history"
DATASET = "dataset.version"


class RunTreeHook:
    """Open the tree, switch children as stages change, log what nodes load and save, close with the truth.

    A run that is interrupted ends as KILLED, one that fails as FAILED; a run whose process was killed
    outright is closed by the next invocation on the same machine.
    """

    def __init__(self) -> None:
        self._parent: Parent | None = None
        self._stage: str | None = None
        self._children: dict[str, str] = {}
        self._params: dict[str, set[str]] = {}
        self._wall_s: dict[str, float] = {}
        self._began_s = 0.0
        self._project = Path.cwd()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the project lies: the store is there unless MLFLOW_TRACKING_URI says otherwise."""
        self._project = Path(context.project_path)

    @hook_impl(trylast=True)
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Open the parent run."""
        self._parent = open_parent(self._project, run_params)
        atexit.register(self._close, "KILLED")  # runs before MLflow's own, which would say FINISHED
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    @hook_impl(tryfirst=True)
    def before_node_run(self, node: Node, inputs: dict[str, Any]) -> None:
        """Switch to the stage's child run and log the node's parameters, one per field."""
        import mlflow

        stage = stage_of(node)
        if stage != self._stage:
            self._end_child("FINISHED")
            self._start_child(stage)
        params = flat_params({name: value for name, value in inputs.items() if name.startswith("params:")})
        logged = self._params.setdefault(stage, set())
        mlflow.log_params({name: value for name, value in params.items() if name not in logged})
        logged |= set(params)
        if "dataset" in inputs and DATASET not in logged:
            self._log_dataset(inputs["dataset"])
            logged.add(DATASET)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log every number of a metrics dataset, and reports and histories as artifacts."""
        import mlflow

        if mlflow.active_run() is None:
            return
        if dataset_name.endswith(METRICS):
            numbers = {name: float(value) for name, value in data.items() if isinstance(value, int | float)}
            mlflow.log_metrics({_grouped(name): value for name, value in numbers.items()})
            self._log_headlines(dataset_name.removesuffix(METRICS), numbers)
        elif dataset_name.endswith(REPORT) or dataset_name == "report":
            mlflow.log_text(data, f"{dataset_name}.html")
        elif dataset_name.endswith(HISTORY):
            mlflow.log_text(data.to_csv(index=False), f"{dataset_name}.csv")

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self) -> None:
        """Close the tree."""
        self._close("FINISHED")

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        """Close the tree as failed."""
        self._close("FAILED")

    def _log_headlines(self, stage: str, numbers: dict[str, float]) -> None:
        """Show the first figures of a stage on the invocation's run, where invocations are compared."""
        if self._parent is not None:
            for name, value in headlines(numbers).items():
                self._parent.client.log_metric(self._parent.run_id, f"{stage}/{name}", value)

    def _close(self, status: str) -> None:
        self._end_child(status)
        if self._parent is not None:
            self._parent.close(status)
            self._parent, self._children, self._params, self._wall_s = None, {}, {}, {}
        atexit.unregister(self._close)

    def _start_child(self, stage: str) -> None:
        """Open the stage's child, or open it again: Kedro may run nodes of two stages in turn."""
        import mlflow

        if stage in self._children:
            mlflow.start_run(run_id=self._children[stage])
        else:
            assert self._parent is not None
            run = mlflow.start_run(run_name=stage, parent_run_id=self._parent.run_id, tags=self._parent.tags)
            self._children[stage] = run.info.run_id
        self._stage, self._began_s = stage, perf_counter()

    def _log_dataset(self, place: DatasetPlace) -> None:
        """Name the dataset version a stage reads. Kedro loads inputs before it says whose they are."""
        import mlflow

        version, entry = dataset_input(place, stage=str(self._stage))
        mlflow.MlflowClient().log_inputs(mlflow.active_run().info.run_id, [entry])
        mlflow.set_tag(DATASET, version)

    def _end_child(self, status: str) -> None:
        """Close the stage's child with the time that its own nodes took: others may have run between them."""
        if self._stage is not None:
            import mlflow

            spent_s = self._wall_s.get(self._stage, 0.0) + perf_counter() - self._began_s
            self._wall_s[self._stage] = spent_s
            mlflow.log_metric("wall_s", spent_s)
            mlflow.end_run(status)
            self._stage = None


def _grouped(name: str) -> str:
    """Put ends of intervals and counts of cases into a section of their own in MLflow's charts."""
    return f"intervals/{name}" if is_interval(name) else name


def flat_params(given: dict[str, Any]) -> dict[str, str]:
    """Flatten typed parameters to one `section.field` each."""
    flat: dict[str, str] = {}
    for name, value in given.items():
        _flatten(name.removeprefix("params:"), value, flat)
    return flat


def _flatten(name: str, value: Any, flat: dict[str, str]) -> None:
    value = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    if isinstance(value, dict) and value:
        for key, item in value.items():
            _flatten(f"{name}.{key}", item, flat)
    else:
        flat[name] = str(value)[:LONGEST_PARAM]
