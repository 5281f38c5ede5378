"""From batch to journal: nothing lost, nothing twice, wherever the process dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from memory_log import Killed, Killer
from plant import OPERATOR, Node, S, rule

from penstock.alarms.alarm import IsaState, isa_state
from penstock.model import Quality
from penstock.state import ReaderStore
from penstock.testing.frames import frame

RULES = (rule(1, on_delay_ns=2 * S), rule(2, 50, hysteresis=5.0), rule(3, 10, latched=True))


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    made = Node(tmp_path)
    await made.start(RULES)
    yield made
    await made.die()


def types(node: Node) -> list[str]:
    return [row.type for row in node.journal()]


async def see(node: Node, point: int, *values: float) -> None:
    for value in values:
        node.clock.advance(S)
        node.log.append_frames(frame(point, node.clock.now_ns(), [value]))
    await node.settle()


async def test_a_value_beyond_its_limit_becomes_a_listed_alarm(node: Node) -> None:
    await see(node, 2, 40.0, 51.5)

    (alarm,) = node.listed()
    assert ("limit 2", 51.5, 50, "plant/b/t2") == (
        alarm.name, alarm.value, alarm.limit, alarm.point_path
    )  # fmt: skip
    assert IsaState.UNACKNOWLEDGED == isa_state(alarm)
    assert [alarm] == node.told[-1][0]
    assert "log:2" == node.journal()[0].cause


async def test_a_return_keeps_it_until_somebody_has_seen_it(node: Node) -> None:
    await see(node, 2, 60.0, 20.0)

    assert [IsaState.RETURNED_UNACKNOWLEDGED] == [isa_state(alarm) for alarm in node.listed()]


async def test_a_new_episode_takes_the_place_of_the_last(node: Node) -> None:
    await see(node, 2, 60.0, 20.0, 61.0)

    (alarm,) = node.listed()
    assert (2, 61.0) == (alarm.episode, alarm.value)
    assert 3 == len(types(node))


async def test_a_delay_ends_without_a_further_sample(node: Node) -> None:
    await see(node, 1, 95.0)
    assert [] == node.listed()

    node.clock.advance(3 * S)
    await node.settle()

    assert [1_003 * S] == [alarm.raised_ns for alarm in node.listed()]


async def test_a_point_that_goes_bad_marks_its_alarm(node: Node) -> None:
    await see(node, 2, 60.0)
    node.log.append_frames(
        frame(2, node.clock.now_ns(), [0.0], quality=Quality.BAD_NO_COMMUNICATION)
    )
    await node.settle()

    (alarm,) = node.listed()
    assert alarm.active
    assert Quality.BAD_NO_COMMUNICATION == alarm.quality
    assert ["alarm.raised", "alarm.blind"] == types(node)


async def test_a_restart_goes_on_with_the_same_episode(node: Node) -> None:
    await see(node, 2, 60.0)
    before = node.listed()

    await node.restart()

    assert before == node.listed()
    await see(node, 2, 20.0, 60.0)
    assert ["alarm.raised", "alarm.returned", "alarm.raised"] == types(node)


async def test_a_pending_delay_survives_a_restart(node: Node) -> None:
    await see(node, 1, 95.0)

    await node.restart()
    node.clock.advance(5 * S)
    await node.settle()

    assert [1_003 * S] == [alarm.raised_ns for alarm in node.listed()]


async def test_batches_that_came_while_the_rules_were_away_are_judged(node: Node) -> None:
    await node.die()
    node.clock.advance(S)
    node.log.append_frames(frame(2, node.clock.now_ns(), [60.0]))

    await node.start(RULES)
    await node.drive(node.projector.wait_projected(node.log.durable))

    assert 1 == len(node.listed())


@pytest.mark.parametrize("change", ["removed", "changed"])
async def test_apply_returns_the_alarms_of_a_rule_that_is_gone(node: Node, change: str) -> None:
    await see(node, 2, 60.0)
    rules = [RULES[0]] if change == "removed" else [RULES[0], rule(2, 55)]

    await node.drive(node.worker.apply(rules))
    await node.settle()

    assert [False] == [alarm.active for alarm in node.listed()]
    assert "configuration" == node.journal()[-1].cause


async def test_rules_applied_before_the_start_wait_for_it(tmp_path: Path) -> None:
    """Otherwise they would store a snapshot of nothing over the one that is to be resumed."""
    node = Node(tmp_path)
    await node.start(RULES)
    await see(node, 2, 60.0)
    await node.die()
    node.early = [RULES[1]]

    await node.start(RULES)
    await node.drive(asyncio.wait_for(node.applying, 10))

    assert ([True], 1) == ([a.active for a in node.listed()], len(node.journal()))
    assert (RULES[1],) == node.worker.rules
    await node.die()


async def test_new_texts_or_priority_return_nothing(node: Node) -> None:
    await see(node, 2, 60.0)

    await node.drive(node.worker.apply([rule(2, 50, hysteresis=5.0, priority=1)]))
    await node.settle()

    assert [True] == [alarm.active for alarm in node.listed()]


async def test_a_rule_that_was_edited_while_the_node_was_down(node: Node) -> None:
    await see(node, 2, 60.0)

    await node.restart([rule(2, 55)])
    await node.settle()
    assert [False] == [alarm.active for alarm in node.listed()]

    await see(node, 2, 60.0)
    assert [(2, True)] == [(alarm.episode, alarm.active) for alarm in node.listed()]


async def test_a_rule_that_comes_back_counts_its_episodes_on(node: Node) -> None:
    await see(node, 2, 60.0)
    await node.drive(node.worker.apply([]))
    await node.drive(node.worker.apply(RULES))

    await see(node, 2, 61.0)

    assert [(2, True)] == [(alarm.episode, alarm.active) for alarm in node.listed()]


async def test_the_journal_wins_over_rules_that_lost_their_snapshot(node: Node) -> None:
    """A raise that only a tick of the dead process had decided is taken back aloud."""
    await see(node, 1, 95.0)
    node.clock.advance(3 * S)
    await node.settle()
    raised = node.log.records.pop()
    node.log.append_frames(frame(1, node.clock.now_ns() - 2 * S, [20.0]))
    late = node.log.records.pop()
    await node.die()
    node.log.records += [
        type(late)(2, 1_001 * S + 1, late.kind, late.payload),
        type(raised)(3, raised.receive_ns, raised.kind, raised.payload),
    ]
    (node.folder / "state.db").unlink()

    await node.start(RULES)
    await node.settle()

    assert [False] == [alarm.active for alarm in node.listed()]
    assert ["alarm.raised", "alarm.returned"] == types(node)
    assert "recovered" == node.journal()[-1].cause


async def test_the_whole_worker_runs_and_stops(node: Node) -> None:
    """`run` as the supervisor calls it: it follows the log and stores its snapshot at stop."""
    task = asyncio.create_task(node.worker.run(RULES))
    node.log.append_frames(frame(2, node.clock.now_ns(), [60.0]))
    await node.log.wait_beyond(1)
    await node.projector.wait_projected(2)

    node.worker.stop()
    await task

    with node.state.read() as connection:
        assert 1 <= ReaderStore().position(connection, "rules").sequence
    assert 1 == len(node.listed())


# --- killed anywhere

Step = Callable[[Node], None]


def value(point: int, number: float, *, after_s: float = 1) -> Step:
    def step(node: Node) -> None:
        node.clock.advance(int(after_s * S))
        node.log.append_frames(frame(point, node.clock.now_ns(), [number]))

    return step


def spike(node: Node) -> None:
    node.clock.advance(S)
    now_ns = node.clock.now_ns()
    node.log.append_frames(frame(2, [now_ns, now_ns + 1, now_ns + 2], [10.0, 70.0, 10.0]))


def passing(node: Node) -> None:
    node.clock.advance(5 * S)


STORY: tuple[Step, ...] = (
    value(2, 60.0), value(1, 95.0), passing, value(2, 20.0), spike,
    value(1, 10.0), value(3, 11), value(3, 9), value(2, 99.0), passing,
)  # fmt: skip


async def live(folder: Path, killer: Killer) -> tuple[object, object, list[str]]:
    """The story's end as journal, alarms and events in the log; restarted whenever killed."""
    node = Node(folder, killer)
    is_running = False
    for step in (passing, *STORY, passing):
        step(node)
        try:
            if not is_running:
                await node.start(RULES)
                is_running = True
            await node.settle()
        except Killed:
            await node.restart()
            await node.settle()
            is_running = True
    journal = sorted((row.id, row.type, row.time_ns, row.severity) for row in node.journal())
    with node.state.read() as connection:
        alarms = node.projector.store.page(connection, None)
    await node.die()
    return journal, alarms, [event.id for event in node.log.events()]


