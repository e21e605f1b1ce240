"""The dataset version a run learned from, in MLflow's words."""

import json
import os
from pathlib import Path
from typing import Any

LONGEST_DIGEST = 36


def dataset_input(folder: Path, *, stage: str) -> tuple[str, Any]:
    """Describe a dataset version as an MLflow input; the digest is DVC's inside a DVC stage, else its own.

    Outside DVC the workspace may differ from dvc.lock, so the lock is read inside a stage only.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    facts = json.loads((folder / "dataset.json").read_text())
    version = str(facts["version"])
    dvc_digest = locked_digest(Path.cwd() / "dvc.lock", folder) if os.environ.get("DVC_STAGE") else None
    source = {"version": version, "dvc_md5": dvc_digest}
    dataset = Dataset(
        name="dataset",
        digest=(dvc_digest or version)[:LONGEST_DIGEST],
        source_type="dvc" if dvc_digest else "local",
        source=json.dumps(source),
        profile=json.dumps(
            {key: value for key, value in facts.items() if isinstance(value, int | float | str)}
        ),
    )
    return version, DatasetInput(dataset, [InputTag("mlflow.data.context", stage)])


def locked_digest(lock: Path, path: Path) -> str | None:
    """Look up the md5 that dvc.lock records for an output."""
    import yaml

    if not lock.is_file():
        return None
    stages = yaml.safe_load(lock.read_text()).get("stages", {})
    outputs = [out for stage in stages.values() for out in stage.get("outs", [])]
    wanted = path.resolve()
    return next((out["md5"] for out in outputs if (lock.parent / out["path"]).resolve() == wanted), None)
