"""A simulation that finds nothing proves nothing: it must find every planted bug."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from planted import BUGS, Bug

import penstock

PACKAGE = Path(penstock.__file__).parent
HUNT = Path(__file__).with_name("hunt.py")
COMMON = [number for number, bug in enumerate(BUGS) if not bug.is_rare]
RARE = [number for number, bug in enumerate(BUGS) if bug.is_rare]
SAMPLE = COMMON[::3]
SEEDS, RARE_SEEDS = 15, 600


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.what)
def test_every_bug_can_still_be_planted(bug: Bug) -> None:
    """When the source has moved on, the list has to move with it."""
    assert 1 == (PACKAGE / bug.file).read_text().count(bug.old)


def not_found(folder: Path, numbers: Sequence[int], seeds: int) -> list[str]:
    """Plant one after the other in a copy of the product; those that no schedule shows."""
    copy = folder / "copy"
    shutil.copytree(PACKAGE, copy / "penstock", ignore=shutil.ignore_patterns("static"))
    command = [sys.executable, "-W", "ignore", HUNT, copy, str(seeds), *map(str, numbers)]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [*numbers] == [row["bug"] for row in rows]
    return [row["what"] for row in rows if row["found"] is None]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_planted_bugs_are_found(tmp_path: Path) -> None:
    assert [] == not_found(tmp_path, SAMPLE, SEEDS)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_planted_bug_is_found(tmp_path: Path) -> None:
    assert 20 <= len(BUGS)
    assert [] == not_found(tmp_path / "common", COMMON, 4 * SEEDS)
    assert [] == not_found(tmp_path / "rare", RARE, RARE_SEEDS)
