"""Puts this folder's shared fakes on the path (see tests/conftest.py)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
