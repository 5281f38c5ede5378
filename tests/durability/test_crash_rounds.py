"""Twenty rounds of `./dev bench crash`: log, historian and compaction in one bare process.

Kills on any file system; power cuts on ext4 and xfs where one may be mounted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench" / "crash.py"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_twenty_rounds_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    options = ["--bare", "--kills", "12", "--cuts", "8", "--state", tmp_path / "state.json"]
    command = [sys.executable, BENCH, *options, "--folder", tmp_path]

    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)

    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert [] == found["failures"]
    names = ("kills", "lost", "doubled", "wrong", "manual_repairs")
    assert [12, 0, 0, 0, 0] == [found[name] for name in names]
    assert 0 < min(found[name] for name in ("segments_max", "compactions", "compressed_files"))
    assert 500 < found["accepted"] <= found["logged_records"]
    assert found["cuts"] == 8 or found["power_cuts"] == "UNPROVEN"
