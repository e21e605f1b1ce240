"""The one door through which open_clip, timm and torchvision are imported.

An ordinary torchvision wheel beside a CPU build of torch cannot load its compiled part, and importing it
then stops with ``operator torchvision::nms does not exist``. Nothing here calls that operator: declaring
its schema is enough. Where the compiled part loads, nothing is declared.
"""

import importlib.machinery
import importlib.util
from pathlib import Path

import torch

NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_kept_alive: list[torch.library.Library] = []  # a Library withdraws its schemas when it is collected


def declare_missing_operators(library: Path | None) -> bool:
    """Declare `nms` and `qnms` unless torchvision's compiled part loads; say whether that was needed."""
    if hasattr(torch.ops.torchvision, "nms") or loads(library):
        return False
    declared = torch.library.Library("torchvision", "DEF")
    declared.define(f"nms{NMS_SCHEMA}")
    declared.define(f"qnms{NMS_SCHEMA}")
    _kept_alive.append(declared)
    return True


def compiled_part(package: str = "torchvision") -> Path | None:
    """Find torchvision's compiled library without importing torchvision."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0])
    names = (f"_C{suffix}" for suffix in importlib.machinery.EXTENSION_SUFFIXES)
    return next((folder / name for name in names if (folder / name).is_file()), None)


def loads(library: Path | None) -> bool:
    """Load a library of operators; False if there is none or something it needs is missing."""
    if library is None:
        return False
    try:
        torch.ops.load_library(library)
    except OSError:
        return False
    return True


declare_missing_operators(compiled_part())

import open_clip  # noqa: E402
import timm  # noqa: E402
import torchvision  # noqa: E402

__all__ = ["compiled_part", "declare_missing_operators", "loads", "open_clip", "timm", "torchvision"]
