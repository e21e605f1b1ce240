"""The one door to img2dataset: its Resizer, without the package's start-up.

Importing the package brings torch, wandb and all it can do: 290 MB and seconds in every worker. Its Resizer
alone takes 60 MB. One of that one's dependencies asks a package index for news at import unless it is told not
to. So it is imported here alone, and this module only where needed.
"""

import importlib.util
import os
import sys

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
if "img2dataset" not in sys.modules:
    # Known as a package, so that its modules can be imported; its own first lines are never run.
    sys.modules["img2dataset"] = importlib.util.module_from_spec(importlib.util.find_spec("img2dataset"))

from img2dataset.resizer import Resizer  # noqa: E402

__all__ = ["Resizer"]
