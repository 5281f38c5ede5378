"""A job's way to the history: the snapshot that core keeps for it."""

from __future__ import annotations

import base64
import contextlib
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.pinned import open_pinned, read_manifest
from penstock.model import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from penstock.historian.manifest import Manifest
    from penstock.historian.query import Snapshot
    from penstock.model.event import Json
    from penstock.node.compute.jobs import Job

    Document = dict[str, Json]

SEGMENTS = "segments"


@contextlib.contextmanager
def pinned(
    job: Job, handles: npt.NDArray[np.uint32] | None = None, to_ns: int | None = None
) -> Iterator[Snapshot]:
    """What core sees of these points (None: all), rows before `to_ns` (None: all).

    It does not change inside the block, and its files stay. Refused as core refuses it.
    """
    with _pin(job, handles, to_ns) as document:
        yield open_pinned(job.disk, job.data / SEGMENTS, job.spool.folder, document)


@contextlib.contextmanager
def pinned_manifest(job: Job) -> Iterator[Manifest]:
    """The segments that core lists, for upkeep; their files stay inside the block.

    It holds no newest samples, and nothing of what is only in core's memory.
    """
    with _pin(job, np.zeros(0, np.uint32), None) as document:
        yield read_manifest(job.disk, job.spool.folder, document)


@contextlib.contextmanager
def _pin(job: Job, handles: npt.NDArray[np.uint32] | None, to_ns: int | None) -> Iterator[Document]:
    document = job.ask("pin", {"handles": bitmap_of(handles), "to_ns": to_ns})
    name = str(document["pin"])
    job.pins.add(name)
    try:
        yield document
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
