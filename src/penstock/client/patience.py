"""When a refused request is tried again, and after how long."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.client.errors import BrokenOff, Cancelled, Problem, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.client.errors import ClientError

AGAIN = frozenset({429, 503})
FIRST_S = 0.2
LONGEST_S = 8.0


@dataclass
class Patience:
    """Up to `tries` in all and `wait_s_max` of waiting together.

    A plant that says how long to wait (`Retry-After`) is believed; otherwise the waits
    double, each with a share of chance, so that many clients do not come back at once.
    """

    tries: int = 8
    wait_s_max: float = 60.0
    is_over: threading.Event = field(default_factory=threading.Event)
    wait: Callable[[float], bool] | None = None

    def waits(self) -> Waits:
        """For one request."""
        return Waits(self)


class Waits:
    """The tries of one request."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._tried = 0
        self._left_s = patience.wait_s_max

    def after(self, error: ClientError) -> None:
        """Wait before the next try, or raise the error if there is none."""
        self._tried += 1
        wait_s = self._wait_s(error)
        if wait_s is None or self._tried >= self._patience.tries or wait_s > self._left_s:
            raise error
        self._left_s -= wait_s
        wait = self._patience.wait or self._patience.is_over.wait
        if wait(wait_s):
            raise Cancelled("The request was cancelled.") from error

    def _wait_s(self, error: ClientError) -> float | None:
        if isinstance(error, Problem):
            if error.status not in AGAIN:
                return None
            if error.wait_s is not None:
                return error.wait_s
        elif not isinstance(error, BrokenOff | Unreachable):
            return None
        bound = min(LONGEST_S, FIRST_S * 2.0 ** (self._tried - 1))
        return bound * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret
