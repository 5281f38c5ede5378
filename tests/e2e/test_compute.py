"""The whole product and its compute process: it dies, comes back, and nobody waits for it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from product import Product, running_product

PSS_MB_MAX = 60


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    with running_product(tmp_path) as made:
        yield made


def wait_for(found: Callable[[], Any], what: str) -> Any:
    until = time.monotonic() + 60
    while not (value := found()):
        assert time.monotonic() < until, what
        time.sleep(0.1)
    return value


def history(product: Product, *arguments: str) -> list[dict[str, str]]:
    done = product.cli("doctor", "--json", *arguments)
    rows = json.loads(done.stdout)["notices"]
    return [row for row in rows if row["name"] == "history"]


def pss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("Pss:"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_compute_may_die_at_any_time(product: Product) -> None:
    wait_for(lambda: product.cli("read", "*/speed").returncode == 0, "the plant is applied")
    core, field, old = (product.pid(name) for name in ("core", "field", "compute"))
    own = os.getpriority(os.PRIO_PROCESS, core)  # not 0 where the tests are nice themselves
    assert min(19, own + 10) == os.getpriority(os.PRIO_PROCESS, old)
    assert pss_mb(old) <= PSS_MB_MAX

    product.kill("compute")
    assert 0 == product.cli("read", "*/speed").returncode, "values are shown meanwhile"
    wait_for(lambda: "ended with -9" in product.log_tail(), "the supervisor says it")

    def verified() -> bool:
        rows = history(product, "--repair")
        return bool(rows) and rows[0]["state"] == "ok"

    wait_for(verified, "a fresh compute on a fresh link verifies")
    assert old != product.pid("compute")
    assert (core, field) == (product.pid("core"), product.pid("field")), "nobody else was disturbed"
    assert 0 == product.stop()
