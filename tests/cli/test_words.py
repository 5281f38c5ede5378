"""Live frames decoded against their encoder, and values as a person reads them."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.cli.apply import changes, summary
from penstock.cli.live import parse_frame, rows_of
from penstock.cli.outcome import Fault, UsageFault
from penstock.cli.output import age_text
from penstock.cli.points import find_points, matching, value_text
from penstock.cli.quality_words import quality_text
from penstock.cli.times import moment, time_text
from penstock.cli.write import value_of
from penstock.codec.live import LiveType, encode_live, encode_values
from penstock.model import Flag, Frame, TextColumn
from penstock.model.time import format_ns

NOW_NS = 1_700_000_000_000_000_000
SPEED = {"path": "W/P/speed", "id": "1", "kind": "float", "unit_label": "%", "decimals": 1}
STATE = {"path": "W/P/state", "id": "2", "kind": "int", "unit_label": "",
         "labels": {"0": "STOP", "1": "RUN"}}  # fmt: skip
NOTE = {"path": "W/note", "id": "3", "kind": "text", "unit_label": ""}


def frame_of(value: object, quality: list[int], flags: list[int]) -> Frame:
    """Rows one second apart, the last one now."""
    count = len(quality)
    time_ns = NOW_NS - np.arange(count - 1, -1, -1, dtype=np.int64) * 1_000_000_000
    return Frame(
        point=np.arange(count, dtype=np.uint32),
        time_ns=time_ns,
        value=value,
        quality=np.array(quality, np.uint8),
        flags=np.array(flags, np.uint8),
    )


def decoded(frame: Frame, index: list[int]) -> list[tuple[object, ...]]:
    message = encode_values(
        frame,
        np.array(index, np.uint32),
        sequence=7,
        server_time_ns=NOW_NS,
        sid=1,
        is_snapshot=False,
    )
    parsed = parse_frame(message)
    assert 7 == parsed.sequence
    assert NOW_NS == parsed.server_time_ns
    return [(row.index, row.value, row.quality, row.age_ms) for row in rows_of(parsed)]


def test_numbers_are_decoded() -> None:
    empty = int(Flag.NO_VALUE)
    floats = frame_of(np.array([1.5, np.nan, -2.0]), [192, 2, 64], [0, empty, 0])
    integers = frame_of(np.array([2**62 + 1, -1], np.int64), [192, 192], [0, 0])

    assert [(4, 1.5, 192, 2000), (0, None, 2, 1000), (2, -2.0, 64, 0)] == decoded(floats, [4, 0, 2])
    assert [(0, 2**62 + 1, 192, 1000), (1, -1, 192, 0)] == decoded(integers, [0, 1])


def test_texts_are_decoded() -> None:
    texts = frame_of(TextColumn.of(["Öl", "", "wasser"]), [192, 192, 192], [0, 0, 0])

    assert ["Öl", "", "wasser"] == [row[1] for row in decoded(texts, [0, 1, 2])]


def test_other_frames_have_no_rows_and_other_versions_are_refused() -> None:
    beat = encode_live(LiveType.HEARTBEAT, b"{}", sequence=1, server_time_ns=NOW_NS)

    assert [] == list(rows_of(parse_frame(beat)))
    with pytest.raises(ValueError, match="version 9"):
        parse_frame(b"\x01\x09" + beat[2:])
    with pytest.raises(ValueError, match="24 bytes"):
        parse_frame(b"\x01")


@pytest.mark.parametrize(
    ("point", "value", "expected"),
    [
        (SPEED, 42.04, "42.0 %"),
        (SPEED, None, "-"),
        (STATE, "1", "RUN"),
        (STATE, 0, "STOP"),
        (STATE, "7", "7"),
        (NOTE, "hello", "hello"),
        ({**SPEED, "decimals": None}, 1234567.0, "1.23457e+06 %"),
    ],
)
def test_a_value_reads_as_a_person_says_it(point, value, expected) -> None:
    assert expected == value_text(point, value)


@pytest.mark.parametrize(
    ("point", "word", "expected"),
    [(SPEED, "42", 42.0), (STATE, "run", 1), (STATE, "0", 0), (NOTE, "7", "7")],
)
def test_a_word_becomes_the_points_kind(point, word, expected) -> None:
    assert expected == value_of(point, word)


@pytest.mark.parametrize(("point", "word"), [(SPEED, "fast"), (STATE, "1.5"), (STATE, "WALK")])
def test_a_word_that_does_not_fit_is_wrong_usage(point, word) -> None:
    with pytest.raises(UsageFault, match=word):
        value_of(point, word)


def test_patterns_cross_slashes_and_an_exact_path_wins() -> None:
    points = [SPEED, STATE, NOTE, {**NOTE, "path": "W/[1]"}]

    assert [SPEED, STATE] == matching(points, "W/*/s*")
    assert ["W/[1]"] == [point["path"] for point in matching(points, "W/[1]")]
    assert [] == matching(points, "W/P")


def test_a_pattern_without_a_point_is_a_fault() -> None:
    class Answers:
        def get(self, path: str, query: dict[str, str]) -> dict[str, object]:
            return {"points": [SPEED, STATE], "cursor": None}

    with pytest.raises(Fault, match="Near it are"):
        find_points(Answers(), ["W/P/sped"])


def test_times() -> None:
    assert format_ns(NOW_NS + 7) == time_text(NOW_NS + 7)
    assert str(NOW_NS - 90 * 60 * 10**9) == moment("90m", NOW_NS)
    assert "2026-01-01T00:00:00Z" == moment("2026-01-01T00:00:00Z", NOW_NS)
    assert ["-", "0.4 s", "2 min", "3 h", "2 d"] == [
        age_text(age_s) for age_s in (None, 0.4, 120, 3 * 3600, 2 * 86400)
    ]


def test_an_unknown_quality_keeps_its_number() -> None:
    assert "quality_130" == quality_text(130)


def test_changes_read_like_a_plan() -> None:
    answer: dict[str, object] = {
        "added": ["a"], "changed": ["b", "d"], "renamed": [["c", "d"]], "removed": ["e"],
        "points": 9, "rules_added": ["d: Hot"], "rules_changed": [], "rules_removed": [],
        "rules": 2,
    }  # fmt: skip

    assert ["+ a", "~ b", "~ c -> d", "- e", "+ rule d: Hot"] == changes(answer)
    assert "Nothing was changed" in summary(answer, is_plan=True)
    assert "Now 9 points and 2 rules run" in summary(answer, is_plan=False)


def test_a_new_rule_alone_is_something_to_change() -> None:
    nothing = {kind: [] for kind in ("added", "changed", "renamed", "removed")}
    rules = {"rules_added": ["d: Hot"], "rules_changed": [], "rules_removed": [], "rules": 1}
    same = {**rules, "rules_added": []}

    assert "rules: 1 added" in summary({**nothing, **rules, "points": 9}, is_plan=False)
    assert "Nothing to change" in summary({**nothing, **same, "points": 9}, is_plan=False)
