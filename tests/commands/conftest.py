"""Puts the fakes that tests/alarms and this folder share on the path (see tests/conftest.py)."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "alarms")]
