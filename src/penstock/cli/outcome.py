"""How a verb ends: exit codes, and the faults that are said in sentences instead of tracebacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_OK = 0
EXIT_FAULT = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class Fault(Exception):
    """What happened, to what, and what to do; `details` are further lines, one each."""

    def __init__(
        self, message: str, details: Sequence[str] = (), exit_code: int = EXIT_FAULT
    ) -> None:
        self.details = tuple(details)
        self.exit_code = exit_code
        super().__init__(message)


class UsageFault(Fault):
    """The command line itself is wrong."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=EXIT_USAGE)
