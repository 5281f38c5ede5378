"""Back-off: a flood is slowed, an operator is never locked out for long."""

from __future__ import annotations

import pytest

from penstock.model import Refused
from penstock.model.time import SECOND_NS
from penstock.security.attempts import KEYS_MAX, Attempts


def throttled(attempts: Attempts, name: str, address: str, now_ns: int) -> int:
    """Seconds to wait, 0 when the attempt may be made."""
    try:
        attempts.begin(name, address, now_ns)
    except Refused as refusal:
        return int(str(refusal.params["retry_after_s"]))
    return 0


def test_thirty_at_once_are_throttled_but_five() -> None:
    attempts = Attempts()

    waits = [throttled(attempts, "anna", "a", 0) for _ in range(30)]

    assert waits[:5] == [0] * 5
    assert all(wait == 1 for wait in waits[5:])


def test_wait_doubles_up_to_five_minutes() -> None:
    attempts, now_ns, waits = Attempts(), 0, []
    for _ in range(16):
        wait_s = throttled(attempts, "anna", "a", now_ns)
        waits.append(wait_s)
        now_ns += wait_s * SECOND_NS
        if wait_s:
            assert throttled(attempts, "anna", "a", now_ns) == 0

    assert max(waits) == 300
    assert waits[5:9] == [1, 2, 4, 8]


def test_one_address_trying_many_names_is_throttled() -> None:
    attempts = Attempts()

    waits = [throttled(attempts, f"name{n}", "a", 0) for n in range(30)]

    assert sum(wait > 0 for wait in waits) == 10


def test_many_addresses_lock_a_name_for_ten_seconds_at_most() -> None:
    attempts, now_ns = Attempts(), 0
    for n in range(200):
        now_ns += throttled(attempts, "anna", f"a{n}", now_ns) * SECOND_NS

    assert 0 < throttled(attempts, "anna", "her own desk", now_ns) <= 10


def test_success_forgives_the_pair() -> None:
    attempts = Attempts()
    for _ in range(4):
        attempts.begin("anna", "a", 0)
        attempts.succeed("anna", "a")

    assert [throttled(attempts, "anna", "a", 0) for _ in range(6)] == [0] * 5 + [1]


def test_memory_is_bounded() -> None:
    attempts = Attempts()
    for n in range(KEYS_MAX):
        attempts.begin(f"n{n}", f"a{n}", 0)

    assert attempts.statistics()["keys"] == KEYS_MAX


@pytest.mark.parametrize("address", ["a", "b"])
def test_an_hour_of_silence_forgets(address: str) -> None:
    attempts = Attempts()
    for _ in range(5):
        attempts.begin("anna", address, 0)

    assert throttled(attempts, "anna", address, 3_601 * SECOND_NS) == 0
    assert throttled(attempts, "anna", address, 3_601 * SECOND_NS) == 0


def test_empty_name_is_not_counted_twice() -> None:
    attempts = Attempts()

    assert [throttled(attempts, "", "a", 0) for _ in range(6)] == [0] * 5 + [1]
