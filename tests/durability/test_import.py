"""kill -9 of compute, core and everything while a file is imported: no row lost, none doubled."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from whole import ASSET, Whole, _Local, records_of, wait_until

from penstock.historian.imports.handler import SLOT
from penstock.model import Batch, Flag

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

POINTS = 4
ROWS = 400_000
T0_S = 1_767_225_600


def csv_of(rows: int) -> bytes:
    """Rows that count up, the points in turn, a moment for all of them."""
    names = [f"{ASSET}/n{1 + row % POINTS}" for row in range(POINTS)]
    head = "point,time_s,value\n"
    lines = [
        f"{names[row % POINTS]},{T0_S + row // POINTS},{row + 2**53 + 1}" for row in range(rows)
    ]
    return (head + "\n".join(lines) + "\n").encode()


def upload(whole: Whole, data: bytes) -> str:
    unix = json.loads((whole.home / "data" / "ports.json").read_text())["unix"]
    connection = _Local(unix)
    try:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        connection.request("POST", "/api/v1/imports?name=old.csv", data, headers)
        answer = connection.getresponse()
        assert 201 == answer.status, answer.read()
        return str(json.loads(answer.read())["id"])
    finally:
        connection.close()


def state_of(whole: Whole, id_: str) -> str:
    return str(whole.get(f"/imports/{id_}")["state"])


def begin(whole: Whole, id_: str, options: dict[str, Any] | None = None) -> None:
    wait_until(lambda: state_of(whole, id_) != "looking", "the file was looked at")
    if options:
        whole.ask("PUT", f"/imports/{id_}/options", options)
        wait_until(lambda: state_of(whole, id_) != "looking", "the file was looked at")
    assert "ready" == state_of(whole, id_), whole.get(f"/imports/{id_}")
    whole.ask("POST", f"/imports/{id_}/start", {})


def imported_rows(whole: Whole) -> tuple[dict[int, int], int]:
    """(rows by sequence of the import's batches in the log, how often one came again)."""
    found: dict[int, int] = {}
    again = 0
    for record in records_of(whole.home / "data" / "log" / "0"):
        batch = record.payload
        if isinstance(batch, Batch) and batch.origin.slot == SLOT:
            again += batch.sequence in found
            found[batch.sequence] = batch.rows
            assert all((frame.flags & Flag.HISTORICAL).all() for frame in batch.frames)
    return found, again


def counts(whole: Whole) -> list[list[str]]:
    paths = ", ".join(f"'{ASSET}/n{n + 1}'" for n in range(POINTS))
    sql = (
        "SELECT path, count(*), count(DISTINCT value_int), min(value_int), max(value_int) "
        f"FROM samples WHERE path IN ({paths}) "
        "AND time < TIMESTAMPTZ '2026-06-01' GROUP BY path ORDER BY path"
    )
    return list(whole.ask("POST", "/sql", {"sql": sql})["rows"])


def test_an_import_goes_on_through_kills_of_compute_core_and_all(
    whole: Callable[..., Whole],
) -> None:
    it = whole()
    it.start()
    it.wait_flowing()
    id_ = upload(it, csv_of(ROWS))
    begin(it, id_)

    hits = []
    for what in ("compute", "core", "tree"):
        wait_until(lambda: state_of(it, id_) in {"sending", "done"}, "it is being sent")
        hits.append(state_of(it, id_))
        if what == "tree":
            it.kill_tree()
            it.start()
        else:
            it.kill(what)
        it.wait_flowing()
    wait_until(lambda: state_of(it, id_) == "done", "it is done", 120)
    done = it.get(f"/imports/{id_}")
    history = counts(it)
    assert 0 == it.stop()
    batches, again = imported_rows(it)

    assert "sending" == hits[0]
    assert ROWS == done["samples"]
    assert [ROWS // POINTS] * POINTS == [point["count"] for point in done["points"]]
    assert ROWS == sum(batches.values())
    assert 0 == again
    first = 2**53 + 1
    assert [
        [
            f"{ASSET}/n{n + 1}",
            str(ROWS // POINTS),
            str(ROWS // POINTS),
            str(first + n),
            str(first + ROWS - POINTS + n),
        ]
        for n in range(POINTS)
    ] == history
    assert np.array_equal(np.arange(1, len(batches) + 1), sorted(batches))


def test_old_rows_raise_no_alarm_and_move_no_newest_value(whole: Callable[..., Whole]) -> None:
    it = whole()
    it.start()
    it.wait_flowing()
    before = {event["id"] for event in it.journal()}
    lines = "".join(f"{ASSET}/wave,{T0_S + n},{100 * (n % 2)}\n" for n in range(1_000))
    id_ = upload(it, ("point,time_s,value\n" + lines).encode())
    begin(it, id_)
    wait_until(lambda: state_of(it, id_) == "done", "it is done")
    it.wait_flowing()
    newest = it.last(f"{ASSET}/wave")
    old = [e for e in it.journal() if e["id"] not in before and int(e["time_ns"]) < 1_780_000_000e9]

    assert newest is not None
    assert 0 == it.stop()
    assert [] == old
    assert int(newest["time_ns"]) > (T0_S + 1_000) * 1_000_000_000
