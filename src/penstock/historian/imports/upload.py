"""Upload: the body of a request goes to the disk part by part, within its limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.historian.imports.look import SOURCE
from penstock.log.reserve import check_room
from penstock.model import Refused

if TYPE_CHECKING:
    from penstock.world import AppendFile, Disk

PART_BYTES = 1024 * 1024


async def store(disk: Disk, folder: Path, parts: AsyncIterator[bytes], bytes_max: int) -> int:
    """Write `folder/source` durably; its size. Refused("too_large") or ("disk_full")."""
    await asyncio.to_thread(disk.make_folder, folder)
    file = await asyncio.to_thread(disk.append_to, folder / SOURCE)
    size, waiting = 0, bytearray()
    try:
        async for part in parts:
            waiting += part
            size += len(part)
            if size > bytes_max:
                raise Refused("too_large", bytes_max=bytes_max)
            if len(waiting) >= PART_BYTES:
                await asyncio.to_thread(_append, disk, folder, file, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(_append, disk, folder, file, bytes(waiting))
        await asyncio.to_thread(file.sync)
    except OSError as error:
        raise Refused("disk_full", error.strerror or "") from error
    finally:
        file.close()
    if not size:
        raise Refused("invalid_request", "The file is empty.")
    return size


def _append(disk: Disk, folder: Path, file: AppendFile, data: bytes) -> None:
    check_room(disk, folder, len(data))
    file.append([data])
