"""A damaged table or footer is mended from the file itself, of day files too, without a log."""

from __future__ import annotations

import numpy as np
import pytest
from compacted import FOLDER, HOUR_NS, Played
from strategies import BASE_NS, frame_of

from penstock.historian.repair import LogSpan, Repaired, repair_segments
from penstock.historian.segment import FOOTER_BYTES, TABLE_ROW_BYTES, SegmentInfo
from penstock.historian.verify import Damage, Report, verify_segments


@pytest.fixture
def played() -> Played:
    """Two segments of three points became one day file; no log has any of it."""
    made = Played()
    for part in range(2):
        for point in (1, 2):
            times = BASE_NS + np.arange(2_000) * 10**9 + part * HOUR_NS
            rows: list[tuple[int, int, object, int, int]] = [
                (point, int(t), float(t % 97), 192, 0) for t in times
            ]
            made.play(frame_of("float", rows))
        made.play("flush")
    made.play("compact")
    return made


def day_file(played: Played) -> SegmentInfo:
    (info,) = played.historian.manifest.segments
    assert 1 == info.generation % 2
    return info


def found(played: Played) -> list[Damage]:
    report = Report()
    segments = played.historian.manifest.segments
    verify_segments(played.disk, FOLDER, segments, report, lambda _bytes: None)
    return report.damage


def repair(played: Played) -> Repaired:
    played.disk.make_folder(FOLDER.parent / "log/0")
    span = LogSpan(played.disk, FOLDER.parent / "log/0", 0)
    manifest = played.historian.manifest
    done = repair_segments(
        played.disk,
        FOLDER,
        manifest.segments,
        manifest.version,
        found(played),
        span,
        lambda _bytes: None,
    )
    if done.proposal is not None:
        played.historian.swap(done.proposal)
        played.historian.forget_replaced()
    return done


def test_any_wrong_bit_of_table_or_footer_is_mended(played: Played) -> None:
    info = day_file(played)
    content = played.disk.read(FOLDER / info.name)
    size = info.file_bytes - info.table_offset
    assert size >= info.chunks * TABLE_ROW_BYTES + FOOTER_BYTES
    rng = np.random.default_rng(4)
    for bit in rng.choice(size * 8, 60, replace=False).tolist():
        name = day_file(played).name
        played.disk.flip_bit(FOLDER / name, info.table_offset + bit // 8, bit % 8)
        assert found(played)
        done = repair(played)

        assert ({}, []) == (done.left, found(played))
        mended = played.disk.read(FOLDER / day_file(played).name)
        assert content[64:] == mended[64:], "all behind the header is as it was"
        assert name not in played.disk.list(FOLDER)


def test_a_footer_that_is_gone_is_written_anew(played: Played) -> None:
    info = day_file(played)
    content = played.disk.read(FOLDER / info.name)
    played.disk.write_whole(FOLDER / info.name, [content[:-FOOTER_BYTES] + bytes(FOOTER_BYTES)])

    assert {} == repair(played).left
    assert content[64:] == played.disk.read(FOLDER / day_file(played).name)[64:]


@pytest.mark.parametrize("where", ["two bits", "table and footer", "cut", "gone"])
def test_what_cannot_be_told_stays_damaged_and_is_named(played: Played, where: str) -> None:
    info = day_file(played)
    path, content = FOLDER / info.name, played.disk.read(FOLDER / info.name)
    if where == "gone":
        played.disk.remove(path)
    elif where == "cut":
        played.disk.write_whole(path, [content[: info.table_offset + 8]])
    else:
        second = info.file_bytes - 10 if where == "table and footer" else info.table_offset + 77
        played.disk.flip_bit(path, info.table_offset + 3, 1)
        played.disk.flip_bit(path, second, 5)
    done = repair(played)

    assert (None, []) == (done.proposal, done.mended)
    assert done.left


def test_a_damaged_chunk_beside_a_damaged_table_keeps_its_name(played: Played) -> None:
    """The table is mended, and says which chunk no log can give."""
    info = day_file(played)
    played.disk.flip_bit(FOLDER / info.name, info.table_offset + 3, 1)
    played.disk.flip_bit(FOLDER / info.name, 200, 1)
    done = repair(played)
    (still,) = found(played)

    assert 1 == len(done.left)
    assert ("chunk", 64) == (still.what, int(still.place.partition("@")[2]))
