"""The guard declares torchvision's operators where, and only where, its compiled part does not load."""

import subprocess
import sys
from pathlib import Path

FRESH = "import sys; from unclip_pipeline.clip import open_clip_guard as guard; import torch; "


def in_a_fresh_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", FRESH + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_open_clip_builds_and_runs_through_the_guard():
    code = (
        "model = guard.open_clip.CustomTextCLIP(8, dict(layers=1, width=8, head_width=8, patch_size=16, "
        "image_size=32), dict(width=8, heads=1, layers=1, context_length=8)); "
        "print(tuple(model.encode_image(torch.zeros(2, 3, 32, 32)).shape))"
    )
    assert in_a_fresh_process(code) == "(2, 8)"


def test_operators_are_declared_exactly_if_the_compiled_part_does_not_load():
    code = "print(len(guard._kept_alive) == (not guard.loads(guard.compiled_part())))"
    assert in_a_fresh_process(code) == "True"


def test_operators_that_are_there_are_not_declared_again():
    assert in_a_fresh_process("print(guard.declare_missing_operators(None))") == "False"


def test_nothing_imports_open_clip_past_the_guard():
    source = Path(__file__).resolve().parents[2] / "src/unclip_pipeline"
    guilty = [
        path.name
        for path in source.rglob("*.py")
        if path.name != "open_clip_guard.py"
        and any(
            line.strip().startswith(
                ("import open_clip", "from open_clip", "import torchvision", "import timm")
            )
            for line in path.read_text().splitlines()
        )
    ]
    assert not guilty
