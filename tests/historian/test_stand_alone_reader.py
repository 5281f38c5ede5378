"""The history can be read without Penstock: 150 lines beside the description of the format."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from block_kit import T0, Store, burst
from compacted import ALL_POINTS, FOLDER, Played, steps
from hypothesis import given, settings

from penstock.model import Flag, Frame
from penstock.testing.disk import FakeDisk

READER = Path(__file__).parents[2] / "docs/reference/formats/read_segments.py"
LINES_MAX = 150
Rows = list[tuple[object, ...]]


def copied(disk: FakeDisk, target: Path) -> Path:
    for name in disk.list(FOLDER):
        (target / name).write_bytes(disk.read(FOLDER / name))
    return target


def history(folder: Path, point: int) -> Rows:
    rows = runpy.run_path(str(READER))["history"](folder, point)
    return [
        (time_ns, np.float64(value).tobytes() if isinstance(value, float) else value, *marks)
        for time_ns, value, *marks in rows
    ]


@given(script=steps)
@settings(max_examples=60, deadline=None)
def test_it_reads_what_the_oracle_expects(script: list[Frame | str]) -> None:
    """Duplicates, corrections, late rows, text, int64; raw segments and day files."""
    played = Played(script)
    played.flush()

    with TemporaryDirectory() as name:
        folder = copied(played.disk, Path(name))
        if not played.listed():
            return
        for point in ALL_POINTS:
            expected = [(*row.key, row.flags, row.sequence) for row in played.oracle.visible(point)]
            assert expected == history(folder, point)


def test_it_reads_blocks(tmp_path: Path) -> None:
    store = Store()
    store.take(burst([1, -2, 3]), burst([0.5, -0.0, 1e30], T0 + 10**9, dtype="<f4"))
    store.take(burst([7, 8], flags=Flag.CORRECTION))
    store.flush()

    rows = history(copied(store.disk, tmp_path), 1)

    dt_ns = 1e9 / 25_600
    assert (T0, (dt_ns, [7, 8]), 192, Flag.CORRECTION, 2) == rows[0]
    assert (T0 + 10**9, (dt_ns, [0.5, -0.0, float(np.float32(1e30))]), 192, 0, 1) == rows[1]


def test_it_is_a_program(tmp_path: Path) -> None:
    store = Store()
    store.take(burst([1, 2]))
    store.flush()
    folder = copied(store.disk, tmp_path)

    def printed(*arguments: str) -> str:
        command = [sys.executable, str(READER), str(folder), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert "1\n" == printed()
    assert f"time_ns,value,quality,flags,sequence\n{T0},(39062.5, [1, 2]),192,0,1\n" == printed("1")


@pytest.mark.parametrize("part", ["seg", "manifest"])
def test_damage_ends_it_with_the_name_of_the_file(part: str, tmp_path: Path) -> None:
    store = Store()
    store.take(burst(np.arange(1_000)))
    store.flush()
    folder = copied(store.disk, tmp_path)
    damaged = max(path for path in folder.iterdir() if part in path.name)
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 4
    damaged.write_bytes(data)

    with pytest.raises(SystemExit, match=damaged.name):
        history(folder, 1)


def test_it_is_short_and_stands_alone() -> None:
    lines = READER.read_text().splitlines()

    assert len(lines) <= LINES_MAX
    assert not [line for line in lines if "import penstock" in line or "from penstock" in line]
