"""The rows of the System page and the notices drawn from them."""

from __future__ import annotations

import pytest

from penstock.log import ReaderHandle
from penstock.model.event import Json
from penstock.node.core.system import connection_rows, job_rows, log_notices, notices
from penstock.node.core.views import ConnectionView, JobView, NoticeView

Document = dict[str, Json]


def device(**changes: Json) -> Document:
    """A row of a heartbeat."""
    row: Document = {
        "connector": "pumps", "plugin": "Modbus", "device": "pump-1", "address": "tcp:502",
        "is_protected": False, "is_connected": True, "since_ns": 5, "answer_ms": 3.0,
        "points": 4, "rows": 8, "good_rows": 6,
        "counters": {"polls": 9, "missed": 2, "stretched": 1, "splits": 7},
    }  # fmt: skip
    return row | changes


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "good"),
        ({"answer_ms": 501.0}, "slow"),
        ({"answer_ms": None}, "good"),
        ({"is_connected": False, "answer_ms": None}, "lost"),
        ({"is_connected": None, "answer_ms": None}, "off"),
    ],
)
def test_a_connection_says_how_it_is_and_shows_its_counters(
    changes: Document, expected: str
) -> None:
    (row,) = connection_rows({"devices": [device(**changes)]})
    view = ConnectionView.model_validate(row)

    assert expected == view.state
    assert 75.0 == view.good_pct
    assert 7 == view.counters["splits"]
    assert (2, 1) == (view.missed, view.stretched)


def test_readers_that_lost_records_are_named() -> None:
    link, fine = (ReaderHandle(name, False, None, lambda _: None) for name in ("link", "fine"))
    link.dropped, link.poisoned = 12, 1
    found = [NoticeView.model_validate(row) for row in log_notices([fine, link], is_paused=True)]

    expected = ["retention_paused", "reader_dropped", "reader_poisoned"]
    assert expected == [notice.code for notice in found]
    assert {"reader": "link", "owner": "core", "records": 12} == found[1].params
    assert [] == log_notices([fine], is_paused=False)


def test_notices_name_the_worst_first() -> None:
    rows = connection_rows({"devices": [device(is_connected=False), device(answer_ms=900.0)]})
    processes: list[Document] = [{"name": "core", "state": "restarting"}]
    disk: Document = {"free_bytes": 4, "total_bytes": 100}
    found = [
        NoticeView.model_validate(row)
        for row in notices(processes, rows, disk, is_log_full=True, audit_ok=False, log_gaps=2)
    ]

    expected = [
        "log_full", "audit_broken", "log_damaged", "disk_low",
        "process_restarting", "connection_lost", "connection_slow",
    ]  # fmt: skip
    assert expected == [notice.code for notice in found]
    assert ["warning"] * 6 + ["note"] == [notice.severity for notice in found]
    assert {"name": "pumps", "device": "pump-1"} == found[-1].params


def test_jobs_of_compute_come_oldest_first_and_say_how_far_they_are() -> None:
    jobs: dict[str, Document] = {
        "b": {"op": "sql", "state": "waiting", "since_ns": "9", "progress": {}, "pins": []},
        "a": {
            "op": "verify", "state": "running", "since_ns": "5", "pins": ["p"],
            "progress": {"done": 3, "total": 10, "unit": "bytes"},
        },
    }  # fmt: skip
    found = [JobView.model_validate(row) for row in job_rows(jobs)]

    assert ["a", "b"] == [job.id for job in found]
    assert {"done": 3, "total": 10, "unit": "bytes"} == found[0].progress
