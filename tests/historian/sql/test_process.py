"""SQL in its child process: answers as files, bombs that harm nobody, and what is left behind."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import nanoarrow as na
import numpy as np
import pytest
from local_job import LocalJob
from sql_kit import DAY, T0, VISIBLE, Plant, S

from penstock.historian import Historian, HistorianSettings
from penstock.historian.sql import process
from penstock.model import Flag, Refused
from penstock.world import SystemDisk

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
SMALL = {"time_s_max": 1, "memory_bytes_max": 128 * MIB, "answer_bytes_max": MIB}
YEAR_2099 = 4_070_908_800_123_456_789
HUGE = 10**18


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalJob]:
    """Floats in a segment, integers and texts in memory."""
    data = tmp_path_factory.mktemp("home")
    plant = Plant(Historian.open(SystemDisk(), data / "segments", HistorianSettings()))
    plant.put(1, [0, T0, T0 + 1, YEAR_2099], [-0.0, math.inf, -math.inf, 0.1])
    plant.put(2, T0 + np.arange(50_000) * S, np.arange(50_000) / 10)
    plant.flush()
    plant.put(3, [T0, T0 + 1], [2**53 + 1, -(2**63)])
    plant.put(
        4,
        [T0, T0 + 1, T0 + 2],
        ["", "=1+1", "ä\n"],
        flags=[0, 0, Flag.NO_VALUE],
        quality=[192, 192, 0],
    )
    yield LocalJob(plant, data)
    process.end_all()


@pytest.fixture
def fetch(job: LocalJob) -> Callable[..., tuple[bytes, dict[str, Any]]]:
    def fetch_(sql: str, kind: str = "json", **more: int) -> tuple[bytes, dict[str, Any]]:
        facts = job.sql(sql, kind, **more)
        path = job.spool.folder / facts["file"]
        data = path.read_bytes()
        path.unlink()
        assert [] == job.left_over()
        return data, facts

    return fetch_


def test_json_is_exact_and_states_its_log_sequence(fetch: Any) -> None:
    data, facts = fetch(
        "SELECT path, time, time_ns, value, value_int FROM samples WHERE name <> 'flow'"
    )

    answer = json.loads(data)
    rows = answer["rows"]

    assert ["path", "time", "time_ns", "value", "value_int"] == [
        c["name"] for c in answer["columns"]
    ]
    assert "TIMESTAMPTZ_NS" == answer["columns"][1]["type"]
    assert [["2099-01-01T00:00:00.123456789Z", str(YEAR_2099)]] == [
        row[1:3] for row in rows if row[3] == 0.1
    ]
    assert {"Infinity", "-Infinity"} <= {row[3] for row in rows}
    assert {str(2**53 + 1), str(-(2**63))} <= {row[4] for row in rows}
    zero = next(row for row in rows if row[2] == "0")
    assert -1.0 == math.copysign(1, zero[3])
    assert "1970-01-01T00:00:00.000000000Z" == zero[1]
    assert "4" == answer["sequence"] == facts["sequence"]
    assert (9, False) == (answer["row_count"], answer["is_truncated"])


def test_what_was_read_is_said(fetch: Any) -> None:
    sql = f"SELECT count(*) FROM samples WHERE name = 'flow' AND time_ns < {T0 + 3_600 * S}"

    _, facts = fetch(sql)

    assert 1 == facts["chunks_read"]
    assert 3_600 <= facts["rows_read"] <= 3_601


def test_an_answer_is_cut_at_the_limit_and_says_so(fetch: Any) -> None:
    sql = "SELECT time_ns FROM samples WHERE name = 'flow' ORDER BY time_ns"

    for kind in ("json", "csv", "arrow", "parquet"):
        _, cut = fetch(sql, kind, limit=49_999)
        _, whole = fetch(sql, kind, limit=50_000)
        _, settings = fetch(sql, kind, limit=50_000, rows_max=10)
        assert (49_999, True) == (cut["row_count"], cut["is_truncated"])
        assert (50_000, False) == (whole["row_count"], whole["is_truncated"])
        assert (10, True) == (settings["row_count"], settings["is_truncated"])


def test_csv_guards_formulas_and_keeps_numbers_exact(fetch: Any) -> None:
    sql = (
        "SELECT value_text, value_int, value, time FROM samples "
        "WHERE name IN ('count', 'state') ORDER BY path, time_ns"
    )

    data, _ = fetch(sql, "csv")
    rows = list(csv.reader(io.StringIO(data.decode())))

    assert ["value_text", "value_int", "value", "time"] == rows[0]
    assert ["", str(2**53 + 1), "9007199254740992.0", "2026-09-21T00:00:00.000000000Z"] == rows[1]
    assert str(-(2**63)) == rows[2][1]
    assert float(rows[2][2]) == -(2.0**63)
    assert "'=1+1" == rows[4][0]
    assert b'\n"",,' in data
    assert "" == rows[5][0]


def test_parquet_is_exact_for_whoever_reads_it(fetch: Any, tmp_path: Path) -> None:
    data, _ = fetch("SELECT * FROM samples WHERE name <> 'flow' ORDER BY path, time_ns", "parquet")
    path = tmp_path / "answer.parquet"
    path.write_bytes(data)

    found = duckdb.sql(
        "SELECT epoch_ns(time), time_ns, value, value_int, value_text, typeof(time), typeof(point) "
        f"FROM '{path}'"
    ).fetchall()

    assert all(row[0] == row[1] for row in found)
    assert {("TIMESTAMPTZ_NS", "UUID")} == {row[5:] for row in found}
    assert (2**53 + 1, 2.0**53) == (found[0][3], found[0][2])
    assert ["", "=1+1", None] == [row[4] for row in found[2:5]]
    assert YEAR_2099 == found[-1][0]
    assert -1.0 == math.copysign(1, found[5][2])
    codecs = duckdb.sql(f"SELECT DISTINCT compression FROM parquet_metadata('{path}')").fetchall()
    assert [("ZSTD",)] == codecs


def test_arrow_is_a_stream_that_any_reader_takes(fetch: Any) -> None:
    data, _ = fetch("SELECT time_ns, value, path FROM samples WHERE name = 'level'", "arrow")

    table = na.ArrayStream.from_readable(data).read_all().to_pylist()

    assert [0, T0, T0 + 1, YEAR_2099] == [row["time_ns"] for row in table]
    assert [-0.0, math.inf, -math.inf, 0.1] == [row["value"] for row in table]


@pytest.mark.parametrize("reader", ["pandas", "polars", "pyarrow"])
def test_the_field_s_libraries_read_it(fetch: Any, tmp_path: Path, reader: str) -> None:
    library = pytest.importorskip(reader)
    path = tmp_path / "answer.parquet"
    path.write_bytes(fetch("SELECT time, value FROM samples WHERE name = 'level'", "parquet")[0])

    if reader == "pyarrow":
        table = pytest.importorskip("pyarrow.parquet").read_table(path)
        assert 4 == table.num_rows
        assert "ns" == table.schema.field("time").type.unit
    else:
        assert 4 == len(library.read_parquet(path))


def test_sums_of_integers_stay_exact(fetch: Any, tmp_path: Path) -> None:
    """A sum of BIGINT is a HUGEINT, which Parquet would round to a DOUBLE."""
    sql = "SELECT sum(value_int) AS total FROM samples WHERE name = 'count'"
    expected = 2**53 + 1 - 2**63
    path = tmp_path / "sum.parquet"
    path.write_bytes(fetch(sql, "parquet")[0])

    assert [[str(expected)]] == json.loads(fetch(sql)[0])["rows"]
    assert [(expected,)] == [
        (int(row[0]),) for row in duckdb.sql(f"SELECT total FROM '{path}'").fetchall()
    ]


ENDLESS = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"
LATE, LARGE, EITHER = {"too_slow"}, {"sql_too_large"}, {"sql_too_large", "too_slow"}
BOMBS = [
    ("SELECT count(*) FROM range(1000000000000) a(i), range(1000000) b(j)", LATE),
    ("SELECT length(repeat('x', 4000000000))", LARGE),
    ("SELECT i FROM range(100000000) t(i) ORDER BY hash(i)", EITHER),
    ("SELECT path FROM points WHERE path = repeat('x', 4000000000)", LARGE),
    ("SELECT * FROM range(100000000)", LARGE),
]
MORE_BOMBS = [
    (ENDLESS, LATE),
    ("SELECT sum(i) FROM range(1000000000000) t(i)", LATE),
    ("SELECT repeat('x', 1000000000) FROM range(1000)", LARGE),
    ("SELECT len(array_agg(i)) FROM range(100000000) t(i)", EITHER),
    ("SELECT list_sum(range(4000000000))", EITHER),
    ("SELECT regexp_replace(repeat('a', 50000000), '(a*)*b', '', 'g')", EITHER),
    ("SELECT format('{:1000000000}', 1)", EITHER),
    ("SELECT lpad('x', 2000000000, 'y')", EITHER),
    ("SELECT count(DISTINCT a.i + b.i) FROM range(100000) a(i), range(100000) b(i)", EITHER),
]


@pytest.mark.parametrize(
    ("sql", "codes"),
    [*BOMBS, *(pytest.param(*bomb, marks=pytest.mark.long) for bomb in MORE_BOMBS)],
)
def test_a_bomb_is_ended_with_a_clear_error_and_the_next_query_works(
    job: LocalJob, sql: str, codes: set[str]
) -> None:
    with pytest.raises(Refused) as refused:
        job.sql(sql, limit=HUGE, **SMALL)

    assert refused.value.code in codes
    assert len(refused.value.detail) > 20
    assert [] == job.left_over()
    facts = job.sql("SELECT 1", **SMALL)
    assert 1 == facts["row_count"]
    (job.spool.folder / facts["file"]).unlink()


def test_a_child_that_is_killed_is_replaced(job: LocalJob) -> None:
    process.end_all()
    child = process.borrow(512 * MIB, 256 * MIB)
    os.kill(child._child.pid, signal.SIGKILL)
    child._child.wait()

    with pytest.raises(Refused) as refused:
        child.ask({"op": "plan"}, 5, lambda: False)

    assert "sql_too_large" == refused.value.code
    process.give_back(child)
    facts = job.sql("SELECT 1")
    (job.spool.folder / facts["file"]).unlink()


def endless(job: LocalJob, time_s_max: int) -> dict[str, Any]:
    """A question whose plan alone takes for ever."""
    (job.spool.folder / "points.json").write_bytes(VISIBLE.encode())
    chosen = "SELECT max(i)::VARCHAR FROM range(1000000000000) t(i)"
    return {
        "op": "plan",
        "sql": f"SELECT * FROM samples WHERE path = ({chosen})",
        "handles": "",
        "settings": {"time_s_max": time_s_max},
        "catalogue": str(job.spool.folder / "points.json"),
    }


def test_who_stops_waiting_ends_the_query(job: LocalJob) -> None:
    looks = iter([False] * 5)
    process.end_all()
    child = process.borrow(512 * MIB, 256 * MIB)
    question = endless(job, 60)

    with pytest.raises(Refused) as refused:
        child.ask(question, 60, lambda: next(looks, True))

    assert "cancelled" == refused.value.code
    assert not child.is_alive


def test_an_answer_that_would_take_the_last_of_the_disk_is_ended(
    job: LocalJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child writes by itself: whoever waits for it watches the disk meanwhile."""
    ask = job.ask

    def ask_and_fill(op: str, fields: dict[str, Any]) -> dict[str, Any]:
        job.spool.is_short = op == "pin"
        return ask(op, fields)

    monkeypatch.setattr(job, "ask", ask_and_fill)

    with pytest.raises(Refused) as refused:
        job.sql("SELECT count(*) FROM range(100000000000) a, range(10000000) b", time_s_max=60)

    assert "disk_full" == refused.value.code
    assert [] == job.left_over()


