"""One connected stream of link frames, and questions with answers over it.

A session lives as long as its socket. What must survive it (numbered batches
that are not acknowledged) is kept by the uplink, not here.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING

import structlog

from penstock.codec.layout import Damaged
from penstock.codec.link import (
    HEADER_BYTES,
    Lane,
    LinkHeader,
    LinkType,
    check_payload,
    decode_frame_header,
    decode_json,
    encode_frame,
    encode_json,
)
from penstock.model import NotConnected

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from penstock.codec.layout import Buffer
    from penstock.model.event import Json

    Document = dict[str, Json]
    QueryHandler = Callable[[Document], Awaitable[Document]]

log = structlog.get_logger()

QUERIES_MAX = 64
# Key of an answer that says why there is none.
CRASH = "crash"
READ_BYTES_MAX = 4 * 1024 * 1024


class Session:
    """Frames in both directions over one stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._query_ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Document]] = {}
        self._handlers: set[asyncio.Future[Document]] = set()

    @classmethod
    async def over(cls, sock: socket.socket) -> Session:
        """A session over a connected socket (socketpair end)."""
        sock.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=sock, limit=READ_BYTES_MAX)
        return cls(reader, writer)

    def send(self, type_: LinkType, payload: Sequence[Buffer], lane: Lane = Lane.LIVE) -> None:
        """Queue one frame; batches are bounded by credit, `waiting_bytes` tells what waits.

        After the end of the stream nothing goes out any more: uvloop would raise at a write
        to a closed transport, in whatever callback happens to send.
        """
        if self._writer.is_closing():
            return
        self._writer.writelines(encode_frame(type_, payload, next(self._numbers), lane))

    def send_json(self, type_: LinkType, document: Document) -> None:
        """Queue one JSON frame."""
        self.send(type_, [encode_json(document)])

    @property
    def waiting_bytes(self) -> int:
        """What was queued and has not left this process yet."""
        return self._writer.transport.get_write_buffer_size()

    async def frames(self) -> AsyncIterator[tuple[LinkHeader, bytes]]:
        """Frames as they come; ends when the other end closes; NotConnected on damage."""
        try:
            while True:
                header = decode_frame_header(await self._reader.readexactly(HEADER_BYTES))
                payload = await self._reader.readexactly(header.payload_bytes)
                check_payload(header, payload)
                if header.type == LinkType.ANSWER:
                    self._on_answer(payload)
                else:
                    yield header, payload
        except asyncio.IncompleteReadError:
            return
        except (ConnectionError, OSError, Damaged) as error:
            raise NotConnected(f"link lost: {error}") from error
        finally:
            self._fail_queries()

    async def query(self, document: Document, timeout_s: float | None = 10.0) -> Document:
        """Ask the other end; NotConnected when it goes away or does not answer in time.

        None: the caller limits the time.
        """
        if len(self._answers) >= QUERIES_MAX:
            raise NotConnected(f"{QUERIES_MAX} questions are without an answer")
        number = next(self._query_ids)
        future: asyncio.Future[Document] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        self.send_json(LinkType.QUERY, {"id": number, "query": document})
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError as error:
            raise NotConnected(f"no answer within {timeout_s} s") from error
        finally:
            self._answers.pop(number, None)

    def answer(self, payload: bytes, handler: QueryHandler) -> None:
        """Answer a QUERY frame by `handler`, beside the stream, at most QUERIES_MAX at once.

        Whoever asks hears of a handler that crashes: its answer is then `{CRASH: text}`.
        """
        document = decode_json(payload)
        number, query = document.get("id"), document.get("query")
        assert isinstance(query, dict)
        if len(self._handlers) >= QUERIES_MAX:
            self._send_answer(number, {CRASH: f"{QUERIES_MAX} questions are being answered"})
            return
        task = asyncio.ensure_future(handler(query))
        self._handlers.add(task)
        task.add_done_callback(lambda done: self._on_answered(done, number))

    def _on_answered(self, task: asyncio.Future[Document], number: Json) -> None:
        self._handlers.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._send_answer(number, task.result())
            return
        log.error("query_crashed", exc_info=error)
        self._send_answer(number, {CRASH: f"{type(error).__name__}: {error}"})

    def _send_answer(self, number: Json, answer: Document) -> None:
        self.send_json(LinkType.ANSWER, {"id": number, "answer": answer})

    def _on_answer(self, payload: bytes) -> None:
        document = decode_json(payload)
        number, answer = document.get("id"), document.get("answer")
        future = self._answers.get(number) if isinstance(number, int) else None
        if future is not None and not future.done() and isinstance(answer, dict):
            future.set_result(answer)

    def _fail_queries(self) -> None:
        for future in self._answers.values():
            if not future.done():
                future.set_exception(NotConnected("the link was lost"))

    def abort(self) -> None:
        """End the stream at once, also when the other end reads nothing any more."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close the stream and end unanswered questions."""
        for task in self._handlers:
            task.cancel()
        self._fail_queries()
        self._writer.close()
        with contextlib.suppress(ConnectionError, OSError):
            await self._writer.wait_closed()
