"""The quarantine beside the log: copies of what was damaged or could not be taken, bounded.

`python -m penstock.log.quarantine FILE...` lists the good records in such copies, a JSON
line each, and with `--csv` their samples, so that a person can bring them back.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import structlog

from penstock.codec.layout import Damaged
from penstock.codec.record import RecordHeader, decode_header, find_magic, payload_of
from penstock.log.record import decode_payload
from penstock.model import Batch, TextColumn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.log.record import Payload
    from penstock.world import Disk

log = structlog.get_logger(__name__)
QUARANTINE_BYTES_MAX = 256 * 1024 * 1024


def quarantine_folder(folder: Path) -> Path:
    """`quarantine` beside the partition."""
    return folder.parent / "quarantine"


def keep_bytes(folder: Path, disk: Disk, name: str, data: bytes) -> None:
    """Copy aside; beyond the limit only the name, which says that it was reported."""
    target = quarantine_folder(folder)
    disk.make_folder(target)
    used = sum(disk.size(target / other) for other in disk.list(target))
    if used + len(data) > QUARANTINE_BYTES_MAX:
        log.warning("log_quarantine_full", file=name, bytes=len(data))
        data = b""
    disk.write_whole(target / name, [data])


def records_in(data: bytes) -> Iterator[tuple[RecordHeader, Payload]]:
    """Records that are whole in a copy."""
    at = find_magic(data, 0)
    while at >= 0:
        try:
            header = decode_header(data, at)
            yield header, decode_payload(header, payload_of(header, data, at))
            at += header.record_bytes
        except Damaged:
            at += 8
        at = find_magic(data, at)


def write_samples(out: TextIO, batch: Batch) -> None:
    """Rows point, time_ns, value, quality, flags; points by their handle in this log."""
    rows = csv.writer(out)
    for frame in batch.frames:
        is_text = isinstance(frame.value, TextColumn)
        values = frame.value.to_list() if is_text else frame.value.tolist()  # type: ignore[union-attr]
        columns = (frame.point.tolist(), frame.time_ns.tolist(), values)
        rows.writerows(zip(*columns, frame.quality.tolist(), frame.flags.tolist(), strict=True))


def describe(header: RecordHeader, payload: Payload) -> dict[str, object]:
    """What a record is, for a person."""
    found: dict[str, object] = {
        "sequence": header.sequence,
        "kind": header.kind.name.lower(),
        "receive_ns": header.receive_ns,
        "node": str(header.origin.node),
        "slot": header.origin.slot,
        "incarnation": header.origin.incarnation,
        "origin_sequence": header.origin_sequence,
    }
    if isinstance(payload, Batch):
        return found | {"rows": payload.rows, "blocks": len(payload.blocks)}
    return found | ({"payload": payload} if isinstance(payload, dict) else {})


def main(arguments: list[str], out: TextIO) -> int:
    """Exit code 0 when there was something to read in every file."""
    paths = [Path(item) for item in arguments if item != "--csv"]
    is_empty = not paths
    if is_empty:
        sys.stderr.write("Name one or more files of the folder quarantine.\n")
    for path in paths:
        count = 0
        try:
            data = path.read_bytes()
        except OSError as error:
            sys.stderr.write(f"{path} cannot be read ({error.strerror}); check its name.\n")
            is_empty = True
            continue
        for header, payload in records_in(data):
            count += 1
            if "--csv" not in arguments:
                out.write(json.dumps(describe(header, payload)) + "\n")
            elif isinstance(payload, Batch):
                write_samples(out, payload)
        is_empty |= count == 0
    return int(is_empty)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout))
