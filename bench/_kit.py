"""What every bench needs: calibration, machine, medians, the product as a process, one JSON.

A bench prints exactly one JSON object; everything a person wants to see while it
runs goes to standard error. Figures are judged as ratios or after division by
the calibration, because machines differ and are shared.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

RUNS = 3
_PACKAGES = ("numpy", "pcodec", "pymodbus", "sqlalchemy", "fastapi", "uvicorn", "websockets")


def calibration_cpu_s() -> float:
    """CPU-seconds of a fixed loop of numpy and Python: the machine's speed just now."""
    begin = time.process_time()
    numbers = np.arange(1_000_000, dtype=np.float64)
    for _ in range(20):
        numbers = np.sqrt(numbers * 1.000001 + 1.0)
    total = 0
    for index in range(1_000_000):
        total += index & 7
    assert total > 0
    return time.process_time() - begin


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = lines[0].partition(":")[2].strip() if lines else ""
    return {
        "processor": model or platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Versions of the libraries that matter for speed."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def median_of(run: Callable[[], Mapping[str, float]], runs: int = RUNS) -> dict[str, float]:
    """Median of each figure over `runs` runs."""
    rows = []
    for number in range(runs):
        rows.append(run())
        say(f"run {number + 1} of {runs}: {json.dumps(rows[-1])}")
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def run_parts(
    name: str,
    parts: Mapping[str, Callable[[argparse.Namespace], Mapping[str, object]]],
    options: argparse.Namespace,
    bars: Mapping[str, str],
) -> int:
    """Run the parts that `options.only` names, or all; one that fails leaves its reason.

    `bars` are "<= 5" and the like by figure; the exit code is 1 when one is missed or missing,
    so that a run of some parts, which is for trials, never looks like a proof of all.
    """
    figures: dict[str, object] = {"failed": {}, "load_1m_at_start": round(os.getloadavg()[0], 2)}
    failed: dict[str, str] = {}
    for part in options.only or parts:
        say(f"--- {name}: {part}")
        try:
            figures |= parts[part](options)
        except (Exception, pytest_failed()) as error:  # noqa: BLE001 - told, the others go on
            say(traceback.format_exc())
            failed[part] = f"{type(error).__name__}: {error}"
    verdicts = judged(figures, bars)
    emit(name, {**figures, "failed": failed, "bars": bars, "is_reached": verdicts})
    return 0 if not failed and is_all_reached(verdicts) else 1


def pytest_failed() -> type[BaseException]:
    """What `tests.product` raises; it is no Exception."""
    import pytest  # noqa: PLC0415 - only for benches that start the product

    return pytest.fail.Exception


def judged(figures: Mapping[str, object], bars: Mapping[str, str]) -> dict[str, object]:
    """True or False by bar; "UNPROVEN" where the figure is missing or is no number."""
    return {key: _verdict(figures.get(key), bar) for key, bar in bars.items()}


def is_all_reached(verdicts: Mapping[str, object]) -> bool:
    """What is unproven is not reached."""
    return all(verdict is True for verdict in verdicts.values())


def _verdict(figure: object, bar: str) -> bool | str:
    sign, _, limit = bar.partition(" ")
    if not isinstance(figure, int | float) or math.isnan(figure):
        return "UNPROVEN"
    return {
        "<=": figure <= float(limit),
        ">=": figure >= float(limit),
        "<": figure < float(limit),
        ">": figure > float(limit),
    }[sign]


def emit(name: str, figures: Mapping[str, object]) -> None:
    """The one JSON object."""
    document = {
        "bench": name,
        **figures,
        "calibration_cpu_s": round(calibration_cpu_s(), 4),
        "machine": machine(),
        "versions": versions(),
        "kernels": "none",
    }
    print(json.dumps(document))


def say(text: str) -> None:
    """For the person who waits."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def percentile(values: Sequence[float], share: float) -> float:
    """`share` between 0 and 1; the value that this share of all values does not exceed."""
    assert values
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def fdatasync_ms(folder: Path | None = None, count: int = 300) -> list[float]:
    """Milliseconds of 4 KiB append + fdatasync on the disk itself."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        file = os.open(Path(name) / "probe", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        times = []
        for _ in range(count):
            os.write(file, bytes(4096))
            begin = time.perf_counter()
            os.fdatasync(file)
            times.append((time.perf_counter() - begin) * 1e3)
        os.close(file)
    return times


class DiskProbe(threading.Thread):
    """4 KiB append + fdatasync now and then beside a load: what the disk itself takes."""

    def __init__(self, folder: Path, every_s: float = 0.05) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._every_s = every_s
        self._end = threading.Event()
        self.times_ms: list[float] = []

    def run(self) -> None:
        while not self._end.wait(self._every_s):
            self.times_ms += fdatasync_ms(self._folder, 1)

    def stop(self) -> dict[str, float]:
        """Median and p99."""
        self._end.set()
        self.join()
        return {
            "fdatasync_p50_ms": round(percentile(self.times_ms, 0.5), 3),
            "fdatasync_p99_ms": round(percentile(self.times_ms, 0.99), 3),
        }


def cpu_s(pid: int) -> float:
    """User and system CPU-seconds of a living process, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int, kind: str) -> float:
    """Proportional ("Pss") or resident ("Rss") set size in MB (10^6 bytes).

    Pages that other processes of the machine share make Pss smaller, never Rss.
    """
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise AssertionError(f"no {kind} in smaps_rollup")
