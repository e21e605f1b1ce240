"""Promises of the repository that no single room can keep alone."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from unclip_pipeline.pipeline_registry import PIPELINES

ROOT = Path(__file__).resolve().parents[2]
LIGHT = [
    "render_world",
    "harvest",
    "scrape",
    "filter",
    "annotate",
    "deduplicate",
    "audit_data",
    "release_dataset",
    "scorecard",
    "report",
]  # fmt: skip
HEAVY = {
    "torch",
    "open_clip",
    "img2dataset",
    "mlflow",
    "ray",
    "matplotlib",
    "fastwarc",
    "resiliparse",
    "py3langid",
}


def loaded_after(statement: str) -> set[str]:
    script = (
        f"import json, sys; {statement}; print(json.dumps(sorted(m for m in sys.modules if '.' not in m)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    return set(json.loads(answer.stdout.splitlines()[-1]))


def test_importing_the_package_is_free() -> None:
    assert loaded_after("import unclip_pipeline") & (HEAVY | {"pandas", "numpy", "kedro"}) == set()


@pytest.mark.parametrize("name", LIGHT)
def test_a_light_stage_starts_without_the_heavy_libraries(name: str) -> None:
    assert loaded_after(f"import unclip_pipeline.pipelines.{name}") & HEAVY == set()


def test_readme_lists_every_pipeline_in_running_order() -> None:
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert table == list(PIPELINES)


def test_constraints_pin_every_required_package_to_one_version() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {
        re.split("==", line)[0].lower().replace("_", "-")
        for line in lines
        if line and not line.startswith("#")
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["export"], *extras["ray"]]
    names = {re.split(r"[<>=!\[ ;]", requirement)[0].lower().replace("_", "-") for requirement in wanted}
    assert names - {project["name"].replace("_", "-")} <= pinned
    assert all(re.fullmatch(r"[\w.\-]+==[\w.]+", line) for line in lines if line and not line.startswith("#"))


def test_no_checkpoint_is_a_pickle() -> None:
    source = "\n".join(file.read_text() for file in (ROOT / "src").rglob("*.py"))
    assert not re.search(r"\btorch\.(save|load)\(|\bpickle\.(dump|load)\(", source)


def test_open_clip_is_imported_through_its_guard_alone() -> None:
    guard = ROOT / "src/unclip_pipeline/clip/open_clip_guard.py"
    direct = re.compile(
        r"^\s*(import open_clip|from open_clip\b|import torchvision|from torchvision\b)", re.MULTILINE
    )
    others = [
        file for file in (ROOT / "src").rglob("*.py") if file != guard and direct.search(file.read_text())
    ]
    assert others == []
