"""Core: the parts joined, and the tasks that run until the node stops.

Everything that must go on for a sample to reach the disk runs in one task group:
if one of these tasks fails, the process ends and the supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import structlog

from penstock.alarms.desk import AlarmDesk
from penstock.alarms.projector import AlarmProjector
from penstock.alarms.routes import AlarmAnswers
from penstock.alarms.worker import RuleWorker
from penstock.historian.log_gaps.worker import GapProjector
from penstock.log.compress import compressed_of, document_of
from penstock.log.watch import LogWatch
from penstock.model import ConfigError, Refused
from penstock.node.core.absence import AbsenceWatch
from penstock.node.core.apply import Applier, Prepared
from penstock.node.core.commands import build_commands
from penstock.node.core.compaction import Compaction
from penstock.node.core.compute_link import ComputeLink
from penstock.node.core.field_link import FieldLink
from penstock.node.core.keeping.keeper import Keeper
from penstock.node.core.live_feed import alarm_rows, alarms_document
from penstock.node.core.outage import OutageMark
from penstock.node.core.pins import Pins
from penstock.node.core.questions import Questions
from penstock.node.core.routes import build_app
from penstock.node.core.spool_watch import SpoolWatch
from penstock.node.core.status import NodeStatus
from penstock.node.core.verification import Verification
from penstock.node.spool import Spool
from penstock.server.listen import serve
from penstock.server.live import LiveHub

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from penstock.alarms.alarm import Alarm
    from penstock.log.compress import Compressed
    from penstock.log.files import LogFile
    from penstock.node.core.child_link import ChildLink
    from penstock.node.core.parts import Parts
    from penstock.registry import Snapshot
    from penstock.rules.rule import Rule
    from penstock.security.wire import Facts
    from penstock.server.listen import Ports

log = structlog.get_logger()

APPLY_RETRY_S = 2.0
TIDY_S = 300.0
COMPRESS_TIMEOUT_S = 600.0


class Core:
    """One core process from open parts to a drained stop."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._stop = asyncio.Event()
        self._rules: tuple[Rule, ...] | None = None
        self._have_rules = asyncio.Event()
        self._applies: set[asyncio.Task[None]] = set()
        self._build_alarms()
        self.field = FieldLink(
            parts.log,
            parts.registry.handle_of,
            node=parts.keys.node,
            public_key=parts.keys.public_bytes,
            on_change=self._on_field,
        )
        self._build_compute()
        self.links: dict[str, ChildLink] = {link.name: link for link in (self.field, self.compute)}
        self.commands = build_commands(parts, self.field, self.hub)
        self.field.on_command_state = self.commands.on_state
        self._build_absence()
        self.applier = Applier(
            parts.home,
            parts.settings.node.name,
            disk=parts.disk,
            registry=parts.registry,
            data_log=parts.log,
            field=self.field,
            on_applied=self._on_applied,
        )
        self.status = NodeStatus(
            parts,
            self.field,
            self.compute,
            self.verification,
            self.keeper.size,
            self.rule_worker,
            self.hub,
            self._sources(),
        )
        self.status.further_notices.append(self.spool_watch.notices)

    def _sources(self) -> dict[str, Callable[[], Mapping[str, int]]]:
        """Counters of the System page, by the name that goes before them."""
        parts = self.parts
        return {
            "log_reader": lambda: parts.log.retention.statistics(parts.log.durable),
            "downlink": lambda: self.field.counters,
            "compute": lambda: self.compute.statistics() | self.pins.statistics(),
            "spool": self.spool_watch.statistics,
            "compaction": self.compaction.statistics,
            "retention": self.keeper.retention.statistics,
            "gaps": self.gaps.statistics,
            "alarms": self.projector.statistics,
            "commands": self.commands.projector.statistics,
            "rules": self.rule_worker.statistics,
            "live": self.hub.statistics,
        }

    def _build_absence(self) -> None:
        parts = self.parts
        sequences = itertools.count(1)
        self.outage = OutageMark(
            parts.log,
            parts.historian,
            lambda: parts.registry.snapshot,
            parts.origin,
            parts.clock,
            sequences,
        )
        self.field.on_greeting = self.outage.on_greeting
        self.absence = AbsenceWatch(
            parts.log,
            lambda: parts.registry.snapshot,
            parts.origin,
            parts.clock,
            sequences,
            self.outage.settle,
        )

    def _build_compute(self) -> None:
        parts = self.parts
        settings = parts.settings.compute
        self.compute = ComputeLink(
            parts.log,
            parts.registry.handle_of,
            node=parts.keys.node,
            settings=settings.for_compute(),
        )
        spool = Spool(parts.disk, parts.home.data, settings.spool_bytes_max)
        spool.clear()
        self.pins = Pins(parts.historian, self.compute, parts.disk, spool, parts.clock)
        self.questions = Questions(parts, self.compute, spool)
        self.spool_watch = SpoolWatch(
            spool, self.questions.exports.desk, self.questions.answers, parts.clock
        )
        self.compaction = Compaction(parts.historian, self.compute, parts.clock)
        self.keeper = Keeper(parts, self.compute, spool)
        self.gaps = GapProjector(parts.log, parts.state, parts.clock, parts.historian)
        self.verification = Verification(
            self.compute,
            parts.disk,
            parts.home.data,
            parts.clock,
            settings,
            parts.settings.plant.zone,
        )

    def _build_alarms(self) -> None:
        parts = self.parts
        self.projector = AlarmProjector(parts.log, parts.state, parts.clock)
        self.rule_worker = RuleWorker(
            parts.log,
            parts.state,
            parts.clock,
            self.projector,
            lambda: parts.registry.snapshot,
            str(parts.keys.node),
        )
        self.alarm_desk = AlarmDesk(
            parts.log,
            parts.state,
            parts.clock,
            self.projector,
            lambda: parts.registry.snapshot,
            parts.security.audit.record,
        )
        self.alarm_answers = AlarmAnswers(
            self.projector,
            parts.state,
            lambda: parts.registry.snapshot,
            parts.security.principal_names,
        )
        self.hub = LiveHub(
            parts.historian.historian.last,
            parts.registry.by_id,
            lambda who: alarms_document(self.alarm_answers, who),
            parts.clock,
        )
        self.projector.on_change(self._on_alarms)

    # --- running

    async def run(self, on_ready: Callable[[Ports], None]) -> None:
        """Until `stop`; the way out drains what was read."""
        parts = self.parts
        app = build_app(self)
        self.status.sources["server"] = app.statistics
        self.absence.on_change(self.field.is_connected)  # the field may never come up
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(parts.historian.run(), name="historian"),
                group.create_task(self.projector.run(), name="projector"),
                group.create_task(self._run_rules(), name="rules"),
                group.create_task(self.commands.projector.run(), name="command-projector"),
                group.create_task(self.commands.run(), name="commands"),
                group.create_task(self._first_apply(), name="apply"),
                group.create_task(self._keep_house(), name="house"),
                group.create_task(parts.log.upkeep.run(self._compress_log), name="log-upkeep"),
                group.create_task(self._watch_log(), name="log-watch"),
                group.create_task(self.status.sampler.run(), name="sampler"),
                group.create_task(self.pins.run(), name="pins"),
                group.create_task(self.spool_watch.run(), name="spool-watch"),
                group.create_task(self.compaction.run(), name="compaction"),
                group.create_task(self.keeper.run(), name="keeper"),
                group.create_task(self.questions.run(), name="questions"),
                group.create_task(self.gaps.run(), name="gaps"),
                group.create_task(self.verification.run(), name="verification"),
            ]
            await serve(
                app,
                parts.bound,
                parts.listen,
                parts.certificates.context() if parts.listen.https is not None else None,
                on_ready,
                self._stop,
            )
            await self._drain()
            for task in background:
                task.cancel()

    def stop(self) -> None:
        """Begin the way out."""
        self._stop.set()

    async def close(self) -> None:
        """After `run`: write what is in memory and close the files."""
        parts = self.parts
        await parts.historian.close()
        await parts.log.close()
        parts.security.close()
        parts.state.close()

    async def _drain(self) -> None:
        await self.field.close()
        await self.verification.close()
        await self.questions.close()
        await self.compute.close()
        self.absence.close()  # last, because the end of the link starts it
        self.outage.close()
        await self.commands.desk.close()
        self.rule_worker.stop()

    def facts(self, ui_build: str) -> Facts:
        """What every page may know; the served build of the web app comes from the server."""
        self.hub.ui_build = ui_build
        points = self.parts.registry.snapshot.points
        return self.parts.facts(ui_build, any(point.simulated for point in points))

    # --- tasks

    async def _first_apply(self) -> None:
        """The plant as the files say; a folder that is wrong is said and tried again by hand."""
        while True:
            try:
                prepared, _ = await self.applier.apply()
            except ConfigError as error:
                self.status.configuration_problems = error.problems
                problems = [str(problem) for problem in error.problems]
                log.warning("configuration_refused", problems=problems)
                await self._run_last_good()
                return
            except Refused as refusal:
                log.warning("apply_waits", code=refusal.code, detail=refusal.detail)
                await asyncio.sleep(APPLY_RETRY_S)
            else:
                log.info("configuration_applied", points=len(prepared.registry.points))
                return

    async def _run_last_good(self) -> None:
        try:
            is_running = await self.applier.apply_last_good()
        except (ConfigError, Refused) as error:
            log.warning("last_good_refused", detail=str(error))
        else:
            log.warning("last_good_runs" if is_running else "nothing_runs")

    async def _run_rules(self) -> None:
        await self._have_rules.wait()
        assert self._rules is not None
        await self.rule_worker.run(self._rules)

    async def _keep_house(self) -> None:
        """Certificates are renewed and old sessions removed while nobody looks."""
        while True:
            await asyncio.sleep(TIDY_S)
            await self.parts.security.tidy()
            await asyncio.to_thread(self.parts.certificates.renew_if_due)

    async def _watch_log(self) -> None:
        parts = self.parts
        await LogWatch(
            parts.log, parts.log.retention, parts.home.log, parts.disk, parts.clock
        ).run()

    async def _compress_log(self, file: LogFile, end: int) -> Compressed:
        """Compute reads and writes; the log swaps."""
        question = document_of(file, end)
        return compressed_of(await self.compute.ask("compress_log", question, COMPRESS_TIMEOUT_S))

    # --- what happens

    def _on_applied(self, snapshot: Snapshot, prepared: Prepared) -> None:
        rules = prepared.rules
        self.commands.resolutions = prepared.resolutions
        log.info("registry_revision", revision=snapshot.revision, rules=len(rules.rules))
        if self._rules is None:
            self._rules = rules.rules
            self._have_rules.set()
        else:
            self._rules = rules.rules
            task = asyncio.get_running_loop().create_task(self.rule_worker.apply(rules.rules))
            self._applies.add(task)
            task.add_done_callback(self._applies.discard)
        self.hub.resync()

    def _on_alarms(self, changed: Sequence[Alarm], removed: Sequence[str]) -> None:
        self.hub.publish_alarms(alarm_rows(self.alarm_answers, changed), removed)

    def _on_field(self, is_connected: bool) -> None:
        self.absence.on_change(is_connected)
        if not is_connected:
            points = self.parts.registry.snapshot.points
            self.commands.on_field_lost({p.connector for p in points if p.connector is not None})
