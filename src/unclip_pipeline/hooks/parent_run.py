"""The run that stands for one invocation: a `kedro run`, or a whole `dvc repro` of many processes."""

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "unclip"
INVOCATION, HOST, PROCESS = "unclip.invocation", "unclip.host", "unclip.pid"
GIVEN_PARENT = "UNCLIP_PARENT_RUN_ID"


class Parent(NamedTuple):
    """An open parent run and the tags its children share."""

    client: "MlflowClient"
    run_id: str
    tags: dict[str, str]

    def close(self, status: str) -> None:
        """End the parent; under `dvc repro` a later stage opens it again under the same id."""
        self.client.set_terminated(self.run_id, status)


def open_parent(project: Path, run_params: dict[str, Any]) -> Parent:
    """Point MLflow at the store, close runs of dead processes, and find or make this invocation's run."""
    import mlflow

    mlflow.set_tracking_uri(tracking_uri(project))
    client = mlflow.MlflowClient()
    experiment_id = _experiment(client, project)
    mlflow.set_experiment(experiment_id=experiment_id)
    close_abandoned(client, experiment_id)
    tags = _tags(run_params)
    run_id = os.environ.get(GIVEN_PARENT) or _under_dvc(client, experiment_id, tags)
    if run_id is None:
        run_id = client.create_run(experiment_id, run_name=_name(run_params), tags=tags).info.run_id
    else:
        client.update_run(run_id, status="RUNNING")
    return Parent(client, run_id, tags)


def tracking_uri(project: Path) -> str:
    """Name the store: the environment's, or sqlite in the project (DVC's copies use the main one)."""
    home = Path(os.environ.get("DVC_ROOT") or project)
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}"


def close_abandoned(client: "MlflowClient", experiment_id: str) -> None:
    """End as KILLED the runs of this machine whose process is gone."""
    import psutil

    host = socket.gethostname()
    running = client.search_runs(
        [experiment_id], f"attributes.status = 'RUNNING' and tags.`{HOST}` = '{host}'"
    )
    for run in running:
        if not psutil.pid_exists(int(run.data.tags[PROCESS])):
            client.set_terminated(run.info.run_id, "KILLED")


def _experiment(client: "MlflowClient", project: Path) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    local = tracking_uri(project).startswith("sqlite")
    home = Path(os.environ.get("DVC_ROOT") or project)
    kind = {
        "mlflow.experimentKind": "custom_model_development"
    }  # else the UI takes it for one of language models
    return str(client.create_experiment(EXPERIMENT, str(home / "mlartifacts") if local else None, tags=kind))


def _tags(run_params: dict[str, Any]) -> dict[str, str]:
    from mlflow.tracking.context.registry import resolve_tags

    from unclip_pipeline.provenance import code_revision, hardware

    revision = code_revision()
    return {
        **resolve_tags(),  # user and source, which a run made by a client lacks
        "mlflow.source.git.commit": revision.removesuffix("+dirty"),
        "git.dirty": str(revision.endswith("+dirty")).lower(),
        "config.env": str(run_params.get("env") or "local"),
        "hardware": hardware(),
        HOST: socket.gethostname(),
        PROCESS: str(os.getpid()),
    }


def _name(run_params: dict[str, Any]) -> str:
    names = run_params.get("pipeline_names") or [run_params.get("pipeline_name") or "__default__"]
    return "kedro run" if "__default__" in names else "kedro run " + "+".join(str(name) for name in names)


def _under_dvc(client: "MlflowClient", experiment_id: str, tags: dict[str, str]) -> str | None:
    """Find or make the run of the `dvc repro` this process belongs to."""
    if not os.environ.get("DVC_STAGE"):
        return None
    invocation = _dvc_process()
    found = client.search_runs([experiment_id], f"tags.`{INVOCATION}` = '{invocation}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    name = os.environ.get("DVC_EXP_NAME") or "dvc repro"
    return str(
        client.create_run(experiment_id, run_name=name, tags={**tags, INVOCATION: invocation}).info.run_id
    )


def _dvc_process() -> str:
    """Name the nearest ancestor that is dvc by its id and start time."""
    import psutil

    for process in psutil.Process().parents():
        if any(Path(word).name == "dvc" for word in process.cmdline()[:3]):
            return f"{socket.gethostname()}-{process.pid}-{process.create_time():.0f}"
    return f"{socket.gethostname()}-{os.getppid()}"