def test_the_child_sees_none_of_our_variables(job: LocalJob) -> None:
    process.end_all()
    os.environ["PENSTOCK_TEST_SECRET"] = "secret"
    try:
        child = process.borrow(512 * MIB, 256 * MIB)
        environment = Path(f"/proc/{child._child.pid}/environ").read_bytes()
    finally:
        del os.environ["PENSTOCK_TEST_SECRET"]
        child.end()

    assert b"secret" not in environment


ORPHAN = """
import os, sys
from penstock.historian.sql.process import Process
child = Process(512 << 20, 256 << 20)
child._child.stdin.write(sys.argv[1].encode() + b"\\n")
child._child.stdin.flush()
print(child._child.pid, flush=True)
os._exit(0)
"""


def test_a_child_at_work_ends_with_its_parent(job: LocalJob) -> None:
    """It reads no end of its input while DuckDB runs, and its own limit is ten minutes away."""
    process.end_all()
    question = json.dumps(endless(job, 600))
    command = [sys.executable, "-c", ORPHAN, question]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    pid = int(done.stdout.split()[0])

    until = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < until, "the child lives on"
        time.sleep(0.05)


def test_a_pin_holds_only_what_the_query_needs(job: LocalJob) -> None:
    """Points by the bitmap, times before the end of the span; no pin outlives the query."""
    job.asked.clear()
    facts = job.sql(f"SELECT count(*) FROM samples WHERE name = 'count' AND time_ns < {T0 + DAY}")
    (job.spool.folder / facts["file"]).unlink()

    assert ["pin", "release"] == job.asked
    assert set() == job.pins
    assert 2 == facts["rows_read"]
