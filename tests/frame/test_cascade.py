"""Any number of super-resolution stages by configuration alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.project import pipelines as project_pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from unclip_pipeline.dvc_stages import parameter_owners, stage
from unclip_pipeline.models.unet_config import UnetConfig
from unclip_pipeline.pipeline_registry import (
    FROM_URLS,
    PIPELINES,
    cascade,
    load_pipeline,
    package_of,
    register_pipelines,
    use_cascade,
)
from unclip_pipeline.training.cascade import check_cascade
from unclip_pipeline.training.upsampler import UpsamplerTraining

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def two_stages() -> Iterator[None]:
    use_cascade(["upsampler_1024"])
    yield
    use_cascade([])


def parameters(**further: dict[str, Any]) -> dict[str, Any]:
    """A decoder of 32 px and an upsampler to 64 px, with further stages after it."""
    plain = {"channels": [16, 16], "attention": [False, False], "head_width": 16}
    return {
        "decoder": {"side_px": 32, **plain},
        "upsampler": {"side_px": 64, "low_side_px": 32, **plain},
        "cascade": {
            stage: {"network": {**plain, **network}, "training": {"images": 100}}
            for stage, network in further.items()
        },
    }


def test_one_stage_leaves_the_names_as_they_are() -> None:
    assert cascade() == ("upsampler",)
    training = load_pipeline("train_upsampler")
    assert training.all_outputs() == {
        "upsampler_weights",
        "train_upsampler_metrics",
        "train_upsampler_history",
    }
    assert {"params:upsampler", "params:train_upsampler"} <= training.inputs()


@pytest.mark.usefixtures("two_stages")
def test_a_second_stage_is_trained_by_a_pipeline_of_its_own_after_the_first() -> None:
    order = list(PIPELINES)
    assert order[order.index("train_upsampler") + 1] == "train_upsampler_1024"
    training = load_pipeline("train_upsampler_1024")
    assert training.all_outputs() == {
        "upsampler_1024_weights",
        "train_upsampler_1024_metrics",
        "train_upsampler_1024_history",
    }
    parts = {f"params:cascade.upsampler_1024.{part}" for part in ("network", "training")}
    assert parts <= training.inputs() and "params:upsampler" not in training.inputs()
    assert package_of("train_upsampler_1024") == "train_upsampler"
    assert {tag for node in training.nodes for tag in node.tags} == {"train_upsampler_1024"}


@pytest.mark.usefixtures("two_stages")
def test_whoever_draws_or_reports_reads_every_stage() -> None:
    for name in ("evaluate", "audit_samples", "release_model"):
        assert {"upsampler_weights", "upsampler_1024_weights"} <= load_pipeline(name).inputs(), name
    assert {"train_upsampler_1024_metrics", "train_upsampler_1024_history"} <= load_pipeline(
        "report"
    ).inputs()
    whole = register_pipelines()[FROM_URLS]
    assert "upsampler_1024_weights" in whole.all_outputs() and "upsampler_1024_weights" not in whole.inputs()


def test_the_environment_decides_which_stages_there_are() -> None:
    bootstrap_project(ROOT)
    try:
        with KedroSession.create(project_path=ROOT, env="paper") as session:
            read = session.load_context().params["cascade"]["upsampler_1024"]
        assert isinstance(read["network"], UnetConfig) and isinstance(read["training"], UpsamplerTraining)
        assert "train_upsampler_1024" in project_pipelines
        with KedroSession.create(project_path=ROOT, env="base") as session:
            session.load_context()
        assert cascade() == ("upsampler",)
    finally:
        use_cascade([])
        bootstrap_project(ROOT)  # what it registered was the other environment's


def test_a_second_stage_of_base_is_a_dvc_stage_like_the_first() -> None:
    bootstrap_project(ROOT)
    with KedroSession.create(project_path=ROOT, env="base") as session:
        catalog = session.load_context().catalog
    use_cascade(["upsampler_1024"])
    try:
        training = load_pipeline("train_upsampler_1024")
        told = stage("train_upsampler_1024", training, catalog, parameter_owners(ROOT), ROOT)
    finally:
        use_cascade([])
    assert told["cmd"].endswith("--pipelines=train_upsampler_1024")
    assert "src/unclip_pipeline/pipelines/train_upsampler/nodes.py" in told["deps"]
    assert told["outs"] == ["data/06_models/upsampler_1024"]
    keys = [f"cascade.upsampler_1024.{part}" for part in ("network", "training")]
    assert {"conf/base/parameters_train_upsampler.yml": keys} in told["params"]


def test_stages_that_fit_one_another_pass() -> None:
    check_cascade(parameters())
    check_cascade(
        parameters(
            upsampler_128={"side_px": 128, "low_side_px": 64},
            upsampler_512={"side_px": 512, "low_side_px": 128},
        )
    )


def test_a_stage_that_does_not_begin_where_the_one_below_ends_is_named() -> None:
    wrong = parameters(upsampler_1024={"side_px": 1024, "low_side_px": 256})
    said = r"cascade\.upsampler_1024\.network\.low_side_px must be upsampler\.side_px, got 256 and 64"
    with pytest.raises(ValueError, match=said):
        check_cascade(wrong)
    wrong = parameters()
    wrong["upsampler"]["low_side_px"] = 16
    with pytest.raises(ValueError, match=r"upsampler\.low_side_px must be decoder\.side_px, got 16 and 32"):
        check_cascade(wrong)


def test_squares_for_a_network_with_attention_are_refused_before_anything_runs() -> None:
    given = parameters() | {"sampling": {"tile_px": 48}}
    check_cascade(given)
    given["upsampler"]["attention"] = [False, True]
    with pytest.raises(ValueError, match=r"sampling\.tile_px .*upsampler\.attention=\(False, True\)"):
        check_cascade(given)


@pytest.mark.parametrize("sampling", [{"tile_px": -4}, {"tile_px": 32, "tile_overlap_px": -8}])
def test_squares_of_negative_size_are_refused_by_name(sampling: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"sampling\.tile_px .*must not be negative"):
        check_cascade(parameters() | {"sampling": sampling})


@pytest.mark.parametrize(
    "section",
    [{"big": {"network": {}, "training": {}}}, {"upsampler_9": {"netwrok": {}, "training": {}}}],
)
def test_a_stage_by_another_name_or_with_other_parts_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="each with its network and its training"):
        check_cascade(parameters() | {"cascade": section})


def test_a_network_that_cannot_be_built_is_named() -> None:
    with pytest.raises(ValueError, match=r"cascade\.upsampler_128\.network: .*side_pxx"):
        check_cascade(parameters(upsampler_128={"side_pxx": 128, "low_side_px": 64}))
