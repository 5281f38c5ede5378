"""A job's way to the history: the snapshot that core keeps for it."""

from __future__ import annotations

import base64
import contextlib
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.pinned import open_pinned
from penstock.model import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from penstock.historian.query import Snapshot
    from penstock.node.compute.jobs import Job

SEGMENTS = "segments"


@contextlib.contextmanager
def pinned(
    job: Job, handles: npt.NDArray[np.uint32] | None = None, to_ns: int | None = None
) -> Iterator[Snapshot]:
    """What core sees of these points (None: all), rows before `to_ns` (None: all).

    It does not change inside the block, and its files stay. Refused as core refuses it.
    """
    document = job.ask("pin", {"handles": bitmap_of(handles), "to_ns": to_ns})
    name = str(document["pin"])
    job.pins.add(name)
    try:
        spool = job.spool.folder
        yield open_pinned(job.disk, job.data / SEGMENTS, spool, document)
    finally:
        job.pins.discard(name)
        with contextlib.suppress(Refused):  # core is gone, and with it the pin
            job.ask("release", {"pin": name})


def bitmap_of(handles: npt.NDArray[np.uint32] | None) -> str | None:
    """Handles as bits in little order, base64; None stands for all."""
    if handles is None:
        return None
    bits = np.zeros(int(handles.max(initial=0)) + 1, np.uint8)
    bits[handles] = 1
    return base64.b64encode(np.packbits(bits, bitorder="little").tobytes()).decode()
