"""Passwords: the product's parameters, and a time that does not tell whether a name exists."""

from __future__ import annotations

import asyncio
import statistics
import time

import pytest
from argon2 import extract_parameters

from penstock.model import Refused
from penstock.security import PasswordSettings
from penstock.security.passwords import Passwords

PASSWORD = "correct horse battery"


@pytest.mark.slow
async def test_default_is_argon2id_with_19_mib() -> None:
    passwords = Passwords(PasswordSettings())

    found = extract_parameters(await passwords.hash(PASSWORD))

    passwords.close()
    assert (found.type.name, found.memory_cost, found.time_cost) == ("ID", 19_456, 2)


@pytest.mark.slow
async def test_unknown_name_takes_the_same_time() -> None:
    """UA-05: the medians differ by less than 15 ms."""
    passwords = Passwords(PasswordSettings())
    stored = await passwords.hash(PASSWORD)

    async def seconds(given: str | None) -> float:
        began = time.perf_counter()
        assert not await passwords.verify(given, "another password")
        return time.perf_counter() - began

    pairs = [(await seconds(stored), await seconds(None)) for _ in range(15)]

    passwords.close()
    known, unknown = (statistics.median(column) for column in zip(*pairs, strict=True))
    assert abs(known - unknown) < 0.015


async def test_too_many_at_once_are_told_to_wait() -> None:
    passwords = Passwords(PasswordSettings(memory_kib=8, time_cost=1, waiting_max=2))

    found = await asyncio.gather(
        *(passwords.verify(None, PASSWORD) for _ in range(4)), return_exceptions=True
    )

    passwords.close()
    assert [item.code if isinstance(item, Refused) else item for item in found] == [
        False, False, "busy", "busy"
    ]  # fmt: skip


async def test_nonsense_in_the_store_is_a_wrong_password() -> None:
    passwords = Passwords(PasswordSettings(memory_kib=8, time_cost=1))

    assert not await passwords.verify("not a hash", PASSWORD)

    passwords.close()
