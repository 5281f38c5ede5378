"""kill -9 of core, of field, of both and of everything, under load: lost 0, doubled 0.

A bare writer is killed far more often in tests/log/test_crash.py; here the whole
product dies. Kills of core alone may leave no hole at all, because field keeps what
core has not acknowledged. A kill of field may lose what it had read and core had not
accepted, and nothing else.
"""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections.abc import Callable

import pytest
from counting_server import CountingServer
from whole import (
    ASSET,
    COUNTER,
    FIELD_SLOT,
    GOOD,
    WAVE,
    Found,
    Stored,
    Whole,
    Witness,
    read_log,
    wait_until,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MOMENTS = ("selected", "sent", "on the wire", "answered")
ENDS = {"rejected", "expired", "failed", "confirmed", "unconfirmed"}


@dataclasses.dataclass
class Kill:
    """One kill -9: `since` was in history before it, with `until` values flow again."""

    what: str
    since: int
    until: int = 0

    @property
    def hits_field(self) -> bool:
        return self.what != "core"


class Operator(threading.Thread):
    """Sends one command and tells when it has reached a moment; its errors are the kill's."""

    def __init__(self, whole: Whole, value: int) -> None:
        super().__init__(daemon=True)
        self.value = value
        self.error: Exception | None = None
        self.reached = {moment: threading.Event() for moment in MOMENTS}
        self._whole = whole
        self._point = whole.points()[f"{ASSET}/setpoint"]

    def run(self) -> None:
        body = {"point_id": self._point, "value": self.value, "reason": "durability test"}
        try:
            command = self._whole.ask("POST", "/commands", body)["id"]
            self.reached["selected"].set()
            self._whole.ask("POST", f"/commands/{command}/send", {"reason": "durability test"})
            self.reached["sent"].set()
            while self._whole.get(f"/commands/{command}")["state"] not in ENDS:
                time.sleep(0.01)
            self.reached["answered"].set()
        except Exception as error:  # noqa: BLE001 - core is killed under it
            self.error = error


def kill_round(whole: Whole, witness: Witness, what: str, moment: str, value: int) -> Kill:
    """One kill around a command; the product runs again afterwards."""
    server = whole.server
    server.write_seen.clear()
    operator = Operator(whole, value)
    if moment == "on the wire":
        server.write_gate.clear()
    operator.start()
    reached = server.write_seen if moment == "on the wire" else operator.reached[moment]
    assert reached.wait(60), f"the command was never {moment}: {operator.error}"
    witness.note()
    kill = Kill(what, whole.last_number())
    if what == "tree":
        whole.kill_tree()
    else:
        whole.kill(*(("core", "field") if what == "both" else (what,)))
    server.write_gate.set()
    if what == "tree":
        whole.start()
    whole.wait_flowing()
    kill.until = whole.last_number()
    operator.join(60)
    release_point(whole)
    return kill


def release_point(whole: Whole) -> None:
    """A person looks at the machine, so that the next command may be sent."""
    wait_until(lambda: not open_commands(whole, {"sent", "accepted"}), "each command has ended")
    for command in open_commands(whole, {"selected"}):
        whole.ask("POST", f"/commands/{command}/cancel")
    for command in open_commands(whole, {"unconfirmed"}):
        whole.ask("POST", f"/commands/{command}/resolve", {"note": "looked at the device"})


def open_commands(whole: Whole, states: set[str]) -> list[str]:
    commands = whole.get("/commands")["commands"]
    return [item["id"] for item in commands if item["state"] in states and not item["resolved"]]


def rounds(whole: Whole, plan: list[str], chance: random.Random) -> list[Kill]:
    """Kill as planned at random moments, stop, and hold everything against everything."""
    witness = Witness(whole.home)
    whole.start()
    whole.wait_flowing()
    kills = []
    for number, what in enumerate(plan):
        whole.server.wait_answers(chance.randint(5, 80))
        moment = MOMENTS[(number + chance.randint(0, 1)) % len(MOMENTS)]
        kills.append(kill_round(whole, witness, what, moment, 1000 + number))
    whole.server.wait_answers(50)
    to_ns = time.time_ns()
    whole.server.wait_answers(50)
    whole.wait_flowing()
    history = {path: whole.history(path, to_ns) for path in (COUNTER, f"{ASSET}/n17", WAVE)}
    journal = whole.journal()
    check_commands(whole)
    assert 0 == whole.stop()
    found = read_log(whole.home, to_ns)
    witness.note()
    assert [] == witness.lost()
    check_log(found)
    for path, samples in history.items():
        assert sorted(found.samples[path], key=lambda item: item.time_ns) == samples
    check_numbers(whole.server, history, kills, to_ns)
    check_alarms(found, journal, history[WAVE], to_ns)
    return kills


def check_log(found: Found) -> None:
    """Each batch once, each record in its place."""
    assert list(range(1, len(found.sequences) + 1)) == found.sequences
    assert len(found.batches) == len(set(found.batches))
    assert 100 < sum(slot == FIELD_SLOT for slot, _, _ in found.batches)


def check_numbers(
    server: CountingServer, history: dict[str, list[Stored]], kills: list[Kill], to_ns: int
) -> None:
    """In order, none twice, none missing but what field had not handed over when it died."""
    numbers = [item.value for item in history[COUNTER] if item.quality == GOOD]
    assert sorted(set(numbers)) == numbers
    other = [item.value for item in history[f"{ASSET}/n17"] if item.quality == GOOD]
    assert numbers == other
    sent = dict(server.sent)
    assert set(numbers) <= set(sent)
    missing = [
        number
        for number, sent_ns in sent.items()
        if number > numbers[0] and sent_ns < to_ns - 200_000_000 and number not in set(numbers)
    ]
    unexplained = [number for number in missing if not is_explained(number, kills)]
    assert [] == unexplained


def is_explained(number: int, kills: list[Kill]) -> bool:
    """Was it in the hands of a field process that died, or due while there was none?

    Field hands over in order, so what it had not handed over is newer than history was.
    """
    return any(kill.hits_field and kill.since < number <= kill.until for kill in kills)


def check_alarms(
    found: Found, journal: list[dict[str, object]], samples: list[Stored], to_ns: int
) -> None:
    """The journal is the log; each edge of the wave in history is one episode, no more."""
    known = {event["id"]: event for event in journal}
    assert len(known) == len(journal)
    logged = [event for event in found.events if event.id in known]
    assert [event.id for event in logged] == [event["id"] for event in journal]
    assert len({event.id for event in found.events}) == len(found.events)
    high = [item.value > 50 for item in samples if item.quality == GOOD]
    rising = sum(now and not before for before, now in zip([False, *high], high, strict=False))
    raised = [e for e in found.events if e.type == "alarm.raised" and e.time_ns < to_ns]
    assert rising == len(raised)


def check_commands(whole: Whole) -> None:
    """None twice on the wire, none confirmed that the device does not have, none left open."""
    written = [value for value, _ in whole.server.writes]
    assert len(written) == len(set(written))
    for command in whole.get("/commands")["commands"]:
        value, state = int(command["value"]), command["state"]
        assert state in ENDS | {"selected"}, command
        if state == "confirmed":
            assert value in written
            assert str(value) == str(command["result"]["read_back"])
        if state in ("selected", "rejected", "expired", "failed"):
            assert value not in written, command


def test_five_kills_of_the_whole_product_lose_nothing_and_double_nothing(
    whole: Callable[..., Whole],
) -> None:
    plan = ["core", "field", "core", "both", "tree"]

    assert 5 == len(rounds(whole(), plan, random.Random(5)))


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1, 2])
def test_twenty_kills_of_the_whole_product(whole: Callable[..., Whole], seed: int) -> None:
    chance = random.Random(seed)
    plan = [chance.choice(["core", "core", "field", "both", "tree"]) for _ in range(20)]

    assert 20 == len(rounds(whole(), plan, chance))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_kills_of_core_alone_leave_no_hole(whole: Callable[..., Whole]) -> None:
    """Field keeps and sends again: not one answer of the device is missing."""
    kills = rounds(whole(), ["core"] * 10, random.Random(7))

    assert not any(kill.hits_field for kill in kills)
