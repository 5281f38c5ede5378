"""Some flips of `./dev bench bitrot` in every kind of file that carries its own checksums.

`state.db` is SQLite's and has none but those of sealed rows; the bench says how often that
is seen in an answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench" / "bitrot.py"
KINDS = ("FORMAT", "compressed log", "day segment", "log", "manifest", "raw segment", "receipts")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_flipped_bit_is_never_a_wrong_answer_and_its_file_is_named() -> None:
    options = ["--flips", "16", "--seed", "11", "--kinds", ",".join(KINDS)]
    command = [sys.executable, str(BENCH), *options]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert [] == found["failures"]
    assert (16, 0, 0) == (found["flips"], found["wrong_answers"], found["not_named"])
    assert 8 <= found["detected"]
    assert done.returncode == 0
