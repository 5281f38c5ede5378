"""Puts the rig of the browser tests and the Modbus kit on sys.path."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "browser"), str(TESTS / "connectors" / "modbus")]
