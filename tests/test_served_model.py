"""From gates to a registered model that draws, on the real classes with random weights."""

import base64
import io
import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tiny_stack import SAMPLING, tiny_dataset, tiny_weights
from unclip_pipeline.metrics.gates import GateError, GatesConfig
from unclip_pipeline.pipelines.release_model import nodes
from unclip_pipeline.pipelines.release_model.nodes import ReleaseConfig
from unclip_pipeline.unclip import UnClip

GATES = GatesConfig(
    bounds={"evaluate": {"r_precision_prior": ">= 0.3", "copies": "<= 0.1"}}, override=["evaluate.copies"]
)
MEASURED = {"evaluate": {"r_precision_prior": 0.61, "copies": 0.5}, "audit_samples": {}, "audit_data": {}}
LEDGER = pd.DataFrame({"fate": ["kept"] * 9 + ["filter.unsafe"]})
PROMPTS = ["a red disc", "a blue disc", "a red disc"]


@pytest.fixture(scope="module")
def gates() -> pd.DataFrame:
    return nodes.hold_gates(GATES, **MEASURED)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, gates) -> Path:
    home, weights = tmp_path_factory.mktemp("release"), tiny_weights()
    return nodes.bundle(
        home / "bundle", **weights, sampling=SAMPLING, release=ReleaseConfig(),
        dataset=tiny_dataset(home / "dataset", weights["clip"], train=8, heldout=4),
        ledger=LEDGER, gates=gates,
        **{f"{stage}_metrics": figures for stage, figures in MEASURED.items()},
    )  # fmt: skip


@pytest.fixture(scope="module")
def registered(tmp_path_factory, bundle, gates):
    """The released model in a registry of its own; (metrics, page, store)."""
    home = tmp_path_factory.mktemp("registry")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{home / 'mlflow.db'}")
    mlflow.create_experiment("release", artifact_location=(home / "artifacts").as_uri())
    mlflow.set_experiment("release")
    with mlflow.start_run():
        metrics, page = nodes.register_model(bundle, gates, ReleaseConfig())
    yield metrics, page
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def served(registered):
    return mlflow.pyfunc.load_model("models:/unclip@champion")


def _pixels(png: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(png)))


def test_a_failed_gate_stops_the_release_before_anything_is_written():
    strict = GatesConfig(bounds=GATES.bounds)
    with pytest.raises(GateError, match="copies is 0.5, must be <= 0.1"):
        nodes.hold_gates(strict, **MEASURED)


def test_the_bundle_holds_every_part_and_says_where_it_comes_from(bundle):
    facts = json.loads((bundle / "unclip.json").read_text())
    for part in ("clip", "prior", "decoder", "upsampler"):
        assert (bundle / part / "model.safetensors").is_file() and len(facts["weights"][part]) == 16
    assert facts["dataset_version"] and facts["code_revision"] and facts["embedder_id"]
    card = (bundle / "MODEL_CARD.md").read_text()
    assert "0.61" in card and "overridden" in card and "10.0%" in card


def test_the_bundle_loads_in_one_line_and_draws_what_its_weights_draw(bundle):
    direct = UnClip.from_weights(**tiny_weights(), sampling=SAMPLING).generate(PROMPTS, seed=3)
    loaded = UnClip.load(bundle).generate(PROMPTS, seed=3)
    assert all((np.array(a) == np.array(b)).all() for a, b in zip(direct, loaded, strict=True))


def test_the_registered_model_draws_what_the_bundle_draws_and_the_seed_decides(served, bundle):
    expected = UnClip.load(bundle).generate(PROMPTS, seed=3)
    drawn = served.predict(pd.DataFrame({"prompt": PROMPTS}), params={"seed": 3})["png"]
    assert all((_pixels(png) == np.array(image)).all() for png, image in zip(drawn, expected, strict=True))
    other = served.predict(pd.DataFrame({"prompt": PROMPTS}), params={"seed": 4})["png"]
    assert (_pixels(drawn[0]) != _pixels(other[0])).any() and (_pixels(drawn[0]) != _pixels(drawn[2])).any()


def test_a_served_picture_says_that_and_from_what_it_was_generated(served):
    png = served.predict(pd.DataFrame({"prompt": ["ein Würfel"]}))["png"][0]
    said = Image.open(io.BytesIO(png)).text
    assert said["Description"] == "ein Würfel" and said["DigitalSourceType"] == "trainedAlgorithmicMedia"
    assert said["name"] == "unclip" and said["dataset_version"]


def test_the_scoring_server_answers_text_with_a_png_in_base64(served):
    from fastapi.testclient import TestClient
    from mlflow.pyfunc.scoring_server import init

    answer = TestClient(init(served)).post(
        "/invocations", json={"dataframe_records": [{"prompt": PROMPTS[0]}], "params": {"seed": 3}}
    )
    png = base64.b64decode(answer.json()["predictions"][0]["png"])
    here = served.predict(pd.DataFrame({"prompt": PROMPTS[:1]}), params={"seed": 3})["png"][0]
    assert (_pixels(png) == _pixels(here)).all()


def test_the_version_carries_alias_lineage_gates_and_pinned_requirements(registered):
    metrics, page = registered
    version = mlflow.MlflowClient().get_model_version_by_alias("unclip", "champion")
    assert int(version.version) == metrics["model_version"]
    assert version.tags["gate.evaluate.copies"] == "overridden: 0.5 <= 0.1"
    assert version.tags["gate.evaluate.r_precision_prior"].startswith("passed")
    assert version.tags["dataset_version"] and version.tags["code_revision"]
    assert version.description.startswith("Text in, 32 x 32 pixel picture out.")
    assert version.tags["dataset_version"] in version.description
    pins = Path(mlflow.pyfunc.get_model_dependencies("models:/unclip@champion")).read_text().split()
    assert any(pin.startswith("torch==") for pin in pins) and all(
        "==" in pin and "+" not in pin for pin in pins
    )
    assert metrics["gates"] == 2 and metrics["gates_passed"] == metrics["gates_overridden"] == 1
    assert 'UnClip.load("data/06_models/bundle")' in page.replace("&quot;", '"')
