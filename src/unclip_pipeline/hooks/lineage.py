"""The dataset version a run learned from, in MLflow's words."""

import json
import os
from pathlib import Path
from typing import Any

from unclip_pipeline.corpus.places import DatasetPlace

LONGEST_DIGEST = 36


def dataset_input(place: DatasetPlace, *, stage: str) -> tuple[str, Any]:
    """Describe a dataset version as an MLflow input; the digest is DVC's inside a DVC stage, else its own.

    Outside DVC the workspace may differ from dvc.lock, so the lock is read inside a stage only.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    from unclip_pipeline.corpus.released import dataset_facts

    facts = dataset_facts(place)
    version = str(facts["version"])
    inside_dvc = isinstance(place, Path) and os.environ.get("DVC_STAGE")
    dvc_digest = locked_digest(Path.cwd() / "dvc.lock", place) if inside_dvc else None
    source = {"version": version, "dvc_md5": dvc_digest}
    if not isinstance(place, Path):
        source["url"] = place.url
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
