"""The field's hand on the wire: checks a signed envelope, writes once, reads back.

The id of an envelope is on disk before the line sees the write, so that a crash
between the two loses a command and never repeats one. Nothing here calls a
write successful; the desk decides from the read-backs that this sends.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import orjson
import structlog
from pydantic import TypeAdapter, ValidationError

from penstock.commands.command import EventKind
from penstock.commands.engine import is_equal
from penstock.commands.envelope import command_id
from penstock.commands.field_side import Decision, UsedIds, decide
from penstock.plugin import ReadBack, WriteOutcome, WriteRequest, WriteResult
from penstock.world import SystemDisk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.model.event import Json
    from penstock.node.field.host import Host
    from penstock.node.field.line import Job, LineRunner
    from penstock.world import Clock, Disk

    Answer = Callable[[dict[str, Json]], None]

log = structlog.get_logger()

COMMANDS_MAX = 32
_USED = TypeAdapter(dict[str, int])
WRITE_TIMEOUT_S = 8.0
# When to look after the write; a drive may need seconds to take a set point over.
READ_BACK_AT_S = (0.0, 0.2, 0.5, 1.0, 2.0, 3.5, 5.0, 7.0)


class CommandHand:
    """Commands of one field process."""

    def __init__(self, host: Host, clock: Clock, data: Path, disk: Disk | None = None) -> None:
        self._host = host
        self._clock = clock
        self._disk = disk or SystemDisk()
        self._path = data / "field" / "used_commands.json"
        self._public_key = b""
        self._used = self._load()
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def trust(self, node: UUID, public_key: bytes) -> None:
        """Whose signatures count: core's, told over the inherited link."""
        log.info("command_key", node=str(node))
        self._public_key = public_key

    def take(self, envelope: bytes, answer: Answer) -> None:
        """Handle one envelope beside the link; too many at once are not written."""
        if len(self._tasks) >= COMMANDS_MAX:
            log.warning("commands_refused", limit=COMMANDS_MAX)
            detail = f"{COMMANDS_MAX} commands are under way"
            answer(_state(command_id(envelope) or "", "not_sent", detail=detail))
            return
        task = asyncio.get_running_loop().create_task(self._handle(envelope, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, envelope: bytes, answer: Answer) -> None:
        async with self._turn:
            points = self._host.writable_points()
            now_ns = self._clock.now_ns()
            decision = decide(envelope, self._public_key, now_ns, self._used, points)
            if decision.request is not None:
                decision = await self._remembered(decision)
        if decision.request is None:
            kind = "not_sent" if decision.answer is None else decision.answer.value
            answer(_state(decision.command, kind, detail=decision.detail))
            return
        runner = self._host.runner_of_handle(decision.request.handle)
        if runner is None:
            answer(_state(decision.command, "not_sent", detail="the connector does not run"))
            return
        await self._write(decision, decision.request, runner, answer)

    async def _remembered(self, decision: Decision) -> Decision:
        """The decision once its id is on disk; a no when the disk refuses."""
        try:
            await asyncio.to_thread(self._save)
        except OSError as error:
            log.warning("command_not_remembered", detail=str(error))
            detail = f"its id: {error.strerror}"
            return Decision(decision.command, answer=EventKind.NOT_SENT, detail=detail)
        return decision

    async def _write(
        self, decision: Decision, request: WriteRequest, runner: LineRunner, answer: Answer
    ) -> None:
        command = decision.command
        result = await self._run(runner, runner.write_job(request))
        if not isinstance(result, WriteResult):
            detail = "the line is busy; nothing was written" if result is None else ""
            answer(_state(command, "not_sent", detail=detail))
            return
        answer(_state(command, result.outcome.value, detail=result.detail))
        if result.outcome in (WriteOutcome.ACCEPTED, WriteOutcome.UNKNOWN):
            await self._read_back(decision, request, runner, answer)

    async def _read_back(
        self, decision: Decision, request: WriteRequest, runner: LineRunner, answer: Answer
    ) -> None:
        begin_ns = self._clock.monotonic_ns()
        for at_s in READ_BACK_AT_S:
            await self._clock.wait_until(begin_ns + int(at_s * 1e9))
            result = await self._run(runner, runner.read_back_job(request.handle))
            if not isinstance(result, ReadBack):
                continue
            answer(
                _state(
                    decision.command,
                    "read_back",
                    value=result.value,
                    quality=int(result.quality),
                    detail=result.detail,
                )
            )
            if is_equal(result.value, decision.held, decision.tolerance):
                return

    async def _run(self, runner: LineRunner, job: Job) -> WriteResult | ReadBack | None:
        """The job's result; None when its turn never came. A write that hangs is UNKNOWN."""
        if not runner.submit(job):
            return None
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                return await job.done
        except TimeoutError:
            if not job.is_started:  # and never will be: the line passes by a job that is done
                return None
            return WriteResult(WriteOutcome.UNKNOWN, f"no answer within {WRITE_TIMEOUT_S:.0f} s")

    def _load(self) -> UsedIds:
        try:
            return UsedIds(_USED.validate_json(self._disk.read(self._path)))
        except FileNotFoundError:
            return UsedIds()
        except ValidationError as error:  # an envelope lives for seconds; a start takes more
            log.warning("used_commands_damaged", path=str(self._path), detail=str(error))
            return UsedIds()

    def _save(self) -> None:
        self._disk.make_folder(self._path.parent)
        self._disk.write_whole(self._path, [orjson.dumps(self._used.until_ns)])


def _state(
    command: str,
    kind: str,
    *,
    value: float | int | str | None = None,
    quality: int = 0,
    detail: str = "",
) -> dict[str, Json]:
    """int64 travels as text, so that no JSON number can round it."""
    is_int = isinstance(value, int) and not isinstance(value, bool)
    return {
        "command": command,
        "kind": kind,
        "value": str(value) if is_int else value,
        "is_int": is_int,
        "quality": quality,
        "detail": detail,
    }
