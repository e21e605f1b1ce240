import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from kedro.pipeline import Node

from unclip_pipeline.hooks.lineage import locked_digest
from unclip_pipeline.hooks.parent_run import EXPERIMENT, HOST, PROCESS, close_abandoned, open_parent
from unclip_pipeline.hooks.run_tree import RunTreeHook, flat_params
from unclip_pipeline.hooks.stage_line import stage_line


@dataclass(frozen=True, kw_only=True)
class Config:
    width: int = 8
    rate: float = 0.5


def node(stage: str, name: str) -> Node:
    return Node(lambda: 1, inputs=None, outputs=f"{name}_out", name=name, tags=[stage])


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hook_in(project: Path) -> RunTreeHook:
    hook = RunTreeHook()
    hook._project = project
    return hook


def runs_by_name() -> dict[str, mlflow.entities.Run]:
    runs = mlflow.search_runs(experiment_names=[EXPERIMENT], output_format="list")
    return {run.info.run_name: run for run in runs}


def test_stages_are_children_even_when_their_nodes_take_turns(store: Path) -> None:
    hook = hook_in(store)
    hook.before_pipeline_run({"env": "test"})
    for stage, name in (("filter", "a"), ("embed", "b"), ("filter", "c")):
        hook.before_node_run(node(stage, name), {"params:prior": Config()})
        hook.after_dataset_saved(f"{stage}_metrics", {f"seen_by_{name}": 3, "note": "text is no metric"})
    hook.after_pipeline_run()
    runs = runs_by_name()
    assert set(runs) == {"kedro run", "filter", "embed"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    parent_id = runs["kedro run"].info.run_id
    assert all(runs[name].data.tags["mlflow.parentRunId"] == parent_id for name in ("filter", "embed"))
    assert set(runs["filter"].data.metrics) == {"seen_by_a", "seen_by_c", "wall_s"}
    assert runs["embed"].data.params == {"prior.width": "8", "prior.rate": "0.5"}


def test_a_stage_counts_the_time_of_its_own_nodes(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 1.0, 31.0, 31.0, 33.0])  # filter from 0 to 1 and from 31 to 33
    monkeypatch.setattr("unclip_pipeline.hooks.run_tree.perf_counter", lambda: next(clock))
    hook = hook_in(store)
    hook.before_pipeline_run({})
    for stage, name in (("filter", "a"), ("embed", "b"), ("filter", "c")):
        hook.before_node_run(node(stage, name), {})
    hook.after_pipeline_run()
    walls = {name: run.data.metrics["wall_s"] for name, run in runs_by_name().items() if run.data.metrics}
    assert walls == {"filter": 3.0, "embed": 30.0}


def test_a_failed_stage_and_its_parent_end_as_failed(store: Path) -> None:
    hook = hook_in(store)
    hook.before_pipeline_run({})
    hook.before_node_run(node("filter", "a"), {})
    hook.on_pipeline_error()
    assert {run.info.status for run in runs_by_name().values()} == {"FAILED"}


def test_an_interrupted_run_does_not_claim_to_have_finished(store: Path) -> None:
    script = f"""
from pathlib import Path
from kedro.pipeline import Node
from unclip_pipeline.hooks.run_tree import RunTreeHook
hook = RunTreeHook(); hook._project = Path({str(store)!r})
hook.before_pipeline_run({{}})
hook.before_node_run(Node(lambda: 1, inputs=None, outputs="x", name="a", tags=["filter"]), {{}})
raise KeyboardInterrupt
"""
    subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120, check=False)
    mlflow.set_tracking_uri(f"sqlite:///{store / 'mlflow.db'}")
    assert {run.info.status for run in runs_by_name().values()} == {"KILLED"}


def test_runs_of_dead_processes_are_closed_and_others_left(store: Path) -> None:
    parent = open_parent(store, {})
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    experiment = mlflow.get_experiment_by_name(EXPERIMENT).experiment_id
    tags = {HOST: socket.gethostname(), PROCESS: str(gone.pid)}
    dead = parent.client.create_run(experiment, tags=tags).info.run_id
    close_abandoned(parent.client, experiment)
    assert parent.client.get_run(dead).info.status == "KILLED"
    assert parent.client.get_run(parent.run_id).info.status == "RUNNING"
    assert parent.client.get_run(parent.run_id).data.tags[PROCESS] == str(os.getpid())


def test_the_invocation_shows_the_first_figures_of_each_stage_and_who_ran_it(store: Path) -> None:
    hook = hook_in(store)
    hook.before_pipeline_run({})
    hook.before_node_run(node("filter", "a"), {})
    figures = {"kept_share": 0.9, "kept_share_low": 0.8, "kept_share_high": 0.95, "kept_share_n": 100}
    hook.after_dataset_saved("filter_metrics", figures)
    hook.after_pipeline_run()
    runs = runs_by_name()
    assert runs["kedro run"].data.metrics == {"filter/kept_share": 0.9}
    intervals = {f"intervals/{name}" for name in figures if name != "kept_share"}
    assert set(runs["filter"].data.metrics) == {"kept_share", "wall_s", *intervals}
    for tag in ("mlflow.user", "mlflow.source.name"):
        assert runs["kedro run"].data.tags[tag] == runs["filter"].data.tags[tag]


def test_params_flatten_to_one_per_field() -> None:
    given = {"params:prior": Config(width=4), "params:seed": 3, "params:axes": {"group": {"a": ["x"]}}}
    assert flat_params(given) == {
        "prior.width": "4",
        "prior.rate": "0.5",
        "seed": "3",
        "axes.group.a": "['x']",
    }


def test_the_lock_names_the_digest_of_an_output(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(
        "stages: {release: {outs: [{path: data/dataset, md5: 0123.dir}, {path: data/x, md5: 9}]}}\n"
    )
    assert locked_digest(tmp_path / "dvc.lock", tmp_path / "data/dataset") == "0123.dir"
    assert locked_digest(tmp_path / "dvc.lock", tmp_path / "data/other") is None


def test_a_stage_line_tells_time_and_the_first_figures() -> None:
    line = stage_line(
        "filter", 3.14, {"rows": 20000, "kept_share": 0.91, "kept_share_low": 0.9, "x": 1.0, "y": 2, "z": 3}
    )
    assert line.split() == ["filter", "3.1", "s", "rows=20,000", "kept_share=0.910", "x=1.000", "y=2"]
