"""Runs the simulation on a copy of the product with one planted bug after the other.

`python tests/simulation/hunt.py COPY SEEDS [NUMBER ...]`: COPY holds the package `penstock`
and nothing else. One line of JSON a bug: its number and how it was found, or null.
Each bug gets a process that has the third-party modules already and none of ours.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.dont_write_bytecode = True

from planted import BUGS, Bug  # noqa: E402

THIRD_PARTY = ("numpy", "orjson", "pcodec", "pydantic", "sqlalchemy", "structlog", "zstandard")
EVENTS = 1_500
# A bug that breaks the program at once says nothing about the simulation.
CRASHES = (NameError, SyntaxError, ImportError, AttributeError, TypeError)


def plant(copy: Path, bug: Bug) -> bytes:
    """Change the file; what it was."""
    path = copy / "penstock" / bug.file
    before = path.read_bytes()
    text = before.decode()
    assert 1 == text.count(bug.old), f"{bug.file} does not say {bug.old!r} once: {bug.what}"
    path.write_text(text.replace(bug.old, bug.new))
    return before


def search(copy: Path, seeds: int) -> str | None:
    """The first seed that fails and why; None when none does."""
    sys.path.insert(0, str(copy))
    place = importlib.import_module("penstock").__file__
    assert Path(str(place)).is_relative_to(copy), place
    sim_run = importlib.import_module("sim_run")
    for seed in range(seeds):
        try:
            sim_run.run_quietly(seed, EVENTS)
        except AssertionError as error:
            if isinstance(error.__cause__, CRASHES):
                raise
            return str(error).splitlines()[0]
    return None


def hunt(copy: Path, number: int, seeds: int) -> str | None:
    """Search in a process of its own; None when the bug was not found."""
    bug = BUGS[number]
    path = copy / "penstock" / bug.file
    times = path.stat()
    before = plant(copy, bug)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        found = search(copy, seeds)
        os.write(write, (found or "").encode()[:4000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        found = answer.read()
    _, status = os.waitpid(child, 0)
    path.write_bytes(before)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert status == 0, f"the bug breaks the program itself: {bug.what}"
    return found or None


def main() -> None:
    for name in THIRD_PARTY:
        importlib.import_module(name)
    copy, seeds = Path(sys.argv[1]).resolve(), int(sys.argv[2])
    numbers = [int(number) for number in sys.argv[3:]] or range(len(BUGS))
    for number in numbers:
        found = hunt(copy, number, seeds)
        print(json.dumps({"bug": number, "what": BUGS[number].what, "found": found}), flush=True)


if __name__ == "__main__":
    main()
