"""Passwords: argon2id in one thread, so that a login flood takes one core's time and 19 MiB.

An unknown name costs the same as a known one: its password is hashed and
thrown away.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from penstock.model import Refused
from penstock.security.settings import PasswordSettings

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Passwords:
    """Hashes and verifies; more than `waiting_max` at once are refused with "busy"."""

    def __init__(self, settings: PasswordSettings) -> None:
        self._settings = settings
        self._hasher = PasswordHasher(
            time_cost=settings.time_cost,
            memory_cost=settings.memory_kib,
            parallelism=1,
            type=Type.ID,
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="argon2")
        self._waiting = 0

    def check_rule(self, password: str) -> None:
        """Refuse a password that is too short to be stored, or absurdly long."""
        if not self._settings.length_min <= len(password) <= self._settings.length_max:
            raise Refused("weak_password", length_min=self._settings.length_min)

    async def hash(self, password: str) -> str:
        """The text to store."""
        self.check_rule(password)
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password fits; None stands for a name that does not exist."""
        return await self._run(lambda: self._verify(stored, password))

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made with other parameters and should be made again."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _verify(self, stored: str | None, password: str) -> bool:
        if stored is None:
            self._hasher.hash(password)
            return False
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._settings.waiting_max:
            raise Refused("busy", retry_after_s=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1
