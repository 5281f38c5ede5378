"""Verbs are run as a person runs them: as a process, with nothing inherited."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(home: Path) -> Run:
    """Runs `penstock`; HOME is the test's own (tests/conftest.py)."""

    def call(
        *arguments: str, text: str | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "penstock.cli.main", *arguments],
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return call


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    """A home with one connector of two points and a rule; nothing has been started in it."""
    root = tmp_path / "plant-home"
    (root / "plant" / "connectors").mkdir(parents=True)
    (root / "plant" / "rules").mkdir()
    (root / "penstock.toml").write_text('[plant]\nname = "Test"\n')
    connector = root / "plant" / "connectors" / "line1.toml"
    connector.write_text('plugin = "modbus"\nhost = "127.0.0.1"\nport = 15020\nunit_id = 1\n')
    connector.with_suffix(".csv").write_text(
        "asset,name,kind,unit,low,high,address,type\n"
        "Works/Line 1,speed,float,%,0,100,30002,int16\n"
        "Works/Line 1,state,int,,,,30001,uint16\n"
    )
    return root
