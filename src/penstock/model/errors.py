"""Three exceptions and one value, named by the reaction they need.

Bad samples are none of these: they are a Quality in a Frame. Anything else that
is raised is a bug: it ends its worker, the supervisor restarts it and says so.

    PenstockError
    ├── ConfigError    a human must edit something: stop, list every problem with its path
    ├── NotConnected   transient: the host reconnects with back-off
    └── Refused        a permission, range, limit or expiry said no: tell the requester why
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class PenstockError(Exception):
    """Base of the errors that have a planned reaction."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing to edit: `place` is "file:line" or a dotted key, `message` says what and how."""

    place: str
    message: str
    is_warning: bool = False

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class ConfigError(PenstockError):
    """A human must edit something; carries every problem at once."""

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class NotConnected(PenstockError):
    """The other end does not answer; the host reconnects, authors write no retry loops."""


class Refused(PenstockError):
    """A request was turned down; `code` is a key of ERROR_TABLE, `params` fill its texts."""

    def __init__(self, code: str, detail: str = "", **params: object) -> None:
        assert code in ERROR_TABLE, code
        self.code = code
        self.params = params
        self.entry = ERROR_TABLE[code]
        self.detail = detail or self.entry.title
        super().__init__(self.detail)


@dataclass(frozen=True, slots=True)
class ErrorEntry:
    """HTTP status, title and remedy of one error code; the catalogue key is problem.<code>."""

    status: int
    title: str
    remedy: str


ERROR_TABLE: dict[str, ErrorEntry] = {
    "not_found": ErrorEntry(404, "There is no such object.", "Check the identifier."),
    "no_session": ErrorEntry(401, "You are not logged in.", "Log in and try again."),
    "wrong_credentials": ErrorEntry(
        401, "Name or password is wrong.", "Check both; an administrator can reset the password."
    ),
    "too_many_attempts": ErrorEntry(
        429, "Too many attempts.", "Wait for the stated time, then try again."
    ),
    "weak_password": ErrorEntry(
        400, "The password is too short.", "Use at least 12 characters, for example four words."
    ),
    "wrong_setup_token": ErrorEntry(
        403, "The set-up link is not valid.", "Run `penstock setup-link` for a new one."
    ),
    "setup_done": ErrorEntry(409, "The set-up was done before.", "Log in."),
    "setup_needed": ErrorEntry(
        403, "The set-up has not been done yet.", "Open the set-up link; `penstock setup-link`."
    ),
    "not_permitted": ErrorEntry(
        403, "Your role does not permit this.", "Ask an administrator for the permission."
    ),
    "bad_origin": ErrorEntry(
        403, "The request came from another site.", "Open the address that the start printed."
    ),
    "bad_host": ErrorEntry(
        421, "This address is not served here.", "Open the address that the start printed."
    ),
    "bad_csrf": ErrorEntry(403, "The page is out of date.", "Reload the page and try again."),
    "invalid_request": ErrorEntry(422, "The request is not valid.", "Correct what is named."),
    "idempotency_key_needed": ErrorEntry(
        400, "The request has no Idempotency-Key.", "Send a new UUID in the Idempotency-Key header."
    ),
    "idempotency_key_reused": ErrorEntry(
        409, "The Idempotency-Key was used for another request.", "Send a new UUID."
    ),
    "not_writable": ErrorEntry(
        409, "The point is read-only.", "Release it for writing in its connector's point list."
    ),
    "out_of_range": ErrorEntry(
        422, "The value is outside the allowed range.", "Enter {low} to {high}."
    ),
    "wrong_kind": ErrorEntry(422, "The value does not fit the point.", "Enter a {kind} value."),
    "wrong_state": ErrorEntry(
        409, "The command is in another state.", "Reload it; a sent command is never sent again."
    ),
    "expired": ErrorEntry(409, "The command has expired.", "Select the point again."),
    "point_busy": ErrorEntry(
        409, "Another command to this point is under way.", "Wait for its end or resolve it."
    ),
    "rate_exceeded": ErrorEntry(
        429, "This point was written too often.", "Wait a minute; at most {max} in a minute."
    ),
    "reason_needed": ErrorEntry(422, "A reason is needed.", "Say in a few words why."),
    "log_full": ErrorEntry(
        507, "The log is full; new data is refused.", "Free disk space or raise log_bytes_max."
    ),
    "disk_full": ErrorEntry(
        507, "The disk is full; new data is refused, reading goes on.", "Free disk space."
    ),
    "busy": ErrorEntry(429, "The server is busy.", "Try again after the stated seconds."),
    "too_large": ErrorEntry(413, "The request is too large.", "Ask for less at once."),
    "conflict": ErrorEntry(
        409, "It was changed by somebody else meanwhile.", "Reload and look at the difference."
    ),
    "connector_away": ErrorEntry(
        503, "The connector's process does not run.", "See the System page; it restarts by itself."
    ),
    "compute_away": ErrorEntry(
        503,
        "The compute process does not run; data is taken and shown all the same.",
        "Try again in a moment: it restarts by itself. See the System page.",
    ),
    "cancelled": ErrorEntry(409, "The work was cancelled.", "Start it again if it is needed."),
    "damaged_record": ErrorEntry(
        403,
        "A stored security record was changed from outside.",
        "Restore the state database from a backup; `penstock doctor` names the record.",
    ),
    "data_damaged": ErrorEntry(
        410,
        "The stored data is damaged and cannot be read.",
        "Restore it from a backup; `penstock doctor` names the file.",
    ),
    "is_waveform": ErrorEntry(
        422,
        "The point is a waveform; this question is for single samples.",
        "Ask for its blocks or for a trend.",
    ),
    "name_taken": ErrorEntry(409, "There is a user of this name.", "Choose another name."),
    "last_administrator": ErrorEntry(
        409,
        "This is the last administrator.",
        "Make somebody else administrator first.",
    ),
    "too_slow": ErrorEntry(
        503, "The answer took too long.", "Ask for less at once, or try again in a moment."
    ),
    "sql_invalid": ErrorEntry(
        422, "The SQL cannot be run.", "Correct it where it says; see the page on SQL."
    ),
    "sql_refused": ErrorEntry(
        422,
        "The SQL asks for something that is not served here.",
        "Send one SELECT over `samples` and `points`; see the page on SQL.",
    ),
    "sql_too_wide": ErrorEntry(
        413,
        "The query would read more of the history than is allowed.",
        "Add the bound that is named, or export.",
    ),
    "sql_too_large": ErrorEntry(
        413,
        "The query needs more memory or gives a larger answer than is allowed.",
        "Ask for fewer rows or columns, or aggregate.",
    ),
    "import_unreadable": ErrorEntry(
        422,
        "The file cannot be read as samples.",
        "Correct the file at the place that is named, or say how it is to be read.",
    ),
    "import_open": ErrorEntry(
        409,
        "The import has questions that are not answered.",
        "Answer each of `questions` with the option that it names.",
    ),
    "import_rejected": ErrorEntry(
        422,
        "Rows of the file do not fit; nothing was imported.",
        "Mend the file, or leave these rows out with `skip_bad`.",
    ),
    "bad_request": ErrorEntry(400, "The request is not understood.", "See `detail`."),
    "method_not_allowed": ErrorEntry(
        405, "This address does not know the method.", "See `/api/v1/openapi.json`."
    ),
    "configuration_invalid": ErrorEntry(
        422, "The plant folder has mistakes; nothing was changed.", "Mend every place in `errors`."
    ),
    "internal": ErrorEntry(
        500, "Something went wrong inside Penstock.", "See the log; report it with the request id."
    ),
}
