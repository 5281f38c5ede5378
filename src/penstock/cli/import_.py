"""`penstock import`: uploads a file, asks what it leaves open, and shows how far it is."""

from __future__ import annotations

import csv
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from penstock.cli.client import Client
from penstock.cli.document import document, items, rows, text, whole
from penstock.cli.outcome import EXIT_FAULT, EXIT_OK, EXIT_USAGE, Fault, UsageFault
from penstock.cli.output import say_error, say_json

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from penstock.cli.document import Document

LOOK_S = 0.2
SHOWN = 10
WORKING = ("looking", "checking", "sending")
OPTION_OF = {
    "names": "--map, --asset or --skip-unknown",
    "quality_words": "--quality-word",
    "ignore_units": "--ignore-units",
    "time_columns": "--time-column",
}
"""Options of the command line by the id of a question; the others have the same name."""


def run(options: argparse.Namespace) -> int:
    """Exit code 0: all of it is in the log. 2: something is open, and the option is named."""
    client = Client(options.home)
    said = _said(options)
    place, one = _begin(client, options)
    try:
        one = _wait(client, place, one)
        if said and one["state"] not in {"done", "sending"} and not options.resume:
            client.put(f"{place}/options", said)
            one = _wait(client, place, client.get(place))
        while one["state"] == "open":
            one = _answered(client, place, one, said, options)
        one = _started(client, place, one, options)
    except KeyboardInterrupt:
        with suppress(Fault):
            client.delete(place)
        say_error(f"Ended; `penstock import --resume {text(one['id'])}` goes on with it.")
        raise
    return _told(one, options)


def _begin(client: Client, options: argparse.Namespace) -> tuple[str, Document]:
    if bool(options.file) == bool(options.resume):
        raise UsageFault("Name either a file or --resume ID.")
    if options.resume:
        place = f"/imports/{quote(options.resume)}"
        return place, client.get(place)
    name = urlencode({"name": options.file.name[:255]})
    one = client.upload(f"/imports?{name}", options.file)
    return f"/imports/{text(one['id'])}", one


def _started(client: Client, place: str, one: Document, options: argparse.Namespace) -> Document:
    """Checked and sent; what is done already stays done."""
    if one["state"] in {"failed", "rejected"} and not options.resume:
        return one
    if one["state"] not in {"done", *WORKING}:
        one = client.post(f"{place}/start", {"dry_run": bool(options.dry_run)})
    return _wait(client, place, one)


def _wait(client: Client, place: str, one: Document) -> Document:
    """Until nothing is at work."""
    has_said, first = False, (0.0, 0)
    while one["state"] in WORKING:
        time.sleep(LOOK_S)
        before, one = one["state"], client.get(place)
        if before != one["state"]:
            first = (0.0, 0)
        if sys.stderr.isatty() and one.get("rows_max"):
            has_said, first = True, _say_progress(one, first)
    if has_said:
        sys.stderr.write("\n")
    return client.get(place)


def _say_progress(one: Document, first: tuple[float, int]) -> tuple[float, int]:
    """One line that is written over: share, rate and time left since the first look at a step."""
    done, total, now = whole(one["rows_done"]), whole(one["rows_max"]), time.monotonic()
    if not first[0]:
        first = now, done
    rate = (done - first[1]) / max(0.1, now - first[0])
    left = f", {(total - done) / rate:.0f} s left" if rate > 0 else ""
    sys.stderr.write(
        f"\r{text(one['state'])} {done / max(1, total):4.0%}  {done:,} of {total:,} rows, "
        f"{rate:,.0f} rows/s{left}   "
    )
    sys.stderr.flush()
    return first


# --- what is open


def _answered(
    client: Client, place: str, one: Document, said: Document, options: argparse.Namespace
) -> Document:
    """The import after one round of answers."""
    questions = rows(one["questions"])
    answers: Document = {}
    if sys.stdin.isatty() and not options.json:
        answers = _asked(questions)
    if not answers:
        _say_open(one, questions)
        with suppress(Fault):
            client.delete(place)
        raise Fault("Nothing was imported.", exit_code=EXIT_USAGE)
    said |= answers
    client.put(f"{place}/options", said)
    return _wait(client, place, client.get(place))


def _asked(questions: list[Document]) -> Document:
    """Answers to those that have choices; empty as soon as one has none."""
    answers: Document = {}
    for question in questions:
        choices = rows(question["choices"])
        if not choices or question["id"] == "quality_words":
            return {}
        print(text(question["text"]))
        for number, choice in enumerate(choices, 1):
            print(f"  {number}  {text(choice['value'])}: {text(choice['meaning'])}")
        word = input("Number, or a value of your own: ").strip()
        if word.isdigit() and 1 <= int(word) <= len(choices):
            word = text(choices[int(word) - 1]["value"])
        if not word:
            return {}
        answers[text(question["id"])] = True if word == "true" else word
    return answers


