"""Child process that runs SQL: one query at a time, inside limits that the kernel keeps.

DuckDB counts most of its memory but not all (a `repeat('x', 10^10)` is outside its
limit), and it looks for an interrupt between chunks and not inside a function. So a query
runs where an end by force harms nobody: RLIMIT_AS, RLIMIT_FSIZE, and a parent
that kills. It ends by itself after a minute without work, and when its parent is gone.

Each line of standard input is a question, each line of standard output its answer.
"""

from __future__ import annotations

import os
import resource
import select
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from penstock.historian.sql.catalogue import Catalogue, bitmap_of, handles_of
from penstock.historian.sql.config import SqlSettings
from penstock.historian.sql.sink import finish_json, write
from penstock.model import Refused
from penstock.world import SystemDisk

if TYPE_CHECKING:
    from penstock.historian.query import Snapshot
    from penstock.historian.sql.engine import Query

Document = dict[str, Any]

IDLE_S = 60.0
REPORT_S = 0.25
LOOK_S = 0.5
OVERHEAD_BYTES = 768 * 1024 * 1024
"""Address space above that of the settings: code, stacks, Arrow batches, the writer of files."""


class Service:
    """Answers questions about one query after the other."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._said = 0.0
        self._query: Query | None = None
        self._settings = SqlSettings()

    def answer(self, question: Document) -> Document:
        """The answer to one line; Refused travels as data."""
        try:
            return {"answer": getattr(self, f"_{question['op']}")(question)}
        except Refused as refusal:
            return {"refused": [refusal.code, refusal.detail]}
        except MemoryError:
            return {"refused": ["sql_too_large", "The query needs too much memory."]}

    def _plan(self, question: Document) -> Document:
        from penstock.historian.sql.engine import Query  # noqa: PLC0415 - imports DuckDB

        self._settings = SqlSettings(**question["settings"])
        every = Catalogue.decode(SystemDisk().read(Path(question["catalogue"])))
        granted = every.granted(handles_of(question["handles"]))
        self._query = Query(question["sql"], granted, self._settings)
        selection = self._query.plan()
        return {
            "handles": bitmap_of(self._query.handles.tolist()),
            "to_ns": selection.span[1],
        }

    def _run(self, question: Document) -> Document:
        assert self._query is not None
        query, path = self._query, Path(question["path"])
        snapshot = _open(question)
        limit = min(question["limit"], self._settings.rows_max)
        with query.run(snapshot) as relation:
            written = write(relation, question["format"], path, limit)
        facts: Document = {
            "sequence": str(snapshot.sequence),
            "row_count": written.rows,
            "is_truncated": written.is_truncated,
            "chunks_read": query.counters.chunks_read,
            "rows_read": query.counters.rows_read,
        }
        if question["format"] == "json":
            finish_json(path, facts)
        return facts

    def _export(self, question: Document) -> Document:
        from penstock.historian.export.files import Export, write_export  # noqa: PLC0415

        every = Catalogue.decode(SystemDisk().read(Path(question["catalogue"])))
        granted = every.granted(handles_of(question["handles"]))
        snapshot = _open(question)
        export = Export(granted, (question["span"][0], question["span"][1]), question["format"])
        rows = write_export(export, snapshot, Path(question["path"]), self._report)
        return {"sequence": str(snapshot.sequence), "row_count": rows}

    def _report(self, done: int, total: int) -> None:
        """At most four times a second."""
        now = time.monotonic()
        if now - self._said >= REPORT_S:
            self._said = now
            self.say({"progress": {"done": done, "total": total}})

    def say(self, document: Document) -> None:
        """One line for the parent."""
        self._out.write(orjson.dumps(document) + b"\n")

    def close(self) -> None:
        """After the answer to a question that ends the query."""
        if self._query is not None:
            self._query.close()
            self._query = None


def _open(question: Document) -> Snapshot:
    from penstock.historian.pinned import open_pinned  # noqa: PLC0415

    folder, spool = Path(question["segments"]), Path(question["spool"])
    return open_pinned(SystemDisk(), folder, spool, question["pin"])


def limit_resources(memory_bytes: int, file_bytes: int) -> None:
    """No core file, no larger files, no more address space than now and what is allowed."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    space = pages * resource.getpagesize() + memory_bytes + OVERHEAD_BYTES
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (space, space))


def _end_with(parent: int) -> None:
    """End at once when compute is gone: nobody would stop a long export or take its file."""
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(0)


def main() -> int:
    """Until the input ends or nobody asks for a while; arguments: memory, file size, parent."""
    import duckdb  # noqa: PLC0415, F401 - before the limit, which counts from here

    threading.Thread(target=_end_with, args=(int(sys.argv[3]),), daemon=True).start()
    limit_resources(int(sys.argv[1]), int(sys.argv[2]))
    # Whatever a library prints goes to standard error: standard output is ours.
    service = Service(os.fdopen(os.dup(1), "wb", buffering=0))
    os.dup2(2, 1)
    source = sys.stdin.buffer
    while select.select([source], [], [], IDLE_S)[0]:
        line = source.readline()
        if not line:
            return 0
        question = orjson.loads(line)
        answer = service.answer(question)
        if question["op"] != "plan" or "refused" in answer:
            service.close()
        service.say(answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
