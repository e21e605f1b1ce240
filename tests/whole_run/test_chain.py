"""The chain as a user runs it: what one `kedro run` of the test environment leaves behind."""

import json
import signal
import subprocess
import time
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from project import Project
from unclip_pipeline.corpus.fates import check_fates
from unclip_pipeline.pipeline_registry import PIPELINES


@pytest.fixture(scope="module")
def tracking(finished: Project) -> dict[str, mlflow.entities.Run]:
    mlflow.set_tracking_uri(f"sqlite:///{finished.home / 'mlflow.db'}")
    runs = mlflow.search_runs(experiment_names=["unclip"], output_format="list", order_by=["start_time ASC"])
    first = next(run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == first.info.run_id]
    return {"": first, **{run.info.run_name: run for run in children}}


def metrics_of(project: Project, stage: str) -> dict[str, float]:
    return json.loads(project.path(f"08_reporting/{stage}_metrics.json").read_text())


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    files = (file for file in folder.rglob("*") if file.is_file() and ".scratch" not in file.parts)
    return {str(file.relative_to(folder)): (file.stat().st_mtime_ns, file.stat().st_size) for file in files}


def wait_for_work(process: "subprocess.Popen[str]", *signs: Path) -> None:
    """Wait until a stage has left its first trace on disk, or has ended."""
    while process.poll() is None and not any(sign.exists() for sign in signs):
        time.sleep(0.02)


def test_every_stage_says_one_line_and_the_report_is_there(finished: Project) -> None:
    said = (finished.home / "run.log").read_text()
    assert all(any(line.startswith(f"{name} ") for line in said.splitlines()) for name in PIPELINES)
    report = finished.path("08_reporting/report.html").read_text()
    assert "data:image" in report and "http://" not in report.replace("http://127.0.0.", "").replace(
        "http://www.w3.org", ""
    ), "the page must be whole in itself"


def test_every_url_has_exactly_one_fate(finished: Project) -> None:
    listed = pd.read_parquet(finished.path("01_raw/url_list.parquet"))
    ledger = pd.read_parquet(finished.path("03_primary/ledger.parquet"))
    assert ledger["uid"].is_unique and ledger["listed"].sum() == len(listed)
    check_fates(ledger["fate"])


def test_what_was_planted_exactly_is_found_exactly(finished: Project) -> None:
    score = metrics_of(finished, "scorecard")
    assert score["every_url_has_one_fate"] == score["opt_outs_respected"] == score["willing_not_refused"] == 1
    assert score["heldout_rows_in_train"] == score["heldout_combinations_in_train"] == 0
    assert score["harvest_recall"] == score["harvest_precision"] == score["template_siblings_kept"] == 1
    assert metrics_of(finished, "deduplicate")["decontamination_left"] == 0


def test_nothing_half_written_is_left_anywhere(finished: Project) -> None:
    assert [path for path in finished.path("").rglob("*.part")] == []


def test_the_model_draws_what_it_is_asked_for(finished: Project) -> None:
    score = metrics_of(finished, "scorecard")
    assert score["zero_shot_shape_seen"] >= 0.85
    assert score["zero_shot_shape_heldout"] >= 0.55  # chance: a quarter, as for colours
    assert score["drawn_prior_heldout_colour"] >= 0.9
    assert score["drawn_prior_heldout_position"] >= 0.85
    assert score["drawn_prior_heldout_background"] >= 0.8
    assert score["drawn_prior_heldout_shape"] >= 0.4
    assert score["drawn_prior_seen_shape"] >= 0.6


def test_the_prior_is_nearer_to_images_than_the_text_is(finished: Project) -> None:
    figures = metrics_of(finished, "evaluate")
    assert figures["embedding_cosine_prior"] > figures["embedding_cosine_shifted"]


def test_one_parent_run_holds_a_finished_child_per_stage(tracking: dict[str, mlflow.entities.Run]) -> None:
    assert set(tracking) == {"", *PIPELINES}
    assert {run.info.status for run in tracking.values()} == {"FINISHED"}
    assert tracking[""].data.tags["hardware"] and tracking[""].data.tags["git.dirty"] in {"true", "false"}


