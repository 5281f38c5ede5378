"""Values and times come out as they stand in the file, to the last bit, or are named as rejects."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from import_kit import imported

from penstock.historian.imports.times import read_times
from penstock.historian.imports.zones import Zone
from penstock.model import Flag, Quality, TextColumn, ValueKind
from penstock.model.time import SECOND_NS, format_ns, parse_ns

HEAD = "time,point,value\n"
T0 = parse_ns("2026-01-01T00:00:00Z")
FEW = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
T_NS = 1_767_225_600_123_456_789
TIMES = st.integers(parse_ns("1825-06-01T00:00:00Z"), parse_ns("2115-06-01T00:00:00Z"))


def rows_of(values: list[str]) -> str:
    lines = [f"{format_ns(T0 + n)},a,{value}\n" for n, value in enumerate(values)]
    return HEAD + "".join(lines)


@FEW
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=200))
def test_floats_come_back_to_the_bit(
    values: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("f")
    dot = imported(folder, rows_of([repr(value) for value in values]), decimal="dot")
    comma = imported(
        folder, rows_of([f'"{value!r}"'.replace(".", ",") for value in values]), decimal="comma"
    )

    bits = np.array(values).view(np.int64).tolist()
    assert bits == np.array(dot.values()).view(np.int64).tolist()
    assert bits == np.array(comma.values()).view(np.int64).tolist()


@FEW
@given(values=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=200))
def test_integers_of_64_bits_come_back(
    values: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    texts = [str(value) for value in values]
    found = imported(tmp_path_factory.mktemp("f"), rows_of(texts), ValueKind.INT)

    assert values == found.values()


@given(time_ns=TIMES, west=st.booleans(), hours=st.integers(0, 14), minutes=st.integers(0, 59))
@settings(max_examples=200, deadline=None)
def test_every_time_is_read_to_the_nanosecond(
    time_ns: int, west: bool, hours: int, minutes: int
) -> None:
    shift = (hours * 60 + minutes) * 60 * SECOND_NS * (-1 if west else 1)
    local = format_ns(time_ns + shift).removesuffix("Z")
    day, clock = local.split("T")
    year, month, number = day.split("-")
    sign = "-" if west else "+"
    offset = f"{sign}{hours:02d}:{minutes:02d}"
    slashed = f"{int(month)}/{int(number)}/{year}"
    texts = {
        "ymd": f"{local}{offset}",
        "dmy": f"{number}.{month}.{year} {clock}{offset}",
        "mdy": f"{slashed} {clock.replace('.', ',')}{offset.replace(':', '')}",
    }
    for order, text in texts.items():
        times = read_times(TextColumn.of([text]), order)
        assert times.is_time[0], text
        assert times.is_utc[0]
        assert time_ns == times.time_ns[0], text
    for unit, digits in (("epoch_s", 9), ("epoch_ms", 6), ("epoch_us", 3), ("epoch_ns", 0)):
        sign, number_ = ("-", -time_ns) if time_ns < 0 else ("", time_ns)
        whole, rest = divmod(number_, 10**digits)
        text = f"{sign}{whole}" + (f".{rest:0{digits}d}" if digits else "")
        assert time_ns == read_times(TextColumn.of([text]), unit).time_ns[0], text


@given(time_ns=TIMES, zone=st.sampled_from(["Europe/Berlin", "America/St_Johns", "Etc/GMT-1"]))
@settings(max_examples=200, deadline=None)
def test_a_local_time_has_its_utc_among_its_readings(time_ns: int, zone: str) -> None:
    seconds = max(time_ns, parse_ns("1902-01-01T00:00:00Z")) // SECOND_NS
    offset = datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    local_ns = (seconds + int(offset.total_seconds())) * SECOND_NS
    read = Zone(zone).read(np.array([local_ns]))

    assert seconds * SECOND_NS in (read.first_ns[0], read.second_ns[0])
    assert not read.is_skipped[0]


@pytest.mark.parametrize(
    "text",
    ["2026-02-30", "2026-13-01", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
     "2026-01-01T00:00:60Z", "2026-01-01T00:00:00.1234567891Z", "2026-01-01T00:00:00X",
     "2026-01-01Q00:00:00", "2100-02-29", "", "x" * 100, "2026-01-01T00:00:00+99:00"],
)  # fmt: skip
def test_what_is_no_time_is_none(text: str) -> None:
    assert not read_times(TextColumn.of([text]), "ymd").is_time[0]


def test_a_value_that_does_not_fit_is_a_reject_with_its_line(tmp_path: Path) -> None:
    texts = ["1.5", "1_000", "0x1F", "abc", "1e400", "1..5", "5 bar", '"1,5"', "--1"]
    found = imported(tmp_path, rows_of(texts), decimal="dot")

    assert [1.5] == found.values()
    assert [3, 4, 5, 6, 7, 8, 9, 10] == [item.row for item in found.checked.rejects]
    assert {"is no number": 8} == found.checked.rejected
    assert "5 bar" in [item.text for item in found.checked.rejects]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.0", 1), ("1.5", None), ("1e3", 1000), ("9223372036854775808", None), ("WAHR", 1),
     ("off", 0), ("True", 1), ("1.0000000001", None), ("+7", 7), (".", None), ("0x10", None)],
)  # fmt: skip
def test_integers_are_never_rounded(text: str, value: int | None, tmp_path: Path) -> None:
    found = imported(tmp_path, rows_of([text]), ValueKind.INT, decimal="dot")

    assert ([] if value is None else [value]) == found.values()
    assert (value is None) == (found.checked.rejected == {"is no integer of 64 bits": 1})


@pytest.mark.parametrize("word", ["NaN", "null", "#NV", "N/A", "---", "inf", "-Infinity"])
def test_words_for_no_value_are_bad_samples(word: str, tmp_path: Path) -> None:
    found = imported(tmp_path, rows_of([word, "1.5"]))

    assert Quality.BAD_NOT_AVAILABLE == found.rows[0][3]
    assert Flag.HISTORICAL | Flag.NO_VALUE == found.rows[0][4]
    assert math.isnan(found.rows[0][2])


def test_an_empty_cell_is_no_sample_and_is_counted(tmp_path: Path) -> None:
    found = imported(tmp_path, rows_of(["", "1.5"]))

    assert [1.5] == found.values()
    assert 1 == found.checked.empty


def test_lines_are_true_behind_empty_lines_and_texts_over_lines(tmp_path: Path) -> None:
    data = (
        HEAD + f'{format_ns(T0)},a,"1.5"\n\n\n{format_ns(T0)},"a\nb",2.5\n{format_ns(T0)},a,oops\n'
    )
    found = imported(tmp_path, data)

    assert [(7, "is no number")] == found.reasons()


def test_a_row_with_too_many_cells_is_not_cut(tmp_path: Path) -> None:
    found = imported(tmp_path, HEAD + f"{format_ns(T0)},a,12,5\n{format_ns(T0)},a,1.5\n")

    assert [1.5] == found.values()
    assert [(2, "has more cells than there are columns")] == found.reasons()


def test_a_sign_that_no_sampled_cell_had_is_not_guessed(tmp_path: Path) -> None:
    lines = [f"{format_ns(T0 + n)},a,{n}\n" for n in range(20_000)]
    lines[6_000] = f"{format_ns(T0 + 6_000)},a,1.500\n"
    found = imported(tmp_path, HEAD + "".join(lines))

    settled = found.look.settled.get("decimal")
    assert settled is None
    assert [6_002] == [item.row for item in found.checked.rejects]
    assert 19_999 == found.checked.samples


def test_the_future_is_no_history(tmp_path: Path) -> None:
    found = imported(tmp_path, rows_of(["1.5", "2.5"]), now_ns=T0 - 3_600 * SECOND_NS)

    assert {"lies in the future": 2} == found.checked.rejected


def test_rows_come_out_by_point_and_time_whatever_their_order(tmp_path: Path) -> None:
    lines = [f"{format_ns(T0 + n)},{'ab'[n % 2]},{n}.5\n" for n in range(100)][::-1]
    found = imported(tmp_path, HEAD + "".join(lines))

    keys = [(row[0], row[1]) for row in found.rows]
    assert sorted(keys) == keys
    assert 100 == len(keys)


def test_a_correction_says_so(tmp_path: Path) -> None:
    found = imported(tmp_path, rows_of(["1.5"]), replace=True)

    assert Flag.HISTORICAL | Flag.CORRECTION == found.rows[0][4]


def test_parquet_keeps_every_bit(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    rows = ", ".join(
        f"(make_timestamp_ns({T_NS + shift}), '{name}', {value}, {integer}, {text}, '{quality}')"
        for shift, name, value, integer, text, quality in (
            (0, "f", "-0.0::DOUBLE", "NULL", "NULL", "good"),
            (1, "f", "'inf'::DOUBLE", "NULL", "NULL", "good"),
            (2, "f", "NULL", "NULL", "NULL", "bad_sensor_failure"),
            (0, "i", "NULL", "9007199254740993::BIGINT", "NULL", "good"),
            (0, "t", "NULL", "NULL", "''", "good"),
        )
    )
    duckdb.sql(
        f"SELECT * FROM (VALUES {rows}) x(time, path, value, value_int, value_text, quality)"
    ).write_parquet(str(tmp_path / "x.parquet"))
    data = (tmp_path / "x.parquet").read_bytes()
    found = imported(tmp_path / "f", data, {"i": ValueKind.INT, "t": ValueKind.TEXT}, zone="UTC")

    t = T_NS
    assert [(t, -0.0, 192), (t + 1, math.inf, 192)] == found.of("f")[:2]
    assert -1 == math.copysign(1, found.of("f")[0][1])
    assert (t + 2, Quality.BAD_SENSOR_FAILURE) == found.of("f")[2][::2]
    assert [(t, 2**53 + 1, 192)] == found.of("i")
    assert [(t, "", 192)] == found.of("t")
