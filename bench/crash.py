"""kill -9 and power cuts: what was accepted is there once, to the bit, and nobody repairs anything.

./dev bench crash [--kills 300] [--cuts 100] [--seed 1] [--state FILE] [--resume]: 9 of 10 rounds
hit a bare writer (log, historian, compaction in one process), the others the whole product.
The writer's acknowledgements are kept in this process. Cuts alternate between ext4 and xfs.
Only what was heard before a cut counts as accepted, as with real power: FS_IOC_SHUTDOWN lets an
fdatasync that is under way return 0 without its data (a bare loop of write, fdatasync and print
lost its last line in 9 of 150 cuts of ext4).
`doubled` counts rows that history shows twice and batch records that the log holds twice: history
alone cannot tell, because it shows equal rows once. A run without segments, compactions and
compressed log files has proved nothing about them and fails.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from _crash_place import SLOTS, Place, State
from _kit import emit, is_all_reached, judged, percentile, say
from _volume import Impossible, Volume

WRITER = Path(__file__).with_name("_crash_writer.py")
TESTS = Path(__file__).resolve().parents[1] / "tests"
START_S_MAX = 120.0
WHOLE_SHARE = 10
PLACES = ("kill", "ext4", "xfs")
BARS = {
    "kills": ">= {kills}",
    "cuts": ">= {cuts}",
    "accepted": "> 0",
    "lost": "<= 0",
    "doubled": "<= 0",
    "wrong": "<= 0",
    "recovery_s_p99": "<= 4",
    "manual_repairs": "<= 0",
    "segments_max": "> 0",
    "compactions": "> 0",
    "compressed_files": "> 0",
}


class Writer:
    """One life of the bare writer; lines of it as they come."""

    def __init__(self, folder: Path, seed: int, numbers: list[int]) -> None:
        command = [sys.executable, WRITER, folder, seed, *numbers]
        self.begin_s = time.monotonic()
        self.process = subprocess.Popen(
            [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.process.stdout, selectors.EVENT_READ)
        self._rest = b""
        self._waiting: collections.deque[bytes] = collections.deque()

    def lines(self, until_s: float) -> Iterator[bytes]:
        """Whole lines until the moment, or the end of the process."""
        assert self.process.stdout is not None
        while (left := until_s - time.monotonic()) > 0:
            while self._waiting:
                yield self._waiting.popleft()
            if not self._selector.select(left):
                return
            data = self.process.stdout.read()
            if not data:
                return
            *whole, self._rest = (self._rest + data).split(b"\n")
            self._waiting.extend(whole)

    def said(self) -> list[bytes]:
        """The lines that have come so far, without waiting."""
        assert self.process.stdout is not None
        *whole, self._rest = (self._rest + (self.process.stdout.read() or b"")).split(b"\n")
        lines = [*self._waiting, *whole]
        self._waiting.clear()
        return lines

    def end(self) -> list[bytes]:
        """SIGKILL; the lines that it had still said, and nothing that is cut."""
        self.process.kill()
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), True)
        data = self._rest + self.process.stdout.read()
        self.process.wait()
        assert self.process.stderr is not None
        self.complaint = self.process.stderr.read().decode(errors="replace")
        self.process.stdout.close()
        self.process.stderr.close()
        self._selector.close()
        return [*self._waiting, *data.split(b"\n")[:-1]]


def life(place: Place, chance: random.Random, volume: Volume | None) -> None:
    """Start, wait until it is ready and has been judged, let it write, and end it."""
    state = place.state
    is_early = chance.random() < 0.1
    writer = Writer(place.folder, chance.getrandbits(30), [place.seen_to, *place.firsts()])
    place.started()
    is_judged, until_s = False, writer.begin_s + (chance.random() if is_early else START_S_MAX)
    for line in writer.lines(until_s):
        if line == b"ready":
            state.recovery_s.append(time.monotonic() - writer.begin_s)
        elif line.startswith(b"history "):
            place.judge(json.loads(line.partition(b" ")[2]))
            is_judged = True
            break
    if is_judged:
        for line in writer.lines(
            time.monotonic() + chance.choice((0.05, 0.4, 1.5)) * chance.random()
        ):
            place.note(line)
    for line in writer.said():
        place.note(line)
    if volume is not None:
        volume.cut_power()
    last_words = writer.end()
    if volume is None:  # after a power cut nobody hears anything: see the top of the file
        for line in last_words:
            place.note(line)
    if not is_judged and not is_early:
        state.manual_repairs += 1
        state.failures.append(f"{place.name}: does not start: {writer.complaint[-500:]}")
    if volume is not None:
        volume.remount()


def verify(place: Place) -> None:
    """The last word: start once more and judge."""
    writer = Writer(place.folder, 0, [place.seen_to])
    for line in writer.lines(writer.begin_s + START_S_MAX):
        if line.startswith(b"history "):
            place.judge(json.loads(line.partition(b" ")[2]))
            break
    else:
        place.state.manual_repairs += 1
        place.state.failures.append(f"{place.name}: does not start at the end")
    writer.end()


def whole_kills(state: State, count: int, folder: Path) -> None:
    """The whole product under a device that counts; tests/durability has the oracle."""
    sys.path[:0] = [str(TESTS), str(TESTS / "durability")]
    import pytest  # noqa: PLC0415
    import test_kill  # noqa: PLC0415
    from counting_server import CountingServer  # noqa: PLC0415
    from whole import Whole  # noqa: PLC0415

    chance = random.Random(state.seed * 1000 + state.whole_kills)
    server = CountingServer()
    product = Whole(folder, server)
    try:
        plan = [chance.choice(["core", "core", "field", "both", "tree"]) for _ in range(count)]
        kills = test_kill.rounds(product, plan, chance)
        state.whole_accepted += len(server.sent)
        state.whole_kills += len(kills)
    except (AssertionError, pytest.fail.Exception) as error:
        state.wrong += 1
        state.failures.append(f"whole product: {str(error)[:500]}")
        state.whole_kills += count
    finally:
        product.end()
        server.close()


def whole_cuts(state: State, count: int, volume: Volume) -> None:
    """The whole product on a volume: what its watermark had called durable must all be there."""
    sys.path[:0] = [str(TESTS), str(TESTS / "durability")]
    import pytest  # noqa: PLC0415
    from counting_server import CountingServer  # noqa: PLC0415
    from whole import Whole, Witness  # noqa: PLC0415

    chance = random.Random(state.seed * 1000 + state.whole_cuts)
    server = CountingServer()
    folder = volume.place / f"whole-{state.whole_cuts}-{os.getpid()}"
    folder.mkdir()
    product = Whole(folder, server)
    os.sync()
    witness = Witness(product.home)
    try:
        for _ in range(count):
            begin_s = time.monotonic()
            product.start()
            state.recovery_s.append(time.monotonic() - begin_s)
            product.wait_flowing()
            server.wait_answers(chance.randint(20, 150))
            state.whole_accepted += witness.note()
            volume.cut_power()
            product.kill_tree()
            volume.remount()
            state.whole_cuts += 1
        product.start()
        product.wait_flowing()
        assert product.stop() == 0
        state.lost += len(witness.lost())
    except (AssertionError, pytest.fail.Exception) as error:
        state.wrong += 1
        state.failures.append(f"whole product, power cut: {str(error)[:500]}")
    finally:
        product.end()
        server.close()


def run(state: State, path: Path, kills: int, cuts: int, *, with_whole: bool) -> None:
    """All rounds that are not done yet, saved after each."""
    folder = Path(state.folder)
    bare_kills = kills - kills // WHOLE_SHARE if with_whole else kills
    bare_cuts = cuts - cuts // WHOLE_SHARE if with_whole else cuts
    place = Place(state, "kill", folder / "bare")
    while state.kills < bare_kills:
        life(place, random.Random(state.seed * 10_007 + state.kills), None)
        state.kills += 1
        finish_round(state, path, place)
    verify(place)
    with contextlib.ExitStack() as stack:
        volumes = []
        for kind in PLACES[1:]:
            try:
                volumes.append(Volume(folder, kind))
                stack.callback(volumes[-1].unmount)
            except Impossible as error:
                state.unproven.append(f"{kind}: {error}")
        places = [Place(state, volume.kind, volume.place / "bare") for volume in volumes]
        while volumes and state.cuts < bare_cuts:
            at = state.cuts % len(volumes)
            life(places[at], random.Random(state.seed * 20_011 + state.cuts), volumes[at])
            state.cuts += 1
            finish_round(state, path, places[at])
        for place in places:
            verify(place)
        if with_whole:
            if state.whole_kills < kills // WHOLE_SHARE:
                whole_kills(state, kills // WHOLE_SHARE - state.whole_kills, folder)
                state.save(path)
            missing = cuts // WHOLE_SHARE - state.whole_cuts
            for number, volume in enumerate(volumes):
                count = (missing + number) // len(volumes)
                if count > 0:
                    whole_cuts(state, count, volume)
                state.save(path)


def finish_round(state: State, path: Path, place: Place) -> None:
    place.keep()
    state.save(path)
    number = state.kills + state.cuts
    if number % 10 == 0:
        accepted = sum(len(place.accepted[slot]) for slot in SLOTS)
        say(f"{number} rounds, {place.name}: {accepted} accepted, lost {state.lost}")


def figures(state: State) -> dict[str, object]:
    accepted = sum(len(numbers) for slots in state.accepted.values() for numbers in slots.values())
    found: dict[str, object] = {
        "kills": state.kills + state.whole_kills,
        "cuts": state.cuts + state.whole_cuts,
        "accepted": accepted + state.whole_accepted,
        "accepted_bare_batches": accepted,
        "lost": state.lost,
        "doubled": state.doubled,
        "wrong": state.wrong,
        "recovery_s_p99": round(percentile(state.recovery_s, 0.99), 3),
        "recovery_s_p50": round(percentile(state.recovery_s, 0.5), 3),
        "manual_repairs": state.manual_repairs,
        "logged_records": state.logged_records,
        "logged_records_deleted_unseen": state.logged_passed_by,
        "segments_max": state.segments_max,
        "compactions": state.compactions,
        "compressed_files": state.compressed_files,
        "failures": state.failures[:20],
        "statistics": state.last_statistics,
        "seed": state.seed,
    }
    if state.unproven:
        found["power_cuts"] = "UNPROVEN"
        found["unproven"] = state.unproven
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", type=Path, default=Path(tempfile.gettempdir()) / "crash.json")
    parser.add_argument("--folder", type=Path, help="where the data lies; a temporary folder")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--bare", action="store_true", help="leave the whole product out")
    options = parser.parse_args()
    if options.resume and options.state.exists():
        state = State(**json.loads(options.state.read_text()))
    else:
        state = State(
            options.seed, str(options.folder or tempfile.mkdtemp(prefix="penstock-crash-"))
        )
    say(f"state in {options.state}, data in {state.folder}; go on with --resume")
    run(state, options.state, options.kills, options.cuts, with_whole=not options.bare)
    found = figures(state)
    bars = {name: bar.format_map(vars(options)) for name, bar in BARS.items()}
    verdicts = judged(found, bars)
    emit("crash", {**found, "bars": bars, "is_reached": verdicts})
    return 0 if is_all_reached(verdicts) and not state.failures and not state.unproven else 1


if __name__ == "__main__":
    sys.exit(main())
