from pathlib import Path

import pytest
import yaml
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import CatalogProtocol

from unclip_pipeline.dvc_stages import dvc_yaml, imported_files, on_disk, parameter_owners
from unclip_pipeline.pipeline_registry import (
    EMBEDDED_WORLD_ONLY,
    PIPELINES,
    load_pipeline,
    register_pipelines,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def catalog() -> CatalogProtocol:
    bootstrap_project(ROOT)
    with KedroSession.create(project_path=ROOT, env="base") as session:
        return session.load_context().catalog


@pytest.fixture(scope="module")
def stages() -> dict[str, dict[str, list[object]]]:
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def names(entries: list[object]) -> set[str]:
    return {entry if isinstance(entry, str) else next(iter(entry)) for entry in entries}  # type: ignore[call-overload]


def test_dvc_yaml_is_what_the_registry_and_the_catalog_say() -> None:
    bootstrap_project(ROOT)
    assert (ROOT / "dvc.yaml").read_text() == dvc_yaml(ROOT), "run `kedro dvc-sync`"


def test_every_stage_is_a_pipeline_in_running_order(stages: dict[str, dict[str, list[object]]]) -> None:
    assert list(stages) == list(PIPELINES)


def test_every_file_a_pipeline_saves_is_an_output_of_its_stage_and_of_no_other(
    stages: dict[str, dict[str, list[object]]], catalog: CatalogProtocol
) -> None:
    claimed: list[str] = []
    for name, stage in stages.items():
        outputs = set().union(*(names(stage.get(kind, [])) for kind in ("outs", "metrics", "plots")))
        saved = {
            Path(str(catalog.get(out)._filepath))
            for out in on_disk(load_pipeline(name).all_outputs(), catalog)
        }
        assert {ROOT / path for path in outputs} == {ROOT / path for path in saved}, name
        claimed += outputs
    assert len(claimed) == len(set(claimed))


def test_every_file_a_stage_reads_is_made_by_an_earlier_one_or_is_given(
    stages: dict[str, dict[str, list[object]]],
) -> None:
    made: set[str] = set()
    for name, stage in stages.items():
        data = {path for path in names(stage["deps"]) if path.startswith("data/")}
        assert data <= made | {"data/01_raw/takedown_list.csv", "data/01_raw/annotations"}, name
        made |= set().union(*(names(stage.get(kind, [])) for kind in ("outs", "metrics", "plots")))


def test_only_stages_that_go_on_by_shards_keep_outputs(
    stages: dict[str, dict[str, list[object]]],
) -> None:
    kept = {
        name
        for name, stage in stages.items()
        for entry in stage.get("outs", [])
        if isinstance(entry, dict) and any(options.get("persist") for options in entry.values())
    }
    assert kept == {"scrape", "embed", "filter"}


def test_only_the_embedded_worlds_stages_read_the_truth(stages: dict[str, dict[str, list[object]]]) -> None:
    truth = "data/01_raw/world_truth.parquet"
    assert {name for name, stage in stages.items() if truth in names(stage["deps"])} == {"scorecard"}
    assert register_pipelines()["from_urls"].inputs() & {"world_truth", "world_site"} == set()
    assert EMBEDDED_WORLD_ONLY == {"render_world", "scorecard"}


def test_imports_inside_functions_count_as_dependencies(tmp_path: Path) -> None:
    source = tmp_path / "src"
    package = source / "unclip_pipeline"
    package.mkdir(parents=True)
    for name in ("__init__", "late", "early"):
        (package / f"{name}.py").touch()
    reader = tmp_path / "reader.py"
    reader.write_text("from unclip_pipeline import early\ndef f():\n    import unclip_pipeline.late\n")
    assert {file.stem for file in imported_files(reader, source)} == {"__init__", "early", "late"}


def test_no_parameter_file_interpolates_since_dvc_reads_it_raw() -> None:
    for file in (ROOT / "conf").rglob("parameters*.yml"):
        assert "${" not in file.read_text(), file


def test_every_parameter_section_has_one_owner_and_is_read_by_a_pipeline() -> None:
    owners = parameter_owners(ROOT)
    inputs = set().union(*(load_pipeline(name).inputs() for name in PIPELINES))
    read = {name.removeprefix("params:").partition(".")[0] for name in inputs if name.startswith("params:")}
    assert set(owners) - {"serve_world", "cascade"} == read  # by a hook and by the registry


def test_other_environments_know_no_section_that_base_lacks() -> None:
    owners = parameter_owners(ROOT)
    for folder in (ROOT / "conf").iterdir():
        if folder.is_dir() and folder.name not in {"base", "local"}:
            given = {
                key
                for file in folder.glob("parameters*.yml")
                for key in yaml.safe_load(file.read_text()) or {}
            }
            assert given <= set(owners), folder.name
