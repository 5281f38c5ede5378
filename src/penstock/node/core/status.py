"""The answer of GET /system, gathered from what each part says of itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from penstock.node.core.sampler import Sampler
from penstock.node.core.system import (
    WINDOW_S,
    connection_rows,
    cpu_counters,
    disk_row,
    job_rows,
    log_notices,
    notices,
    process_rows,
)
from penstock.node.core.views import SystemView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from penstock.alarms.worker import RuleWorker
    from penstock.model import ConfigProblem
    from penstock.model.event import Json
    from penstock.node.core.compute_link import ComputeLink
    from penstock.node.core.field_link import FieldLink
    from penstock.node.core.keeping.size import SizeBook
    from penstock.node.core.parts import Parts
    from penstock.node.core.verification import Verification
    from penstock.server.live import LiveHub

    Document = dict[str, Json]
    Statistics = Callable[[], Mapping[str, int]]

SILENT_AFTER_S = 5.0
SUSPICIOUS_JUMP_NS = 3_600 * 1_000_000_000


class NodeStatus:
    """Made once; `processes` is the supervisor's table as it was told last.

    `sources` are the parts whose counters are shown, by the name that goes before them.
    """

    def __init__(
        self,
        parts: Parts,
        field: FieldLink,
        compute: ComputeLink,
        verification: Verification,
        size: SizeBook,
        rules: RuleWorker,
        hub: LiveHub,
        sources: Mapping[str, Statistics],
    ) -> None:
        self._parts = parts
        self._field = field
        self._compute = compute
        self._verification = verification
        self._size = size
        self._rules = rules
        self._hub = hub
        self.sources: dict[str, Statistics] = dict(sources)
        self.sampler = Sampler(self._counted)
        self._started_ns = parts.clock.now_ns()
        self._started_monotonic_ns = parts.clock.monotonic_ns()
        self.processes: list[Document] = []
        self.configuration_problems: Sequence[ConfigProblem] = ()
        self.further_notices: list[Callable[[], list[Document]]] = []

    def view(self) -> SystemView:
        """Everything, as of now."""
        return SystemView.model_validate(self._document())

    def _document(self) -> Document:
        parts, now_s = self._parts, time.monotonic()
        log, history = parts.log.statistics(), parts.historian.historian.statistics()
        processes = process_rows(self.processes, self.sampler, now_s)
        self._mark_silent(processes)
        connections = connection_rows(self._field.heartbeat)
        disk = disk_row(parts.home.data, log["file_bytes"], history["segment_bytes"])
        audit = parts.security.audit.status()
        found = (
            notices(
                processes,
                connections,
                disk,
                is_log_full=bool(log["is_full"]),
                audit_ok=audit.is_unbroken,
                log_gaps=log["gaps"],
            )
            + log_notices(parts.log.retention.readers, is_paused=bool(log["is_retention_paused"]))
            + self._verification.notices()
            + self._size.notices()
            + [notice for told in self.further_notices for notice in told()]
            + self._configuration_notices()
        )
        return {
            "ok": not any(item["severity"] == "warning" for item in found),
            "notices": list(found),
            "started_ns": str(self._started_ns),
            "server_time_ns": str(parts.clock.now_ns()),
            "flow": self._flow(log, history),
            "processes": list(processes),
            "jobs": job_rows(self._compute.jobs),
            "verification": self._verification.summary(),
            "growth": self._size.summary(),
            "connections": list(connections),
            "disk": disk,
            "clock": self._clock(),
            "certificates": self._certificates(),
            "audit": {"entries": audit.entries, "unbroken": audit.is_unbroken},
            "queues": self._queues(log),
            "log": {
                "durable_sequence": str(log["durable"]),
                "incarnation": log["incarnation"],
                "refused_total": log["refused"],
                "gaps": log["gaps"],
                "files": log["files"],
            },
            "simulated": any(point.simulated for point in parts.registry.snapshot.points),
            "counters": self._counters(),
        }

    def _certificates(self) -> list[Json]:
        return [
            {
                "name": item.name,
                "not_after_ns": str(item.not_after_ns),
                "days_left": item.days_left,
            }
            for item in self._parts.certificates.status()
        ]

    def _counters(self) -> Document:
        uplink = self._field.heartbeat.get("uplink", {})
        assert isinstance(uplink, dict)
        found: Document = {f"uplink_{name}": number for name, number in uplink.items()}
        found["field_crashes"] = self._field.heartbeat.get("crashes", 0)
        for part, statistics in self.sources.items():
            found |= {f"{part}_{name}": number for name, number in statistics().items()}
        return found

    def _mark_silent(self, processes: Sequence[Document]) -> None:
        """A process that runs and is not on its link does nothing for anybody."""
        links = {link.name: link for link in (self._field, self._compute)}
        for row in processes:
            up_s = row["up_s"]
            is_old = isinstance(up_s, float) and up_s > SILENT_AFTER_S
            link = links.get(str(row["name"]))
            if link is not None and is_old and not link.is_connected:
                row["state"] = "stopped"

    def _counted(self) -> dict[str, float]:
        log = self._parts.log.statistics()
        wanted = {name: float(log[name]) for name in ("rows", "syncs", "sync_ns")}
        return wanted | cpu_counters(self.processes)

    def _flow(self, log: dict[str, int], history: dict[str, int]) -> Document:
        rows, size = history["segment_rows"], history["segment_bytes"]
        sync_ns = self.sampler.ratio("sync_ns", "syncs", WINDOW_S)
        return {
            "values_per_s": self.sampler.rate("rows", WINDOW_S) or 0.0,
            "log_sync_ms": None if sync_ns is None else sync_ns / 1e6,
            "log_sync_max_ms": log["sync_ns_max"] / 1e6,
            "log_pending": log["pending"],
            "rules": self._rules.statistics()["rules"],
            "rules_behind_records": self._rules.statistics()["behind_records"],
            "head_rows": history["head_rows"],
            "head_bytes": history["head_bytes"],
            "bytes_per_sample": size / rows if rows else None,
            "screens": self._hub.statistics()["screens"],
        }

    def _clock(self) -> Document:
        clock = self._parts.clock
        wall = clock.now_ns() - self._started_ns
        steady = clock.monotonic_ns() - self._started_monotonic_ns
        return {
            "jump_ms": (wall - steady) / 1e6,
            "jumped": abs(wall - steady) > SUSPICIOUS_JUMP_NS,
        }

    def _queues(self, log: dict[str, int]) -> list[Json]:
        credit = self._parts.settings.log.credit_bytes_max
        state = self._parts.state.statistics()
        uplink = self._field.heartbeat.get("uplink", {})
        assert isinstance(uplink, dict)
        rows: list[Json] = [
            {
                "name": "log_credit",
                "used": credit - log["credit_free_bytes"],
                "limit": credit,
                "unit": "bytes",
            },
            {
                "name": "state_writer",
                "used": state["queue_works"],
                "limit": state["queue_works_max"],
                "unit": "works",
            },
        ]
        if uplink:
            rows.append(
                {
                    "name": "field_uplink",
                    "used": uplink["pending_bytes"],
                    "limit": uplink["window_bytes_max"],
                    "unit": "bytes",
                }
            )
        return rows

    def _configuration_notices(self) -> list[Document]:
        return [
            {
                "code": "configuration_problem",
                "severity": "warning",
                "params": {"place": problem.place, "message": problem.message},
            }
            for problem in self.configuration_problems
        ]
