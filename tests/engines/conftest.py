"""Workers import what they run by name: let them find the functions beside the tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
