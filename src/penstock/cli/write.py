"""`penstock write`: select, show old and new, ask, send, and wait for the read-back."""

from __future__ import annotations

import sys
import time
from decimal import Decimal
from typing import TYPE_CHECKING

from penstock.cli.client import Client
from penstock.cli.document import document, rows, text
from penstock.cli.outcome import EXIT_FAULT, EXIT_OK, Fault, UsageFault
from penstock.cli.output import ask, say_error, say_json
from penstock.cli.points import find_points, value_text

if TYPE_CHECKING:
    import argparse

    from penstock.cli.document import Document

ENDS = {"confirmed", "rejected", "expired", "failed", "unconfirmed"}
WAIT_S_MAX = 120.0
POLL_S = 0.1
# By state and problem of the state table (commands/engine.py): who said no, and what went out.
SENTENCES = {
    ("rejected", "refused"): "The device refused the command; it was sent and not carried out",
    ("expired", "cancelled"): "The command was cancelled; nothing was sent",
    ("expired", "restarted"): "Penstock restarted before the command was sent; nothing was sent",
    ("expired", "expired"): "The command expired; nothing was sent",
    ("failed", "not_sent"): "The command could not be sent; the device got nothing",
    ("failed", "ignored"): "The device took the command and holds another value",
}
UNCONFIRMED = (
    "The command was sent and not read back; look at the machine, then resolve it on screen"
)


def run(options: argparse.Namespace) -> int:
    """0 only when the device has confirmed."""
    if not options.yes and not sys.stdin.isatty():
        raise UsageFault("Nobody can be asked here; say --yes to send without a question.")
    client = Client(options.home)
    point = _only(find_points(client, [options.path]), options.path)
    value = value_of(point, options.value)
    command = client.post(
        "/commands", {"point_id": point["id"], "value": value, "reason": options.reason}
    )
    path = f"/commands/{text(command['id'])}"
    say_error(_change(point, command))
    if not options.yes and not ask("Send it?"):
        client.post(f"{path}/cancel")
        say_error("Nothing was sent.")
        return EXIT_FAULT
    client.post(f"{path}/send", {"reason": options.reason})
    ended = _wait_end(client, path)
    if options.json:
        say_json(ended)
    return _judge(point, ended, is_quiet=options.json)


def value_of(point: Document, word: str) -> float | int | str:
    """The word as the point's kind; a label such as RUN stands for its number."""
    labels = document(point.get("labels") or {})
    for number, label in labels.items():
        if text(label).casefold() == word.casefold():
            return int(number)
    kind = text(point["kind"])
    if kind == "text":
        return word
    try:
        return int(word) if kind == "int" else float(word)
    except ValueError as error:
        known = f" or one of {', '.join(map(text, labels.values()))}" if labels else ""
        number_kind = "a whole number" if kind == "int" else "a number"
        raise UsageFault(
            f"{text(point['path'])} takes {number_kind}{known}, not {word!r}."
        ) from error


def digits_of(point: Document, value: object) -> int | None:
    """So many that the wanted value is shown whole; None leaves it to the number.

    >>> digits_of({"decimals": 0}, 33.4), digits_of({"decimals": 2}, 33.4)
    (1, 2)
    """
    decimals = point.get("decimals")
    least = decimals if isinstance(decimals, int) else 0
    exponent = Decimal(repr(value)).as_tuple().exponent if isinstance(value, float) else 0
    return max(least, -exponent) if isinstance(exponent, int) else None


def _only(points: list[Document], path: str) -> Document:
    if len(points) != 1:
        found = [text(point["path"]) for point in points]
        raise Fault(f"{path!r} fits {len(points)} points; a command goes to one:", found)
    return points[0]


def _change(point: Document, command: Document) -> str:
    old = value_text(point, command.get("old_value"))
    digits = digits_of(point, command.get("value"))
    asked, held = (
        value_text(point, _as_kind(point, command.get(name)), digits) for name in ("value", "held")
    )
    if asked != held:
        say_error(f"{text(point['path'])} cannot hold {asked}: it will hold {held}.")
    failed = [text(row["key"]) for row in rows(command.get("checks") or []) if not row["ok"]]
    note = f" (look at: {', '.join(failed)})" if failed else ""
    return f"{text(point['path'])}: {old} -> {held}{note}"


def _as_kind(point: Document, value: object) -> object:
    is_float = point["kind"] == "float" and isinstance(value, int)
    return float(value) if is_float and isinstance(value, int) else value


def _wait_end(client: Client, path: str) -> Document:
    """The command in its end state."""
    until = time.monotonic() + WAIT_S_MAX
    while True:
        command = client.get(path)
        if command["state"] in ENDS:
            return command
        if time.monotonic() > until:
            raise Fault(
                f"The command is still {text(command['state'])} after {WAIT_S_MAX:.0f} s; "
                "see the point on the screen."
            )
        time.sleep(POLL_S)


def _judge(point: Document, ended: Document, *, is_quiet: bool) -> int:
    state = text(ended["state"])
    result = document(ended.get("result") or {})
    if state == "confirmed":
        if not is_quiet:
            digits = digits_of(point, ended.get("value"))
            read_back = value_text(point, _as_kind(point, result.get("read_back")), digits)
            print(f"Confirmed: {text(point['path'])} reads {read_back}.")
        return EXIT_OK
    say_error(sentence(state, text(result.get("problem")), text(result.get("detail"))))
    return EXIT_FAULT


def sentence(state: str, problem: str, detail: str) -> str:
    """How a command ended that was not confirmed, with the protocol's own words behind it."""
    said = SENTENCES.get((state, problem), UNCONFIRMED)
    return f"{said}{f' ({detail})' if detail else ''}."
