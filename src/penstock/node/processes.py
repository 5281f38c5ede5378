"""The process table: which processes a role runs, and how long to wait before a restart."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RESTART_S_MIN = 0.2
RESTART_S_MAX = 15.0
STEADY_S = 20.0
COMPUTE_NICE = 10


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process; `links_to_core`: the supervisor gives it a link to core.

    `nice` is added to the supervisor's own priority value: 10 gives way to everything else.
    """

    name: str
    arguments: tuple[str, ...]
    has_control: bool = True
    links_to_core: bool = False
    nice: int = 0

    @property
    def command(self) -> list[str]:
        """Arguments for exec. -X frozen_modules and no site tricks: the same interpreter."""
        return [sys.executable, "-m", *self.arguments]


def process_table(home: Path, node: str, simulator_port: int | None) -> list[ProcessSpec]:
    """Processes of role `all`, in the order in which they start; asked by their supervisor."""
    table = [
        ProcessSpec("core", ("penstock.node.core.main", str(home))),
        ProcessSpec(
            "field",
            ("penstock.node.field.main", str(home / "data"), node),
            links_to_core=True,
        ),
        ProcessSpec(
            "compute",
            ("penstock.node.compute.main", str(home), node),
            links_to_core=True,
            nice=COMPUTE_NICE,
        ),
    ]
    if simulator_port is not None:
        table.append(
            ProcessSpec(
                "simulator",
                # It has no control channel whose end it could notice.
                ("penstock.simulator", "--port", str(simulator_port), "--parent", str(os.getpid())),
                has_control=False,
            )
        )
    return table


def restart_after_s(lived_s: float, previous_s: float) -> float:
    """Pause before a restart: short after a long life, doubling while it dies at once."""
    if lived_s >= STEADY_S:
        return RESTART_S_MIN
    return min(max(previous_s * 2, RESTART_S_MIN), RESTART_S_MAX)
