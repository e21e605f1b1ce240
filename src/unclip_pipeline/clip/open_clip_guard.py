"""The one door through which open_clip and torchvision are imported.

An ordinary torchvision wheel beside a CPU build of torch cannot load its compiled part, and `import torchvision`
then stops with ``operator torchvision::nms does not exist``. Nothing here calls that operator: declaring its schema
is enough. Where the compiled part loads, nothing is declared.
"""

import importlib.machinery
import importlib.util
from pathlib import Path

import torch

NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_kept_alive: list[torch.library.Library] = []  # a Library withdraws its schemas when it is collected


def _compiled_part(package: str = "torchvision") -> Path | None:
    """Find torchvision's compiled library without importing torchvision."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0])
    names = (f"_C{suffix}" for suffix in importlib.machinery.EXTENSION_SUFFIXES)
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _loads(library: Path | None) -> bool:
    if library is None:
        return False
    try:
        torch.ops.load_library(library)
    except OSError:
        return False
    return True


def declare_missing_operators() -> bool:
    """Declare torchvision's `nms` and `qnms` if nobody has and its compiled part does not load; say whether."""
    if hasattr(torch.ops.torchvision, "nms") or _loads(_compiled_part()):
        return False
    library = torch.library.Library("torchvision", "DEF")
    library.define(f"nms{NMS_SCHEMA}")
    library.define(f"qnms{NMS_SCHEMA}")
    _kept_alive.append(library)
    return True


declare_missing_operators()

import open_clip  # noqa: E402
import timm  # noqa: E402
import torchvision  # noqa: E402

__all__ = ["declare_missing_operators", "open_clip", "timm", "torchvision"]
