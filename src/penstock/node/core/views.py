"""What GET /system answers: processes, flow, connections, disk, safeguards, counters.

Unknown fields are refused, so that a number that is gathered and not declared here
fails a test instead of being dropped without a word.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
from typing import Literal

from pydantic import ConfigDict

from penstock.registry.views import View


class _View(View):
    model_config = ConfigDict(extra="forbid")


class NoticeView(_View):
    """Something that somebody should look at; `code` has its words in the web app."""

    code: str
    severity: Literal["note", "warning"]
    params: dict[str, str | int | float | None]


class FlowView(_View):
    """The way of the data from the devices to the screens."""

    values_per_s: float
    log_sync_ms: float | None
    log_sync_max_ms: float
    log_pending: int
    rules: int
    rules_behind_records: int
    head_rows: int
    head_bytes: int
    bytes_per_sample: float | None
    screens: int


class ProcessView(_View):
    """One process of this node; memory and CPU are null where there is no /proc."""

    name: str
    pid: int | None
    state: Literal["running", "restarting", "stopped"]
    up_s: float | None
    cpu_pct: float | None
    pss_mb: float | None
    rss_mb: float | None
    memory_limit_mb: int
    restarts: int
    last_exit: int | None


class JobView(_View):
    """Work of the compute process; `progress` has what the operation counts (`done`, `total`)."""

    id: str
    op: str
    state: Literal["waiting", "running"]
    since_ns: str
    progress: dict[str, str | int | float | bool | None]


class VerificationSummaryView(_View):
    """The last verification of all files; `damaged` places stay, `job` runs now."""

    job: str | None
    ended_ns: str | None
    bytes: int
    rows: int
    damaged: int


class GrowthView(_View):
    """How fast the history grows, by the last `days` whole days, and when the disk is full.

    `days_left` is null with too little history, and where retention holds the size.
    """

    state: Literal["too_little", "rough", "steady", "never"]
    days_left: float | None
    bytes_per_day: float | None
    days: int


class DamageView(_View):
    """A damaged place below the data folder; `point` is its handle, -1 where it is unknown."""

    place: str
    what: Literal["file", "header", "table", "chunk", "statistics", "manifest", "log"]
    detail: str
    mended: bool
    why_not: str | None
    point: int
    first_ns: str
    last_ns: str


class VerificationResultView(_View):
    """What was verified, and the damage; `damage` holds the first places of `damage_total`."""

    began_ns: str
    ended_ns: str
    manifests: int
    segments: int
    chunks: int
    rows: int
    log_files: int
    log_records: int
    bytes: int
    damage_total: int
    damage: list[DamageView]
    quarantined: list[str]


class VerificationView(_View):
    """The last verification, null before the first; `job` is the one that runs now."""

    job: str | None
    result: VerificationResultView | None


class VerificationStartedView(_View):
    """The job that verifies; its progress is in GET /system."""

    job: str


class ConnectionView(_View):
    """One device. `counters` are those of its line, which it shares with the line's others."""

    name: str
    kind: str
    device: str
    address: str
    points: int
    answer_ms: float | None
    good_pct: float | None
    state: Literal["good", "slow", "lost", "off"]
    since_ns: str
    unprotected: bool
    missed: int
    stretched: int
    counters: dict[str, int]


class DiskView(_View):
    """Space of the data folder's file system."""

    path: str
    total_bytes: int
    free_bytes: int
    data_bytes: int
    log_bytes: int
    segments_bytes: int


class ClockView(_View):
    """The wall clock against the steady one, since the start."""

    jump_ms: float
    jumped: bool


class CertificateView(_View):
    """A certificate in use."""

    name: str
    not_after_ns: str
    days_left: int


class AuditView(_View):
    """Whether the chain of audit entries is whole."""

    entries: int
    unbroken: bool


class QueueView(_View):
    """A queue with its limit."""

    name: str
    used: int
    limit: int
    unit: Literal["bytes", "works"]


class LogView(_View):
    """The log: what is safe on disk, and what was refused or lost."""

    durable_sequence: str
    incarnation: int
    refused_total: int
    gaps: int
    files: int


class SystemView(_View):
    """The whole node, as of now; `counters` are named `<part>_<what>`."""

    ok: bool
    notices: list[NoticeView]
    started_ns: str
    server_time_ns: str
    flow: FlowView
    processes: list[ProcessView]
    jobs: list[JobView]
    verification: VerificationSummaryView
    growth: GrowthView
    connections: list[ConnectionView]
    disk: DiskView
    clock: ClockView
    certificates: list[CertificateView]
    audit: AuditView
    queues: list[QueueView]
    log: LogView
    simulated: bool
    counters: dict[str, int]