@pytest.mark.slow
@pytest.mark.parametrize("is_after", [False, True])
async def test_killed_at_any_point_the_end_is_the_same(tmp_path: Path, is_after: bool) -> None:
    """The killer counts every append and every commit, and strikes before or after its effect."""
    journal, alarms, events = await live(tmp_path / "whole", Killer())
    assert len(events) == len(set(events)) == len(journal)  # type: ignore[arg-type]

    at = 0
    killer = Killer(at=0)
    while at == 0 or killer.has_killed:
        at += 1
        killer = Killer(at, is_after=is_after)
        found = await live(tmp_path / f"{at}", killer)
        assert (journal, alarms) == found[:2], f"killed at {at}"
        assert events == found[2], f"killed at {at}"

    assert at > 20


async def test_a_person_and_a_kill(tmp_path: Path) -> None:
    """The acknowledgement is in the log; the projection was not; the restart has it once."""
    node = Node(tmp_path)
    await node.start(RULES)
    await see(node, 2, 60.0)
    (alarm,) = node.listed()
    node.log.killer.at = node.log.killer.count + 2

    with pytest.raises(Killed):
        await node.drive(node.desk.acknowledge(OPERATOR, [alarm.id], "seen", "k" * 36))
    await node.restart()

    assert [IsaState.ACKNOWLEDGED] == [isa_state(alarm) for alarm in node.listed()]
    await node.die()
