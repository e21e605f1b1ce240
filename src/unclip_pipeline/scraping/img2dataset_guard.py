"""The one door to img2dataset: the parts that are used, without its start-up.

Importing the package brings torch, wandb and all it can do: 290 MB and seconds in every worker. Its Reader
and Resizer alone take 60 MB. One of their dependencies asks a package index for news at import unless it is
told not to. So they are imported here alone, and this module only where needed.
"""

import importlib.util
import os
import sys

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
if "img2dataset" not in sys.modules:
    # Known as a package, so that its modules can be imported; its own first lines are never run.
    sys.modules["img2dataset"] = importlib.util.module_from_spec(importlib.util.find_spec("img2dataset"))

from img2dataset.reader import Reader  # noqa: E402
from img2dataset.resizer import Resizer  # noqa: E402

__all__ = ["Reader", "Resizer"]