def _say_open(one: Document, questions: list[Document]) -> None:
    for question in questions:
        say_error(text(question["text"]))
        for example in rows(question["examples"]):
            say_error(f"  in the file: {text(example['text'])}")
        id_ = text(question["id"])
        option = OPTION_OF.get(id_, f"--{id_.replace('_', '-')}")
        for choice in rows(question["choices"]):
            value = "" if id_ == "ignore_units" else f" {text(choice['value'])}"
            say_error(f"  {option}{value}   {text(choice['meaning'])}".rstrip())
        if not items(question["choices"]):
            say_error(f"  answer with {option}")
    for name in rows(one["open_names"])[:SHOWN]:
        near = ", ".join(text(path) for path in items(name["near"]))
        units = f" in {text(name['unit'])}" if name["unit"] else ""
        point = f"; the point has {text(name['point_unit'])}" if name["point_unit"] else ""
        like = f"; like {near}" if near else ""
        say_error(f"  {text(name['name'])}{units}: {text(name['rows'])} rows{point}{like}")
    if len(rows(one["open_names"])) > SHOWN:
        say_error(f"  and {len(rows(one['open_names'])) - SHOWN} more")


# --- what was said


def _said(options: argparse.Namespace) -> Document:
    """The options of the API that the command line gives."""
    said: Document = {
        name: getattr(options, name)
        for name in (
            "zone", "time_format", "double_hour", "decimal", "encoding", "header_row", "first_row",
            "layout", "name_column", "value_column", "quality_column",
        )
        if getattr(options, name) is not None
    }  # fmt: skip
    for name in ("skip_unknown", "ignore_units", "skip_bad", "replace"):
        if getattr(options, name):
            said[name] = True
    if options.delimiter:
        said["delimiter"] = "\t" if options.delimiter == "tab" else options.delimiter
    if options.time_column:
        said["time_columns"] = options.time_column
    if options.ignore_column:
        said["ignored_columns"] = options.ignore_column
    if options.asset:
        said["asset"] = options.asset
    if options.map:
        said["names"] = _map_of(options.map)
    if options.quality_word:
        said["quality_words"] = dict(_pair(word) for word in options.quality_word)
    return said


def _pair(word: str) -> tuple[str, str]:
    name, sign, meaning = word.rpartition("=")
    if not sign or meaning not in {"good", "uncertain", "bad"}:
        raise UsageFault(f"--quality-word {word!r} is not WORD=good, =uncertain or =bad.")
    return name, meaning


def _map_of(path: Path) -> dict[str, str]:
    """Names to paths; an empty path leaves a name out."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        sample = file.read(4096)
        file.seek(0)
        sign = ";" if sample.count(";") > sample.count(",") else ","
        found = {row[0]: row[1] for row in csv.reader(file, delimiter=sign) if len(row) >= 2}
    if not found:
        raise UsageFault(f"{path} has no line with a name and a path.")
    return found


# --- the end


def _told(one: Document, options: argparse.Namespace) -> int:
    state = text(one["state"])
    if options.json:
        say_json(one)
    else:
        _say_report(one)
    if state == "done" or (state == "checked" and options.dry_run):
        return EXIT_OK
    return EXIT_FAULT


def _say_report(one: Document) -> None:
    for item in rows(one["rejects"])[:SHOWN]:
        cell = f"{text(item['column'])} {text(item['text'])!r}"
        say_error(f"  line {text(item['row'])}: {cell} {text(item['reason'])}")
    rejected = {name: whole(count) for name, count in document(one["rejected"]).items()}
    for reason, count in rejected.items():
        say_error(f"{count:,} rejected: {reason}")
    for point in rows(one["points"])[:SHOWN]:
        say_error(
            f"  {text(point['path'])}: {whole(point['count']):,} samples "
            f"from {text(point['first'])} to {text(point['last'])}"
        )
    if one["detail"]:
        say_error(text(one["detail"]))
    samples, lines = whole(one["samples"] or 0), whole(one["rows"] or 0)
    ends = {
        "done": f"Imported {samples:,} samples of {lines:,} rows.",
        "checked": f"{samples:,} samples of {lines:,} rows fit; nothing was imported (--dry-run).",
        "rejected": "Nothing was imported: mend these rows, or leave them out with --skip-bad.",
    }
    state = text(one["state"])
    resume = f"; `penstock import --resume {text(one['id'])}` goes on with it."
    say_error(ends.get(state, f"The import is {state}{resume}"))
    if whole(one["repeated"] or 0):
        say_error(f"{whole(one['repeated']):,} samples stand in the file twice; one is kept.")
