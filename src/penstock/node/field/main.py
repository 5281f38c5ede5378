"""Entry point of the field process: `python -m penstock.node.field.main`, by the supervisor."""

from __future__ import annotations

import sys
from pathlib import Path
from uuid import UUID

from penstock.link.uplink import Uplink
from penstock.model import Origin
from penstock.node.child import serve_child
from penstock.node.field.service import FieldService
from penstock.node.logs import configure_logs
from penstock.node.loop import run
from penstock.world import SystemClock

SLOT = 1


async def serve(data: Path, node: UUID) -> None:
    """Until the supervisor says stop, or goes away."""
    clock = SystemClock()
    await serve_child(FieldService(clock, Uplink(Origin(node, SLOT, clock.now_ns())), data))


def main() -> None:
    """Arguments: data folder, node UUID."""
    configure_logs("field")
    run(serve(Path(sys.argv[1]), UUID(sys.argv[2])))


if __name__ == "__main__":
    main()
