"""The one door to img2dataset.

Importing it takes seconds (it brings torch and more), and one of its dependencies asks a package index for
news at import unless it is told not to. So it is imported here alone, and this module only where needed.
"""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

from img2dataset.downloader import Downloader  # noqa: E402
from img2dataset.reader import Reader  # noqa: E402
from img2dataset.resizer import Resizer  # noqa: E402

__all__ = ["Downloader", "Reader", "Resizer"]
