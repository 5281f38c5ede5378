"""Entry point of compute: `python -m penstock.node.compute.main HOME NODE`, by the supervisor."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from uuid import UUID

from penstock.link.uplink import Uplink
from penstock.model import Origin
from penstock.node.child import serve_child
from penstock.node.compute.service import ComputeService
from penstock.node.logs import configure_logs
from penstock.node.loop import run
from penstock.world import SystemClock, SystemDisk

SLOT = 2
# An import waits for the log rather than fill what live data needs: few batches are under way.
WINDOW_BYTES_MAX = 6 * 1024 * 1024
# When memory ends, this process goes first: it loses a question, core would lose the plant.
OOM_SCORE = b"500"


async def serve(home: Path, node: UUID) -> bool:
    """Until the supervisor says stop, or goes away; whether a job is still at work then."""
    clock = SystemClock()
    uplink = Uplink(Origin(node, SLOT, clock.now_ns()), WINDOW_BYTES_MAX)
    service = ComputeService(clock, SystemDisk(), uplink, home / "data")
    await serve_child(service)
    return service.is_busy


def main() -> None:
    """Arguments: home folder, node UUID."""
    configure_logs("compute")
    with contextlib.suppress(OSError):  # there is none on macOS
        Path("/proc/self/oom_score_adj").write_bytes(OOM_SCORE)
    if run(serve(Path(sys.argv[1]), UUID(sys.argv[2]))):
        # A thread deep in a library hears of no cancellation; what it writes counts only
        # once core has committed it, so it may be cut off anywhere.
        os._exit(0)


if __name__ == "__main__":
    main()
