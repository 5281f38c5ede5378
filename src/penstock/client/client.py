"""Client: one plant, asked in words of the plant and answered as data frames."""

from __future__ import annotations

import functools
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from penstock.client import aggregates, blocks, commands, trust
from penstock.client.document import document, items, whole
from penstock.client.export import BY_ENDING, export
from penstock.client.history import History
from penstock.client.imports import Imported, import_file
from penstock.client.patience import Patience
from penstock.client.place import default_home, socket_of
from penstock.client.points import Point, Points, all_points, find_points
from penstock.client.query import SqlAnswer
from penstock.client.samples import Page, download
from penstock.client.session import Session
from penstock.client.single import gap_table, gaps_of, last_page
from penstock.client.table import Column, Table
from penstock.client.times import Time, time_ns
from penstock.client.wire import TIMEOUT_S, Target, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from penstock.client.blocks import Block
    from penstock.client.commands import Command
    from penstock.client.document import Document
    from penstock.client.wire import Answer

    Which = str | Point | Iterable[str | Point]

PAGE_ROWS = 262_144
IDS_AT_ONCE = 200
SQL_ROWS_MAX = 100_000_000


class Client:
    """A connection to one node; use it in a `with` block, from as many threads as you like.

    Without an address it asks the node of this computer over its Unix socket, which needs
    no password: that of `home`, else of $PENSTOCK_HOME or the usual folder. With one
    ("https://plant-pc.local:8443") it logs in as `user`. The node is trusted by its authority's
    file (`ca`) or SHA-256 `fingerprint`, or because the computer trusts it already.

    A request without an answer after `timeout_s` seconds raises TimedOut. One that was
    refused because the plant is busy, or that broke off, is tried again as `patience` says.
    """

    def __init__(
        self,
        address: str = "",
        *,
        home: str | Path | None = None,
        user: str = "",
        password: str = "",
        ca: str | Path | None = None,
        fingerprint: str = "",
        timeout_s: float = TIMEOUT_S,
        patience: Patience | None = None,
    ) -> None:
        if address and home is not None:
            raise ValueError("Give an address, or the home of a node on this computer.")
        if bool(address) != bool(user):
            raise ValueError("An address needs a user; the local socket has none.")
        if address:
            target = Target.parse(address)
        else:
            target = Target(path=str(socket_of(Path(home) if home else default_home())))
        trusted = functools.partial(trust.context_of, target, ca, fingerprint, timeout_s)
        self._wire = Wire(target, timeout_s, functools.cache(trusted))
        self._patience = patience or Patience()
        self.rows_at_once = PAGE_ROWS
        self._session = Session(self._wire, user, password, self._patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<client of {self._wire.target}>"

    def close(self) -> None:
        """Log out and close the connections."""
        self._session.close()

    def cancel(self) -> None:
        """End everything that this client is asking, from another thread, for good.

        Whoever waits for an answer gets Cancelled.
        """
        self._patience.is_over.set()
        self._wire.cancel()

    # --- points

    def points(self, which: Which = "*") -> Points:
        """Points by path or pattern: `*` stands for anything, also across `/`.

        NoSuchPoint for a path or pattern that fits nothing.
        """
        if which == "*":
            return Points([Point.of(row) for row in all_points(self._session)])
        asked = [which] if isinstance(which, str | Point) else list(which)
        words = [item for item in asked if isinstance(item, str)]
        found = {item.id: item for item in asked if isinstance(item, Point)}
        for row in find_points(self._session, words):
            point = Point.of(row)
            found.setdefault(point.id, point)
        return Points(sorted(found.values(), key=lambda point: point.path))

    # --- history

    def history(
        self,
        which: Which,
        begin: Time,
        end: Time | None = None,
        *,
        every: str = "",
        aggregate: str = "",
        zone: str = "UTC",
        as_of: Time | None = None,
        progress: Callable[[int, float], None] | None = None,
        **options: object,
    ) -> History:
        """Samples of the points with begin <= time < end (now), or their aggregates.

        Times are a span back from now ("7d"), RFC 3339, a datetime with its zone, or
        nanoseconds. `aggregate` and `every` are those of docs/reference/aggregates.md
        ("mean", "time_mean" ...; "15m", "day", "month" ...), `options` too (`interpolation`,
        `hold` ...). `zone` is that of calendar intervals and of the times in the answer.
        `as_of`: what was known at that log record (int) or moment.

        `progress` is told (samples so far, share done from 0 to 1) page by page. All pages are of
        one snapshot, however long the download takes.
        """
        if bool(every) != bool(aggregate) and not aggregate:
            raise ValueError("every= needs aggregate=, for example every='1h', aggregate='mean'.")
        points, begin_ns, end_ns = self._asked(which, begin, end)
        known = self._known(as_of)
        if aggregate:
            question = aggregates.Question(
                [aggregate], begin_ns, end_ns, every or "all", zone, known, dict(options)
            )
            parts = list(aggregates.results(self._session, points, question))
            found = [part.pages[aggregate] for part in parts]
            return History(points, found, parts[-1].sequence if parts else 0, zone)
        if options:
            raise TypeError(f"Samples have no {', '.join(options)}; aggregates do.")
        share = progress or (lambda _samples, _share: None)
        span = begin_ns, end_ns
        ids = [point.id for point in points]
        found, sequence = download(self._session, ids, span, known, self.rows_at_once, share)
        return History(points, found, sequence, zone)

    def aggregate(
        self,
        which: Which,
        names: Sequence[str],
        begin: Time,
        end: Time | None = None,
        *,
        every: str = "all",
        zone: str = "UTC",
        as_of: Time | None = None,
        **options: object,
    ) -> Table:
        """Several aggregates side by side: a row a point and interval.

        Columns: `path`, `time` (begin), `end`, and for each name its value and `<name>_quality`.
        """
        points, begin_ns, end_ns = self._asked(which, begin, end)
        known = self._known(as_of)
        question = aggregates.Question(names, begin_ns, end_ns, every, zone, known, dict(options))
        parts = list(aggregates.results(self._session, points, question))
        columns: dict[str, Column] = {}
        for name in names:
            found = [part.pages[name] for part in parts]
            for title, column in History(points, found, 0, zone).table().columns.items():
                own = {"value": name, "value_int": f"{name}_int", "value_text": f"{name}_text"}
                columns[own.get(title, f"{name}_quality" if title == "quality" else title)] = column
            ends = np.concatenate([part.end_ns for part in parts])
            columns.setdefault("end", Column("time", ends, zone=zone))
        return Table(columns, {"sequence": parts[-1].sequence if parts else 0})

    def last(self, which: Which, *, as_of: Time | None = None, zone: str = "UTC") -> History:
        """The newest sample of each point; a point without one has no row."""
        points = self.points(which)
        known = self._known(as_of)
        found: list[Page] = []
        for begin in range(0, len(points), IDS_AT_ONCE):
            ids = ",".join(point.id for point in points[begin : begin + IDS_AT_ONCE])
            answer = self._session.get("/points/last", {"ids": ids, "as_of": known})
            for place, row in enumerate(items(answer["values"]), begin):
                if row is not None:
                    found.append(last_page(place, points[place].kind, document(row)))
        return History(points, found, 0, zone)

    def at(
        self,
        which: Which,
        times: Iterable[Time],
        *,
        interpolation: str = "previous",
        zone: str = "UTC",
        as_of: Time | None = None,
    ) -> History:
        """Values at given moments: of the sample before, "stepped" or "sloped" (Part 13)."""
        now_ns = time.time_ns()
        moments = [time_ns(moment, now_ns) for moment in times]
        points = self.points(which)
        known = self._known(as_of)
        found = [*aggregates.values_at(self._session, points, moments, interpolation, known)]
        return History(points, [page for page, _ in found], found[-1][1] if found else 0, zone)

    def gaps(
        self,
        which: Which,
        begin: Time,
        end: Time | None = None,
        *,
        as_of: Time | None = None,
        zone: str = "UTC",
    ) -> Table:
        """Spans without a usable value, and why: `path`, `begin`, `end`, `cause`, `is_open`.

        `end` is missing while a gap lasts.
        """
        points, begin_ns, end_ns = self._asked(which, begin, end)
        known = self._known(as_of)
        found: list[tuple[int, Document]] = []
        for place, point in enumerate(points):
            told = gaps_of(self._session, point.id, begin_ns, end_ns, known)
            found += [(place, row) for row in told]
        return gap_table(points, found, zone)

    # --- waveforms

    def blocks(
        self,
        which: str | Point,
        begin: Time,
        end: Time | None = None,
        *,
        as_of: Time | None = None,
        zone: str = "UTC",
    ) -> Table:
        """Bursts of one waveform that have a sample in the span: `t0`, `dt_ns`, `rms` and more.

        `notes["lost"]` names spans whose index is damaged.
        """
        points, begin_ns, end_ns = self._asked(which, begin, end)
        return blocks.listed(
            self._session, _only(points).id, begin_ns, end_ns, self._known(as_of), zone
        )

    def block(
        self,
        which: str | Point,
        t0: Time,
        *,
        sequence: int | None = None,
        as_of: Time | None = None,
    ) -> Block:
        """One burst whole: samples of the type in which they were stored."""
        point = _only(self.points(which))
        begin_ns = time_ns(t0, time.time_ns())
        known = self._known(as_of)
        return blocks.whole_block(self._session, point.id, point.unit, begin_ns, sequence, known)

    # --- SQL and files

    def sql(self, query: str, *, limit: int = SQL_ROWS_MAX) -> SqlAnswer:
        """One SELECT over `samples` and `points`: docs/reference/sql.md.

        Warns when the plant has cut the answer.
        """

        def read(answer: Answer) -> SqlAnswer:
            facts = answer.headers
            return SqlAnswer(
                answer.whole(),
                int(facts["penstock-sequence"]),
                int(facts["penstock-row-count"]),
                facts["penstock-is-truncated"] == "true",
                int(facts["penstock-rows-read"]),
            )

        body: Document = {"sql": query, "format": "arrow", "limit": limit}
        answer = self._session.ask("POST", "/sql", read, body=body)
        if answer.is_truncated and answer.row_count < limit:
            warnings.warn(
                f"The answer was cut at {answer.row_count} rows (rows_max of [sql] in "
                "penstock.toml); export() has no such limit.",
                stacklevel=2,
            )
        return answer

    def export(
        self,
        path: str | Path,
        which: Which,
        begin: Time,
        end: Time | None = None,
        *,
        format: str = "",  # noqa: A002 - the name of the field
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Write samples to a file, of any size: Parquet, CSV or Arrow by its ending; its rows.

        `progress` is told (rows done, rows at most). The file appears when it is whole.
        """
        target = Path(path)
        kind = format or BY_ENDING.get(target.suffix.casefold(), "")
        if not kind:
            raise ValueError(f"Which format is {target.name}? Say format=, or use a known ending.")
        points, begin_ns, end_ns = self._asked(which, begin, end)
        order: Document = {
            "points": [point.id for point in points],
            "from": str(begin_ns),
            "to": str(end_ns),
            "format": kind,
        }
        done = export(self._session, order, target, progress or (lambda _done, _most: None))
        return whole(done["row_count"])

    def import_file(
        self,
        path: str | Path,
        *,
        dry_run: bool = False,
        progress: Callable[[int, int], None] | None = None,
        **options: object,
    ) -> Imported:
        """Take in history from CSV or Parquet; `options` answer what the file leaves open.

        They are those of docs/how-to/import-history.md (`zone`, `decimal`, `names`, `asset`,
        `skip_unknown`, `skip_bad`, `replace` ...). All rows are checked before the first is
        sent. Problem("import_open") names what is missing, Problem("import_rejected") the rows.
        `progress` is told (rows done, rows of the file), for each step anew.
        """
        share = progress or (lambda _done, _rows: None)
        return import_file(self._session, Path(path), dict(options), share, is_dry_run=dry_run)

    # --- commands

    def select(self, which: str | Point, value: float | str, *, reason: str = "") -> Command:
        """Step one of a command: everything is checked and nothing is sent.

        Look at the answer, then `send(reason)` or `cancel()`; after a minute it expires.
        Problem says why the plant refuses.
        """
        point = _only(self.points(which))
        return commands.select(self._session, point.id, value, reason)

    # --- inside

    def _asked(self, which: Which, begin: Time, end: Time | None) -> tuple[Points, int, int]:
        now_ns = time.time_ns()
        begin_ns = time_ns(begin, now_ns)
        end_ns = now_ns if end is None else time_ns(end, now_ns)
        if begin_ns >= end_ns:
            raise ValueError("The span ends before it begins.")
        return self.points(which), begin_ns, end_ns

    def _known(self, as_of: Time | None) -> str:
        """A log record is a number, a moment is RFC 3339: that is how the API tells them apart."""
        if as_of is None:
            return ""
        if isinstance(as_of, int):
            return str(as_of)
        from penstock.model.time import format_ns  # noqa: PLC0415

        return format_ns(time_ns(as_of, time.time_ns()))


def _only(points: Points) -> Point:
    if len(points) != 1:
        raise ValueError(f"This is for one point, and {len(points)} fit: {points.paths[:10]}.")
    return points[0]
