"""What chance decides: every model trained again with other seeds on the same scraped pictures.

    kedro run --pipelines=render_world,harvest,scrape
    python benchmarks/seeds.py --into ~/seeds --seeds 0 1 2

Each seed has a project folder of its own, a clone of this checkout with copies of what was scraped, and runs
every stage from `train_clip` to `scorecard` but the release. What is done is not done again, so a stopped
command goes on where it stopped. At the end a table: mean, lowest and highest of each figure over the
seeds, beside the half-width of the 95% interval that one run gives itself. About 11 minutes a seed on two cores.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from unclip_pipeline.progress import progress
from unclip_pipeline.provenance import hardware

LIGHT = ("embed", "filter", "annotate", "deduplicate", "audit_data", "release_dataset")
TURNS = (
    ("train_clip",), LIGHT, ("train_prior",), ("train_decoder",),
    ("train_upsampler", "evaluate", "audit_samples", "scorecard"),
)  # fmt: skip
TIMED_OUT = 124  # of coreutils' timeout
SCRAPED = ("01_raw/**/*", "02_intermediate/scrape*")
FIGURES = {  # stage: which of its metrics say how good the models are
    "scorecard": r"zero_shot_\w+|drawn_(text|prior|image)_(heldout|seen)_\w+|drawn_gain_of_prior_\w+",
    "train_prior": r"(cosine|retrieval|fd)_\w+",
    "train_decoder": r"validation_loss",
    "evaluate": r"(clip_score|r_precision|fd_clip|fd_random|recall_random|coverage_random|sharpness)_"
    r"(text|prior|image|real)|embedding_\w+|upsampler_\w+|copies_(tiles|clip)_\w+_excess",
    "audit_samples": r"prompts_collapsed",
}


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, required=True, help="folder that receives a project a seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path, default=Path("data"), help="data folder with a finished scrape")
    parser.add_argument(
        "--before", default="", help="put before each long turn, such as 'flock FILE timeout 290'"
    )
    options = parser.parse_args()
    projects = {seed: options.into / f"seed{seed}" for seed in options.seeds}
    for project in projects.values():
        prepare(project, options.data)
    for seed, project in projects.items():
        for stages in progress(TURNS, label=f"seed {seed}", unit="turn"):
            before = [] if stages == LIGHT else shlex.split(options.before)
            run_stages(project, stages, seed=seed, before=before)
    print(hardware())
    print(table({seed: figures(project) for seed, project in projects.items()}).to_string())


def prepare(project: Path, data: Path) -> None:
    """Clone this checkout and copy what was scraped, unless that was done before."""
    if (project / ".prepared").exists():
        return
    checkout = Path(__file__).parents[1]
    subprocess.run(["git", "clone", "--quiet", str(checkout), str(project)], check=True)
    for pattern in SCRAPED:
        for file in filter(Path.is_file, data.glob(pattern)):
            target = project / "data" / file.relative_to(data)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    (project / ".prepared").touch()


def run_stages(project: Path, stages: tuple[str, ...], *, seed: int, before: list[str]) -> None:
    """Run the stages of a turn in one seed's project, unless that was done before.

    A training that was told to stop, by `timeout` say, ends well and goes on from its checkpoint.
    """
    command = [*before, "kedro", "run", f"--pipelines={','.join(stages)}", f"--params=seed={seed}"]
    environment = os.environ | {"PYTHONPATH": str((project / "src").resolve())}
    environment |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    log = project / f"{stages[-1]}.log"
    while not all(metrics_of(project, stage).exists() for stage in stages):
        with log.open("w") as said:
            ended = subprocess.run(
                command, cwd=project, env=environment, stdout=said, stderr=said, check=False
            )
        if ended.returncode not in (0, TIMED_OUT):
            sys.exit(f"seed {seed}: {command[-2]} ended with {ended.returncode}; read {log}, then run again")


def metrics_of(project: Path, stage: str) -> Path:
    """Where a stage writes its figures, last of all but its page."""
    return project / f"data/08_reporting/{stage}_metrics.json"


def figures(project: Path) -> dict[str, float]:
    """Read the figures of one project, `stage.metric`, with their intervals."""
    found: dict[str, float] = {}
    for stage in FIGURES:
        metrics = json.loads(metrics_of(project, stage).read_text())
        found |= {
            f"{stage}.{name}": value for name, value in metrics.items() if isinstance(value, int | float)
        }
    return found


def table(by_seed: dict[int, dict[str, float]]) -> pd.DataFrame:
    """Give mean and spread over the seeds, beside the interval of a single run where it gives one."""
    runs = list(by_seed.values())
    rows = {}
    for name in runs[0]:
        stage, metric = name.split(".")
        if not re.fullmatch(FIGURES[stage], metric) or re.search(r"_(low|high|n|chance)$", metric):
            continue
        values = np.array([run.get(name, np.nan) for run in runs])
        halves = [(run.get(f"{name}_high", np.nan) - run.get(f"{name}_low", np.nan)) / 2 for run in runs]
        rows[name] = {
            "mean": values.mean(), "lowest": values.min(), "highest": values.max(),
            "± of one run": np.mean(halves), **{f"seed {seed}": run.get(name) for seed, run in by_seed.items()},
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").round(4)


if __name__ == "__main__":
    main()
