"""Answers on their way: counted under their names, and gone with their reader."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from penstock.historian.sql.answers import Answers
from penstock.historian.sql.routes import AnswerFile

SIZE = 1_000_000
SCOPE = {"type": "http", "method": "GET", "headers": [], "asgi": {"spec_version": "2.3"}}


class Reader:
    """The other end of a connection; takes `parts` parts, then none."""

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self.got = 0
        self.is_waiting = asyncio.Event()
        self.is_gone = asyncio.Event()

    async def send(self, message: Any) -> None:
        if self.parts <= 0:
            self.is_waiting.set()
            await asyncio.Event().wait()
        self.parts -= 1
        self.got += len(message.get("body", b""))

    async def receive(self) -> Any:
        await self.is_gone.wait()
        return {"type": "http.disconnect"}


def is_there(path: Path) -> bool:
    return path.exists()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "answer.csv"
    path.write_bytes(b"x" * SIZE)
    return path


def fetch(answer: AnswerFile, reader: Reader) -> asyncio.Task[None]:
    return asyncio.ensure_future(answer(SCOPE, reader.receive, reader.send))


async def test_an_answer_counts_until_its_last_byte_and_is_gone_then(file: Path) -> None:
    reader = Reader(1_000)
    answer = AnswerFile(Answers(), file, "text/csv", {})

    assert is_there(file)
    await fetch(answer, reader)

    assert SIZE == reader.got
    assert not is_there(file)


async def test_a_reader_who_takes_nothing_for_a_while_loses_the_answer(file: Path) -> None:
    reader = Reader(3)

    await fetch(AnswerFile(Answers(part_s_max=0.05), file, "text/csv", {}), reader)

    assert 0 < reader.got < SIZE
    assert not is_there(file)


async def test_a_reader_who_goes_gives_the_answer_back_at_once(file: Path) -> None:
    reader = Reader(3)
    task = fetch(AnswerFile(Answers(), file, "text/csv", {}), reader)
    await reader.is_waiting.wait()

    reader.is_gone.set()
    await asyncio.wait([task])

    assert not is_there(file)


async def test_a_short_disk_gets_the_space_of_an_answer_that_is_being_read(file: Path) -> None:
    """A removed file that somebody has open would keep its space."""
    answers, reader = Answers(part_s_max=0.05), Reader(3)
    task = fetch(AnswerFile(answers, file, "text/csv", {}), reader)
    await reader.is_waiting.wait()

    with file.open("rb") as opened:
        assert answers.sacrifice(lambda: True) == 1
        left = os.fstat(opened.fileno()).st_size
    await task

    assert left == 0
    assert not is_there(file)
    assert reader.got < SIZE


async def test_an_export_that_was_sent_stays(file: Path) -> None:
    answers = Answers()
    answer = AnswerFile(answers, file, "text/csv", {}, is_kept=True)

    assert answers.is_read(file)
    await fetch(answer, Reader(1_000))

    assert is_there(file)
    assert not answers.is_read(file)
