"""HTTP of alarms: the list, the journal, acknowledging and noting.

Every answer is cut to the subtrees the principal may view; an alarm elsewhere
does not exist for them.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field

from penstock.alarms.alarm import NOTE_CHARACTERS_MAX, Alarm
from penstock.alarms.desk import IDS_MAX, AlarmDesk
from penstock.alarms.projector import AlarmProjector
from penstock.alarms.store import PAGE_MAX, JournalRow
from penstock.alarms.views import (
    AlarmsView,
    AlarmView,
    JournalView,
    alarm_view,
    asset_path_of,
    counts,
    event_view,
)
from penstock.model import Refused
from penstock.model.identity import new_id
from penstock.model.time import parse_ns
from penstock.registry import Snapshot
from penstock.rules.table import INT64_MAX, INT64_MIN
from penstock.security.principal import Principal
from penstock.security.routes import requires
from penstock.state import State
from penstock.world import Clock

Viewer = Annotated[Principal, requires("view", is_anywhere=True)]
Operator = Annotated[Principal, requires("acknowledge", is_anywhere=True)]
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=64)]
Note = Annotated[str, Field(max_length=NOTE_CHARACTERS_MAX)]
AlarmId = Annotated[str, Field(min_length=36, max_length=36)]
# A principal with a small subtree may have to look far; the cursor lets them go on.
PAGES_MAX = 20


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NoteBody(_Body):
    """An acknowledgement's note; it may be left out."""

    note: Note | None = None


class AcknowledgeBody(NoteBody):
    """Several alarms at once."""

    ids: Annotated[list[AlarmId], Field(min_length=1, max_length=IDS_MAX)]


class TextBody(_Body):
    """A note."""

    text: Annotated[Note, Field(min_length=1)]


class AlarmAnswers:
    """Reads for the routes; the node makes it, the live socket uses it too."""

    def __init__(
        self,
        projector: AlarmProjector,
        state: State,
        registry: Callable[[], Snapshot],
        names: Callable[[], Mapping[str, str]],
    ) -> None:
        self._projector = projector
        self._state = state
        self._registry = registry
        self._names = names

    def active(self, who: Principal) -> AlarmsView:
        """The active list, the newest raise first."""
        seen = self._seen(who, self._projector.listed.values())
        seen.sort(key=lambda alarm: (alarm.raised_ns, alarm.id), reverse=True)
        return AlarmsView(alarms=self.views(seen), counts=counts(seen))

    def all(self, who: Principal, cursor: str) -> AlarmsView:
        """Every alarm there was, in pages."""
        before, rows, is_more = _alarm_cursor(cursor), [], True
        for _ in range(PAGES_MAX):
            with self._state.read() as connection:
                page = self._projector.store.page(connection, before)
            rows += self._seen(who, page)
            is_more = len(page) == PAGE_MAX
            if page:
                before = page[-1].raised_ns, page[-1].id
            if not is_more or len(rows) >= PAGE_MAX:
                break
        following = f"{before[0]}_{before[1]}" if is_more and before is not None else None
        listed = self._seen(who, self._projector.listed.values())
        return AlarmsView(alarms=self.views(rows), counts=counts(listed), cursor=following)

    def journal(
        self, who: Principal, point: str, from_ns: int | None, to_ns: int | None, cursor: str
    ) -> JournalView:
        """Events in pages; `cursor` is a log sequence."""
        before, rows, is_more = int(cursor) if cursor else None, list[JournalRow](), True
        for _ in range(PAGES_MAX):
            with self._state.read() as connection:
                page = self._projector.store.journal(
                    connection, point=point, from_ns=from_ns, to_ns=to_ns, before=before
                )
                asked = {row.alarm for row in page}
                alarms = self._projector.store.by_ids(connection, asked)
            seen = {alarm.id for alarm in self._seen(who, alarms.values())}
            rows += [row for row in page if row.alarm in seen]
            is_more = len(page) == PAGE_MAX
            before = page[-1].sequence if page else before
            if not is_more or len(rows) >= PAGE_MAX:
                break
        names = self._names()
        return JournalView(
            events=[event_view(row, names) for row in rows],
            cursor=str(before) if is_more else None,
        )

    def views(self, alarms: Iterable[Alarm]) -> list[AlarmView]:
        """JSON of alarms, under one snapshot."""
        snapshot, names = self._registry(), self._names()
        return [alarm_view(alarm, snapshot, names) for alarm in alarms]

    def _seen(self, who: Principal, alarms: Iterable[Alarm]) -> list[Alarm]:
        snapshot = self._registry()
        return list(_visible(who, snapshot, alarms))


