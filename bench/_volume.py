"""A file system in an image whose power can be cut: what was not synced is gone."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
UNMOUNT_S_MAX = 30.0
MEBIBYTES = {"ext4": 256, "xfs": 512}


class Impossible(Exception):
    """This machine cannot do it; the reason."""


class Volume:
    """Loop-mounted; `cut_power` stops it dead and `remount` replays its journal."""

    def __init__(self, folder: Path, kind: str) -> None:
        if os.geteuid() != 0:
            raise Impossible("mounting needs root")
        for program in ("mount", "losetup", f"mkfs.{kind}"):
            if shutil.which(program) is None:
                raise Impossible(f"needs {program}")
        self.kind = kind
        self.place = folder / kind
        self._image = folder / f"{kind}.img"
        if not self._image.exists():
            with self._image.open("wb") as file:
                file.truncate(MEBIBYTES[kind] * 1024 * 1024)
            _run(f"mkfs.{kind}", "-q", str(self._image))
        self.place.mkdir(exist_ok=True)
        if not self.is_mounted():
            self.mount()

    def is_mounted(self) -> bool:
        """By the kernel's list: a file system that was stopped does not answer any more."""
        return f" {self.place} " in Path("/proc/self/mounts").read_text()

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.place))

    def cut_power(self) -> None:
        file = os.open(self.place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(file, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        except OSError as error:
            raise Impossible(f"{self.kind} has no FS_IOC_SHUTDOWN here: {error}") from error
        finally:
            os.close(file)

    def remount(self) -> None:
        self.unmount()
        self.mount()

    def unmount(self) -> None:
        """Processes that were killed a moment ago may still hold files."""
        until = time.monotonic() + UNMOUNT_S_MAX
        while self.is_mounted():
            done = subprocess.run(["umount", str(self.place)], capture_output=True, check=False)
            if done.returncode == 0:
                return
            assert time.monotonic() < until, f"{self.place} stays busy"
            time.sleep(0.05)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Impossible(f"{command[0]}: {done.stderr.strip()}")
