"""Every value through SQL: exact, or null because there is none."""

from __future__ import annotations

import math
import struct

import pytest
from sql_kit import DAY, HOUR, T0, Plant, ask

from penstock.model import Flag, Quality

YEAR_2099 = 4_070_908_800_123_456_789


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


@pytest.mark.parametrize("is_flushed", [False, True])
def test_floats_are_exact_to_the_bit(plant: Plant, is_flushed: bool) -> None:
    values = [0.1, -0.0, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 2.0**53 + 2]
    plant.put(1, [T0 + row for row in range(7)], values)
    if is_flushed:
        plant.flush()

    found = ask(plant, "SELECT value FROM samples WHERE name = 'level' ORDER BY time_ns").rows

    assert [bits(value) for value in values] == [bits(row[0]) for row in found]


def test_nan_and_a_sample_without_a_value_are_null_and_bad(plant: Plant) -> None:
    plant.put(
        1, [1, 2, 3], [math.nan, 7.0, 1.0], quality=[192, 2, 192], flags=[0, Flag.NO_VALUE, 0]
    )

    found = ask(plant, "SELECT value, is_good FROM samples ORDER BY time_ns").rows
    mean = ask(plant, "SELECT avg(value), count(value), count(*) FROM samples").rows

    assert [(None, False), (None, False), (1.0, True)] == found
    assert [(1.0, 1, 3)] == mean


def test_integers_are_exact_and_also_floats(plant: Plant) -> None:
    plant.put(3, [1, 2, 3, 4], [2**53 + 1, -(2**63), 2**63 - 1, -1])

    found = ask(plant, "SELECT value_int, value FROM samples ORDER BY time_ns").rows

    assert [2**53 + 1, -(2**63), 2**63 - 1, -1] == [row[0] for row in found]
    assert [2.0**53, -(2.0**63), 2.0**63, -1.0] == [row[1] for row in found]


def test_texts_are_exact_and_an_empty_text_is_not_null(plant: Plant) -> None:
    texts = ["", "RUN", "ä€😀", "a\nb", "=x", "\x00"]
    plant.put(4, list(range(6)), texts)

    found = ask(plant, "SELECT value_text, value, value_int FROM samples ORDER BY time_ns").rows

    assert [(text, None, None) for text in texts] == found


@pytest.mark.parametrize("time_ns", [0, 1, -1, 999_999_999, YEAR_2099, -2_208_988_800 * 10**9])
def test_times_are_exact_to_the_nanosecond(plant: Plant, time_ns: int) -> None:
    plant.put(1, [time_ns], [1.0])
    plant.flush()
    moment = f"make_timestamp_ns({time_ns})::TIMESTAMPTZ_NS"
    sql = f"SELECT time_ns, epoch_ns(time) FROM samples WHERE time = {moment}"

    assert [(time_ns, time_ns)] == ask(plant, sql).rows


def test_quality_has_a_word_a_code_and_a_verdict(plant: Plant) -> None:
    codes = [192, 192, 68, 2, 200]
    plant.put(1, list(range(5)), [1.0] * 5, quality=codes)

    found = ask(plant, "SELECT quality, quality_code, is_good FROM samples ORDER BY time_ns").rows

    assert [
        ("good", 192, True),
        ("good", 192, True),
        ("uncertain_simulated", 68, False),
        ("bad_no_communication", 2, False),
        ("quality_200", 200, True),
    ] == found
    assert Quality.GOOD == 192


def test_each_row_names_its_point(plant: Plant) -> None:
    plant.put(3, [1, 2], [5, 6])
    plant.put(1, [1], [0.5])

    found = ask(
        plant,
        "SELECT point::VARCHAR, path, asset, name, kind, unit, simulated, sequence FROM samples "
        "ORDER BY path, time_ns",
    ).rows

    count = (
        "00000000-0000-0000-0000-000000000003",
        "plant/pump/count",
        "plant/pump",
        "count",
        "int",
    )
    assert (*count, "", True, 1) == found[0]
    assert (*count, "", True, 1) == found[1]
    assert ("plant/tank/level", "m", False, 2) == (found[2][1], *found[2][5:])


def test_late_and_corrected_rows_are_as_in_every_other_answer(plant: Plant) -> None:
    plant.put(1, [10, 20, 30], [1.0, 2.0, 3.0])
    plant.flush()
    plant.put(1, [15, 20], [1.5, 2.5], flags=[0, Flag.CORRECTION])
    plant.put(1, [10], [1.0])

    found = ask(plant, "SELECT time_ns, value FROM samples WHERE time_ns BETWEEN 10 AND 30").rows

    assert [(10, 1.0), (15, 1.5), (20, 2.5), (30, 3.0)] == found


def test_points_are_described(plant: Plant) -> None:
    sql = "SELECT path, unit, low, high, simulated, decimals FROM points ORDER BY path"

    found = ask(plant, sql).rows

    assert ("plant/pump/count", "", None, None, True, None) == found[0]
    assert ("plant/tank/level", "m", 0.0, None, False, None) == found[3]


def test_hourly_means_in_one_query(two_days: Plant) -> None:
    sql = (
        "SELECT time_bucket(INTERVAL 1 HOUR, time) AS hour, count(*) FROM samples "
        f"WHERE name = 'flow' AND time_ns < {T0 + DAY} GROUP BY 1 ORDER BY 1"
    )

    found = ask(two_days, sql).rows

    assert 24 == len(found)
    assert {3_600} == {row[1] for row in found}
    assert HOUR / 1e9 == (found[1][0] - found[0][0]).total_seconds()
