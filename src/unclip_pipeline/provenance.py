"""Which code, on which machine."""

import os
import platform
import subprocess
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).resolve().parent


@cache
def code_revision() -> str:
    """Name the git commit of the source, `+dirty` if it has uncommitted changes; else `unversioned`."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return "unversioned"
    return f"{commit}+dirty" if _git("status", "--porcelain", "--", ".") else commit


@cache
def hardware() -> str:
    """Name the processor count, the machine's kind and the first GPU, if there is one."""
    import torch

    gpu = f", {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else ""
    return f"{os.cpu_count()} cores, {platform.machine()} {platform.system()}{gpu}"


def _git(*arguments: str) -> str:
    try:
        answer = subprocess.run(["git", *arguments], cwd=SOURCE, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()