def test_params_are_one_per_field_and_curves_step_by_images_seen(
    tracking: dict[str, mlflow.entities.Run],
) -> None:
    decoder = tracking["train_decoder"]
    assert int(decoder.data.params["train_decoder.batch_size"]) > 0
    curve = mlflow.MlflowClient().get_metric_history(decoder.info.run_id, "loss")
    steps = [point.step for point in curve]
    assert len(steps) >= 3 and steps == sorted(steps)
    assert steps[-1] <= int(decoder.data.params["train_decoder.images"])


def test_a_training_run_names_the_dataset_version_it_learned_from(
    finished: Project, tracking: dict[str, mlflow.entities.Run]
) -> None:
    version = json.loads(finished.path("05_model_input/dataset/dataset.json").read_text())["version"]
    for stage in ("train_prior", "train_decoder", "train_upsampler"):
        assert tracking[stage].inputs.dataset_inputs[0].dataset.digest == version[:36]
        config = json.loads(
            finished.path(f"06_models/{stage.removeprefix('train_')}/config.json").read_text()
        )
        assert config["dataset_version"] == version


def test_the_registered_model_draws_in_one_line(tracking: dict[str, mlflow.entities.Run]) -> None:
    model = mlflow.pyfunc.load_model("models:/unclip@champion")
    drawn = model.predict(pd.DataFrame({"prompt": ["a red circle on the left", "a blue square"]}))
    again = model.predict(pd.DataFrame({"prompt": ["a red circle on the left"]}))
    assert len(drawn) == 2 and len({str(picture) for picture in pd.DataFrame(drawn).iloc[:, 0]}) == 2
    assert len(again) == 1


def test_another_threshold_neither_scrapes_nor_trains(finished: Project) -> None:
    before = snapshot(finished.path(""))
    finished.run("kedro", "run", "--pipelines=filter", "--params=filter.min_caption_words=4")
    after = snapshot(finished.path(""))
    changed = {name for name in before if before[name] != after[name]} | (set(after) - set(before))
    changed -= {"02_intermediate/pair_measures/_SUCCESS"}  # of measures that are all still good
    assert changed and all(Path(name).name.startswith("filter_") for name in changed)


def test_dvc_repro_after_a_committed_run_does_nothing_and_a_threshold_reruns_only_what_depends_on_it(
    finished: Project,
) -> None:
    finished.run("kedro", "run", "--pipelines=filter")
    finished.run("dvc", "commit", "--force", "--quiet")
    said = finished.run("dvc", "repro")
    assert "up to date" in said and "Running stage" not in said
    dry = _after_a_change(finished, "parameters_filter.yml", "filter", "min_caption_words", 4)
    running = {line.split("'")[1] for line in dry.splitlines() if line.startswith("Running stage")}
    assert "filter" in running and not running & {"render_world", "scrape", "train_clip", "embed"}


def _after_a_change(project: Project, file: str, section: str, key: str, value: int) -> str:
    from omegaconf import OmegaConf

    path = project.home / "conf/base" / file
    before = path.read_text()
    config = OmegaConf.create(before)
    config[section][key] = value
    path.write_text(OmegaConf.to_yaml(config))
    try:
        return project.run("dvc", "repro", "--dry")
    finally:
        path.write_text(before)


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize(
    ("stage", "folder"), [("embed", "04_feature/embeddings"), ("train_prior", "06_models/prior")]
)
def test_a_stage_that_is_stopped_leaves_nothing_half_written_and_the_rerun_ends_with_the_same_bytes(
    finished: Project, stage: str, folder: str, stop: signal.Signals
) -> None:
    whole = {path.name: path.read_bytes() for path in finished.path(folder).iterdir()}
    for path in finished.path(folder).iterdir():
        path.unlink()
    finished.path(folder).rmdir()
    process = finished.command("kedro", "run", f"--pipelines={stage}")
    wait_for_work(process, finished.path(folder), finished.path(".scratch") / stage)
    process.send_signal(stop)
    process.communicate(timeout=60)
    if any((finished.path(folder) / mark).exists() for mark in ("_SUCCESS", "config.json")):
        assert {path.name: path.read_bytes() for path in finished.path(folder).iterdir()} == whole
    finished.run("kedro", "run", f"--pipelines={stage}")
    again = {path.name: path.read_bytes() for path in finished.path(folder).iterdir()}
    assert again.keys() == whole.keys()
    assert [name for name in whole if whole[name] != again[name]] == []
    leftovers = [path for path in finished.path(folder).parent.iterdir() if path.suffix in {".part", ".old"}]
    assert leftovers == []
