"""Adapters between the catalog, the gates, the bundle and the model registry."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from unclip_pipeline.cards.model_card import ModelFacts, model_card
from unclip_pipeline.cards.release import release_page
from unclip_pipeline.corpus.places import DatasetPlace
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.export import why_not_exportable
from unclip_pipeline.metrics.gates import GatesConfig, judge, require
from unclip_pipeline.pipelines.release_model import bundle as bundles
from unclip_pipeline.pipelines.release_model.registry import register
from unclip_pipeline.provenance import code_revision
from unclip_pipeline.unclip import SamplingConfig
from unclip_pipeline.weights import Weights

USAGE = """import mlflow, pandas as pd
unclip = mlflow.pyfunc.load_model("models:/{name}@{alias}")
png = unclip.predict(pd.DataFrame({{"prompt": ["{prompt}"]}}))["png"][0]

from unclip_pipeline.unclip import UnClip
image = UnClip.load("data/06_models/bundle").generate(["{prompt}"], seed=0)[0]

mlflow models serve -m "models:/{name}@{alias}" --env-manager local --port 5001
curl localhost:5001/invocations -H "Content-Type: application/json" \\
  -d '{{"dataframe_records": [{{"prompt": "{prompt}"}}]}}'    # the PNG comes back in base64"""


@dataclass(frozen=True, kw_only=True)
class ReleaseConfig:
    """Under which name the model is registered."""

    name: str = "unclip"
    alias: str = "champion"
    example_prompt: str = "a picture"  # in the usage lines of the report


def hold_gates(gates: GatesConfig, **metrics: dict[str, Any]) -> pd.DataFrame:
    """Hold every gate; a failed one that nobody overrides by name stops the release here."""
    verdicts = judge(gates, metrics)
    require(verdicts)
    rows = [
        {
            "gate": verdict.gate.name,
            "value": "not measured" if verdict.value is None else f"{verdict.value:.4g}",
            "bound": f"{verdict.gate.sense} {verdict.gate.bound:g}",
            "verdict": "passed" if verdict.passed else "overridden",
        }
        for verdict in verdicts
    ]
    return pd.DataFrame(rows, columns=["gate", "value", "bound", "verdict"])


def bundle(
    target: Path,
    clip: Weights,
    prior: Weights,
    decoder: Weights,
    sampling: SamplingConfig,
    release: ReleaseConfig,
    dataset: DatasetPlace,
    ledger: pd.DataFrame,
    gates: pd.DataFrame,
    evaluate_metrics: dict[str, Any],
    audit_samples_metrics: dict[str, Any],
    audit_data_metrics: dict[str, Any],
    **upsamplers: Weights,
) -> Path:
    """Write weights, sampling settings and model card to one folder."""
    parts = {"clip": clip, "prior": prior, "decoder": decoder, **upsamplers}
    released = Dataset.open(dataset)
    facts = ModelFacts(
        name=release.name,
        dataset_version=released.version,
        embedder_id=released.embedder_id,
        code_revision=code_revision(),
        picture_side_px=max(one.config["architecture"]["side_px"] for one in upsamplers.values()),
        parts=bundles.parts_table(parts),
        why_not_exportable=why_not_exportable(clip=clip, prior=prior, decoder=decoder, cascade=upsamplers),
    )
    metrics = {
        "evaluate": evaluate_metrics,
        "audit_samples": audit_samples_metrics,
        "audit_data": audit_data_metrics,
    }
    card = model_card(facts, metrics, ledger["fate"].value_counts().to_dict(), gates)
    named = ("name", "dataset_version", "embedder_id", "code_revision")
    return bundles.write_bundle(target, parts, sampling, {name: getattr(facts, name) for name in named}, card)


def register_model(bundle: Path, gates: pd.DataFrame, release: ReleaseConfig) -> tuple[dict[str, int], str]:
    """Register the bundle and move the alias to it."""
    description = json.loads((bundle / "unclip.json").read_text())
    card = (bundle / bundles.CARD).read_text()
    tags = {key: str(description[key]) for key in ("dataset_version", "code_revision", "embedder_id")}
    tags |= {f"gate.{one.gate}": f"{one.verdict}: {one.value} {one.bound}" for one in gates.itertuples()}
    version = register(
        bundle,
        name=release.name,
        alias=release.alias,
        tags=tags,
        description=card,
        example=release.example_prompt,
    )
    usage = USAGE.format(name=release.name, alias=release.alias, prompt=release.example_prompt)
    page = release_page(
        {"model": release.name, "version": str(version), **description["weights"]},
        gates,
        usage=usage,
        card=card,
    )
    counts = gates["verdict"].value_counts()
    metrics = {
        "gates": len(gates),
        "gates_passed": int(counts.get("passed", 0)),
        "gates_overridden": int(counts.get("overridden", 0)),
        "model_version": version,
    }
    return metrics, page
