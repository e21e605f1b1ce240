"""A project of its own for tests that run the chain as a user would."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from omegaconf import OmegaConf

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


class Project:
    """A copy of the project whose `conf/base` is the test environment, so that DVC's stages are small too."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def path(self, name: str) -> Path:
        """Name a file below the project's data folder."""
        return self.home / "data" / name

    def command(self, *words: str) -> subprocess.Popen[str]:
        """Start a command of the virtual environment in the project."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        environment |= {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.home / "src"),
        }
        return subprocess.Popen(
            words, cwd=self.home, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self, *words: str) -> str:
        """Run a command to its end; show what it said if it fails."""
        process = self.command(*words)
        said, _ = process.communicate(timeout=1700)
        assert process.returncode == 0, f"{' '.join(words)} ended with {process.returncode}:\n{said[-8000:]}"
        return said


def make_project(home: Path) -> Project:
    """Lay out the project with the test environment merged into base and git and dvc ready."""
    (home / "conf/local").mkdir(parents=True)
    (home / "conf/base").mkdir()
    for file in (ROOT / "conf/base").glob("*.yml"):
        overlay = ROOT / "conf/test" / file.name
        if file.name.startswith("parameters") and overlay.is_file():
            OmegaConf.save(
                OmegaConf.merge(OmegaConf.load(file), OmegaConf.load(overlay)), home / "conf/base" / file.name
            )
        else:
            shutil.copy(file, home / "conf/base" / file.name)
    shutil.copy(ROOT / "conf/logging.yml", home / "conf/logging.yml")
    for name in ("pyproject.toml", "dvc.yaml", ".dvcignore", ".telemetry", ".gitignore", "README.md"):
        shutil.copy(ROOT / name, home / name)
    shutil.copytree(ROOT / "src", home / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (home / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", home / ".dvc/config")
    (home / "data/01_raw/annotations").mkdir(parents=True)
    for name in ("takedown_list.csv", "annotations/README.md"):
        shutil.copy(ROOT / "data/01_raw" / name, home / "data/01_raw" / name)
    project = Project(home)
    project.run("git", "init", "--quiet")
    return project
