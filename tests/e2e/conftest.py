"""Puts the rig of the browser tests, the Modbus kit and the plant of SQL on sys.path."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "browser"), str(TESTS / "connectors" / "modbus")]
sys.path[:0] = [str(Path(__file__).parent), str(TESTS / "historian" / "sql")]
