"""The machine's disk and clock behind the protocols that everything else is given."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from penstock.world import SystemClock, SystemDisk


@pytest.fixture
def disk() -> SystemDisk:
    return SystemDisk()


def test_a_file_grows_at_its_end_in_many_pieces(disk: SystemDisk, tmp_path: Path) -> None:
    """More buffers than one writev takes; empty ones cost nothing."""
    pieces = [b"", *(bytes([n % 256]) * (n % 5) for n in range(3000)), memoryview(b"end")]
    file = disk.append_to(tmp_path / "f")

    assert sum(map(len, pieces)) == file.append(pieces)
    file.append([b"!"])
    file.sync()
    file.close()

    assert b"".join(map(bytes, pieces)) + b"!" == disk.read(tmp_path / "f")
    assert b"end" == disk.read(tmp_path / "f", disk.size(tmp_path / "f") - 4, 3)


def test_a_partial_write_is_continued(disk: SystemDisk, tmp_path: Path) -> None:
    """A pipe takes what fits; a disk that is nearly full does the same."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    data = os.urandom(1_000_000)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    file = disk.append_to(path)

    assert len(data) == file.append([data[:300_000], data[300_000:300_001], data[300_001:]])

    file.close()
    reader.join()
    assert [data] == read


def test_a_torn_tail_can_be_cut(disk: SystemDisk, tmp_path: Path) -> None:
    file = disk.append_to(tmp_path / "f")
    file.append([b"whole torn"])
    file.truncate(5)
    file.append([b"more"])
    file.close()

    assert b"wholemore" == disk.read(tmp_path / "f")


def test_a_file_is_replaced_whole_and_for_its_owner_alone(disk: SystemDisk, tmp_path: Path) -> None:
    path = tmp_path / "f"
    (tmp_path / "f.tmp").write_bytes(b"left by a crash")
    disk.write_whole(path, [b"old"])
    disk.write_whole(path, [b"new", b"er"])

    assert b"newer" == path.read_bytes()
    assert ["f"] == disk.list(tmp_path)
    assert 0o600 == path.stat().st_mode & 0o777


def test_a_replacement_that_fails_leaves_the_old_file(disk: SystemDisk, tmp_path: Path) -> None:
    path = tmp_path / "f"
    disk.write_whole(path, [b"old"])
    with pytest.raises(TypeError):
        disk.write_whole(path, ["no bytes"])  # type: ignore[list-item]

    assert b"old" == path.read_bytes()


def test_folders_are_made_with_their_parents(disk: SystemDisk, tmp_path: Path) -> None:
    disk.make_folder(tmp_path / "a" / "b")
    disk.make_folder(tmp_path / "a" / "b")

    assert ["b"] == disk.list(tmp_path / "a")
    assert 0o700 == (tmp_path / "a" / "b").stat().st_mode & 0o777
    assert [] == disk.list(tmp_path / "nowhere")
    assert 0 < disk.free_bytes(tmp_path)


def test_what_is_gone_can_be_removed_again(disk: SystemDisk, tmp_path: Path) -> None:
    disk.write_whole(tmp_path / "f", [b"x"])
    disk.remove(tmp_path / "f")
    disk.remove(tmp_path / "f")

    with pytest.raises(FileNotFoundError):
        disk.size(tmp_path / "f")
    with pytest.raises(FileNotFoundError):
        disk.read(tmp_path / "f")


async def test_the_clock_waits_and_never_goes_back() -> None:
    clock = SystemClock()
    begin_ns = clock.monotonic_ns()

    await clock.wait_until(begin_ns + 2_000_000)
    await clock.wait_until(0)

    assert 2_000_000 <= clock.monotonic_ns() - begin_ns
    assert clock.now_ns() > 1_700_000_000_000_000_000


def test_bytes_can_be_written_again_in_their_place(disk: SystemDisk, tmp_path: Path) -> None:
    disk.write_whole(tmp_path / "f", [b"sound doubtful"])
    disk.renew(tmp_path / "f", 6)

    assert b"sound doubtful" == disk.read(tmp_path / "f")