def alarm_router(answers: AlarmAnswers, desk: AlarmDesk, clock: Clock) -> APIRouter:
    """Routes below /api/v1."""
    router = APIRouter(tags=["alarms"])
    _add_read_routes(router, answers)
    _add_write_routes(router, answers, desk, clock)
    return router


def _add_read_routes(router: APIRouter, answers: AlarmAnswers) -> None:
    @router.get("/alarms")
    def get_alarms(
        who: Viewer,
        state: Literal["active", "all"] = "active",
        cursor: Annotated[str, Query(pattern=r"^(-?[0-9]{1,19}_[0-9a-f-]{36})?$")] = "",
    ) -> AlarmsView:
        """The active list, or all alarms in pages."""
        return answers.active(who) if state == "active" else answers.all(who, cursor)

    @router.get("/alarms/journal")
    def get_journal(
        who: Viewer,
        point_id: UUID | None = None,
        from_: Annotated[str, Query(alias="from", max_length=40)] = "",
        to: Annotated[str, Query(max_length=40)] = "",
        cursor: Annotated[str, Query(pattern=r"^[0-9]{0,18}$")] = "",
    ) -> JournalView:
        """What happened to alarms, the newest first; times are RFC 3339 or nanoseconds."""
        point = "" if point_id is None else str(point_id)
        return answers.journal(who, point, _time("from", from_), _time("to", to), cursor)


def _add_write_routes(
    router: APIRouter, answers: AlarmAnswers, desk: AlarmDesk, clock: Clock
) -> None:
    async def acknowledged(who: Principal, ids: list[str], note: str, key: str) -> AlarmsView:
        alarms = await desk.acknowledge(who, list(dict.fromkeys(ids)), note, key)
        return AlarmsView(alarms=answers.views(alarms), counts=answers.active(who).counts)

    @router.post("/alarms/acknowledge")
    async def post_acknowledge(who: Operator, body: AcknowledgeBody, key: Key = None) -> AlarmsView:
        """Acknowledge several; one that is out of reach refuses all."""
        return await acknowledged(who, body.ids, body.note or "", _key(key))

    @router.post("/alarms/{alarm_id}/acknowledge")
    async def post_acknowledge_one(
        who: Operator, alarm_id: UUID, body: NoteBody | None = None, key: Key = None
    ) -> AlarmsView:
        """Acknowledge one."""
        note = (body.note if body is not None else None) or ""
        return await acknowledged(who, [str(alarm_id)], note, _key(key))

    @router.post("/alarms/{alarm_id}/notes", status_code=HTTPStatus.CREATED)
    async def post_note(
        who: Operator, alarm_id: UUID, body: TextBody, key: Key = None
    ) -> AlarmView:
        """Write a note to an alarm."""
        unique = _key(key) if key else str(new_id(clock.now_ns()))
        alarm = await desk.note(who, str(alarm_id), body.text, unique)
        return answers.views([alarm])[0]


def _visible(who: Principal, snapshot: Snapshot, alarms: Iterable[Alarm]) -> Iterator[Alarm]:
    for alarm in alarms:
        if who.may("view", asset_path_of(alarm, snapshot)):
            yield alarm


def _key(key: str | None) -> str:
    try:
        return str(UUID(key or ""))
    except ValueError:
        raise Refused("idempotency_key_needed") from None


def _time(name: str, text: str) -> int | None:
    if not text:
        return None
    try:
        time_ns = int(text) if text.lstrip("-").isdigit() else parse_ns(text)
    except ValueError as error:
        raise Refused("invalid_request", f"{name}: {error}.") from None
    return min(max(time_ns, INT64_MIN), INT64_MAX)


def _alarm_cursor(cursor: str) -> tuple[int, str] | None:
    if not cursor:
        return None
    time_ns, _, alarm = cursor.partition("_")
    return min(max(int(time_ns), INT64_MIN), INT64_MAX), alarm
