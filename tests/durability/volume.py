"""Small file systems of the test: one that can be full, one whose power can be cut."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
FILL_BYTES = 64 * 1024
UNMOUNT_S_MAX = 15.0


def need_root(*programs: str) -> None:
    """Skip with the reason where no file system can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")


def run(*command: str | Path) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]} is not possible here: {done.stderr.strip()}")


@contextlib.contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A tmpfs."""
    need_root("mount")
    folder.mkdir(parents=True, mode=0o700)
    run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700", "penstock-test", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all the space that is left."""
    path = folder / "filler"
    with path.open("ab", buffering=0) as file:
        for size in (FILL_BYTES, 4096, 512):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    continue
    return path


class Ext4:
    """An image with a file system whose power the test cuts."""

    def __init__(self, folder: Path, mebibytes: int) -> None:
        need_root("mount", "mkfs.ext4", "losetup")
        self._image = folder / "disk.img"
        self.place = folder / "mounted"
        self.place.mkdir()
        with self._image.open("wb") as file:
            file.truncate(mebibytes * 1024 * 1024)
        run("mkfs.ext4", "-q", self._image)
        self.mount()

    def mount(self) -> None:
        """Replays the journal, as after a real cut."""
        run("mount", "-o", "loop", self._image, self.place)

    def unmount(self) -> None:
        """Processes that were killed a moment ago may still hold files."""
        until = time.monotonic() + UNMOUNT_S_MAX
        while subprocess.run(["umount", self.place], capture_output=True, check=False).returncode:
            assert time.monotonic() < until, f"{self.place} stays busy"
            time.sleep(0.1)

    def cut_power(self) -> None:
        """What was not synced is gone; nothing more reaches the disk."""
        file = os.open(self.place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(file, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        except OSError as error:
            if error.errno in (errno.ENOTTY, errno.EOPNOTSUPP):
                pytest.skip("this kernel's ext4 has no FS_IOC_SHUTDOWN")
            raise
        finally:
            os.close(file)
