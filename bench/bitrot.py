"""One flipped bit or a cut in any file at rest: no wrong answer, damage named, the rest readable.

./dev bench bitrot [--flips 1000] [--seed 1] [--kinds "log,day segment"]: a data folder with
raw and compacted segments, floats, integers, texts, Blocks and corrections, plain and compressed
log files, manifests, watermark, state.db and FORMAT is made once; each flip hurts one file of a
copy, opens it as the product does, and asks everything. An answer is wrong when a row comes back
that was never stored, or is missing and nothing names the file that was hurt. When a correction
is lost with its file and that is named, the row that it replaced comes back: it was stored.

SQLite has no checksums. A flip in a row that is not sealed can be an answer that nobody notices:
it is `undetected_in_state_db` and counts as wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import random
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from _bitrot_folder import Answers, Row, Rows, ask, ask_state, is_noticed_by_sqlite, make
from _kit import emit, is_all_reached, judged, say
from sqlalchemy.exc import DatabaseError

from penstock.codec.layout import Damaged
from penstock.model import ConfigError, Refused
from penstock.node.home import Home
from penstock.security.seal import RowDamaged

BARS = {"flips": ">= {flips}", "wrong_answers": "<= 0", "not_named": "<= 0"}


@dataclass
class Truth:
    """Answers of the unhurt folder."""

    answers: Answers
    tables: dict[str, Rows]
    key_name: str
    stored: dict[int, set[Row]]


@dataclass
class Verdict:
    """What one flip did; `names` is all that was said about damage."""

    wrong: int = 0
    is_same: bool = True
    names: list[str] = field(default_factory=list)
    is_refused: bool = False
    is_noticed_by_sqlite: bool = False

    def is_named(self, path: Path) -> bool:
        """By the file itself; a log file keeps its stem when it is compressed."""
        return any(path.stem in name for name in self.names)


# --- judging


def hurt(path: Path, chance: random.Random) -> str:
    """Flip one bit, or cut the file; what was done."""
    data = bytearray(path.read_bytes())
    if chance.random() < 0.15 or not data:
        size = chance.randrange(len(data)) if data else 0
        path.write_bytes(data[:size])
        return f"cut to {size}"
    at, bit = chance.randrange(len(data)), chance.randrange(8)
    data[at] ^= 1 << bit
    path.write_bytes(data)
    return f"bit {bit} of byte {at}"


def is_uncovered(row: Row, stored: set[Row], lost: Rows) -> bool:
    """Whether a row was stored, and one that replaced it at the same time is lost."""
    time_ns, sequence = row[1], row[4]
    assert isinstance(sequence, int)
    newer = (other[4] for other in lost if other[1] == time_ns)
    return row in stored and any(isinstance(one, int) and one > sequence for one in newer)


def wrong_rows(found: Rows, rows: Rows, stored: set[Row], *, is_named: bool) -> int:
    """How many rows were never stored, or came back and nothing names why."""
    lost, extra = rows - found, found - rows
    excused = sum(is_named and is_uncovered(row, stored, lost) for row in extra)
    return extra.total() - excused


def judge_data(
    folder: Path, path: Path, known: Truth, captured: list[dict[str, object]]
) -> Verdict:
    truth = known.answers
    try:
        found = asyncio.run(ask(folder))
    except (ConfigError, Refused) as error:
        return Verdict(is_same=False, is_refused=True, names=[str(error)])
    said = [str(entry) for entry in captured if entry["log_level"] != "info"]
    verdict = Verdict(names=found.names + said)
    missing = 0
    for handle, rows in truth.rows.items():
        here, stored = found.rows[handle], known.stored.get(handle, set())
        verdict.wrong += wrong_rows(here, rows, stored, is_named=verdict.is_named(path))
        missing += (rows - found.rows[handle]).total()
    for sequence, row in found.records.items():
        # Behind the newest the start may have written something of its own.
        is_own = sequence not in truth.records and sequence > max(truth.records)
        verdict.wrong += not is_own and truth.records.get(sequence) != row
    missing += len(truth.records.keys() - found.records.keys())
    verdict.is_same = not missing
    if not missing:
        verdict.wrong += found.derived != truth.derived
    elif not verdict.is_named(path):
        verdict.wrong += missing
    return verdict


def judge_state(folder: Path, truth: dict[str, Rows]) -> Verdict:
    try:
        found = ask_state(folder)
    except (ConfigError, DatabaseError, RowDamaged, ValueError, LookupError, TypeError) as error:
        return Verdict(is_same=False, is_refused=True, names=[f"{type(error).__name__}: {error}"])
    wrong = 0
    for name in truth.keys() | found.keys():
        here, there = found.get(name, Counter()), truth.get(name, Counter())
        wrong += max((here - there).total(), (there - here).total())
    noticed = bool(wrong) and is_noticed_by_sqlite(folder)
    return Verdict(wrong, is_same=not wrong, is_noticed_by_sqlite=noticed)


def judge_format(folder: Path, key_name: str) -> Verdict:
    home = Home(folder.parent)
    try:
        name = home.key_name()
    except (ConfigError, AssertionError, ValueError, KeyError, TypeError) as error:
        return Verdict(is_same=False, is_refused=True, names=[f"{type(error).__name__}: {error}"])
    is_same = name == key_name
    return Verdict(
        is_same=is_same, names=[] if is_same else ["FORMAT names keys that are not there"]
    )


def kind_of(path: Path) -> str:
    if path.name.startswith("manifest"):
        return "manifest"
    if path.suffix == ".seg":
        return "day segment" if int(path.stem.rpartition("-")[2]) % 2 else "raw segment"
    return {".log": "log", ".logz": "compressed log", ".db": "state.db"}.get(path.suffix, path.name)


def truth_of(source: Path, clean: Path, stored: dict[int, set[Row]]) -> Truth:
    """Asked of a copy, because asking writes."""
    shutil.copytree(source, clean)
    answers = asyncio.run(ask(clean))
    assert not answers.names, answers.names
    assert all(answers.rows.values()), "a point without rows proves nothing"
    assert all(answers.rows[handle].keys() < rows for handle, rows in stored.items())
    tables = ask_state(source)
    for name in ("users as read", "points as read", "assets as read"):
        assert tables[name], name
    return Truth(answers, tables, Home(source.parent).key_name(), stored)


def run(flips: int, seed: int, base: Path, kinds: list[str] | None = None) -> dict[str, object]:
    """All flips, the kinds of files equally often; figures of the bench."""
    source = base / "source" / "data"
    source.mkdir(parents=True)
    stored = asyncio.run(make(source))
    truth = truth_of(source, base / "clean" / "data", stored)
    by_kind: dict[str, list[Path]] = {}
    for path in sorted(source.rglob("*")):
        if path.is_file() and path.name not in {"ballast", "lock"} and path.stat().st_size:
            by_kind.setdefault(kind_of(path), []).append(path.relative_to(source))
    rows = sum(found.total() for found in truth.answers.rows.values())
    files = {kind: len(paths) for kind, paths in by_kind.items()}
    say(f"{rows} rows, {len(truth.answers.records)} records, files: {files}")
    chosen = sorted(by_kind) if kinds is None else kinds
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in chosen}
    failures: list[str] = []
    for number in range(flips):
        chance = random.Random(seed * 1_000_003 + number)
        kind = chance.choice(chosen)
        path = chance.choice(by_kind[kind])
        place = base / "flip" / "data"
        shutil.copytree(source, place)
        done = hurt(place / path, chance)
        verdict = one(place, path, kind, truth)
        note(counts[kind], verdict, failures, path, f"flip {number}: {path}, {done}", kind)
        shutil.rmtree(place.parent)
    return {"rows": rows, **summary(counts, failures)}


def one(place: Path, path: Path, kind: str, truth: Truth) -> Verdict:
    with structlog.testing.capture_logs() as captured:
        if kind == "state.db":
            return judge_state(place, truth.tables)
        if kind == "FORMAT":
            return judge_format(place, truth.key_name)
        return judge_data(place, path, truth, captured)  # type: ignore[arg-type]


def note(
    counts: Counter[str], verdict: Verdict, failures: list[str], path: Path, what: str, kind: str
) -> None:
    counts["flips"] += 1
    counts["wrong answers"] += verdict.wrong
    if verdict.wrong:
        failures.append(f"{what}: {verdict.wrong} wrong")
    if kind == "state.db":
        note_state(counts, verdict)
    elif verdict.is_refused and not verdict.is_named(path):
        counts["not named"] += 1
        failures.append(f"{what}: {verdict.names} does not name the file")
    elif verdict.is_refused:
        counts["start refused, damage named"] += 1
    elif verdict.is_same:
        counts["harmless or healed"] += 1
    elif verdict.is_named(path) or (verdict.names and kind == "FORMAT"):
        counts["detected, the rest readable"] += 1
    else:
        counts["not named"] += 1
        failures.append(f"{what}: data is missing and nothing names its file: {verdict.names}")


def note_state(counts: Counter[str], verdict: Verdict) -> None:
    """One file: SQLite's own error, or the damaged row, is its name."""
    if verdict.is_refused:
        counts["start refused, damage named"] += 1
    elif verdict.is_same:
        counts["harmless or healed"] += 1
    else:
        counts["undetected"] += 1
        counts["of them integrity_check would find"] += verdict.is_noticed_by_sqlite


def summary(counts: dict[str, Counter[str]], failures: list[str]) -> dict[str, object]:
    total: Counter[str] = Counter()
    for found in counts.values():
        total += found
    state = counts.get("state.db", Counter())
    return {
        "flips": total["flips"],
        "wrong_answers": total["wrong answers"],
        "wrong_answers_in_state_db": state["wrong answers"],
        "not_named": total["not named"],
        "detected": total["detected, the rest readable"] + total["start refused, damage named"],
        "harmless": total["harmless or healed"],
        "undetected_in_state_db": state["undetected"],
        "by_kind": {kind: dict(found) for kind, found in counts.items()},
        "failures": failures[:20],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--kinds", type=lambda text: text.split(","), help="of files; all if not given"
    )
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with contextlib.suppress(Damaged), tempfile.TemporaryDirectory(prefix="penstock-rot-") as name:
        found = run(options.flips, options.seed, Path(name), options.kinds)
        bars = {key: bar.format_map(vars(options)) for key, bar in BARS.items()}
        verdicts = judged(found, bars)
        emit("bitrot", {**found, "bars": bars, "is_reached": verdicts})
        return 0 if is_all_reached(verdicts) and not found["failures"] else 1
    return 1


if __name__ == "__main__":
    sys.exit(main())
