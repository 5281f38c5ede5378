"""One schedule: a seed decides every step, every fault and what each power cut leaves.

`python tests/simulation/sim_run.py SEED [EVENTS]` repeats one and shows what the product
said. Seeds also choose the limits, so that some schedules have tiny files and heads.
"""

from __future__ import annotations

import errno
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import sim_check
import structlog
from sim_core import LOG_FOLDER, NODE, SEGMENTS, Core, Database, Limits
from sim_loop import Killed, Lane
from sim_oracle import Key, Oracle
from sim_plant import Link, Sender, Source

from penstock.codec.log_file import WATERMARK_BYTES
from penstock.historian import HistorianSettings
from penstock.historian.manifest import read_newest
from penstock.log import LogSettings
from penstock.log.watermark import WATERMARK_NAME, WatermarkPage
from penstock.model import Batch, Event, Origin
from penstock.testing import FakeClock, PowerCut
from penstock.testing.disk import FakeDisk

SECOND_NS = 1_000_000_000
HOUR_NS, DAY_NS, TEN_YEARS_NS = (n * SECOND_NS for n in (3_600, 86_400, 315_576_000))
EVENTS = 1_500
DOOR = Origin(NODE, 9, 1)
ROUNDS_MAX = 4_000


def limits_of(chance: random.Random) -> Limits:
    """Small enough that every limit is met."""
    file_bytes = chance.choice((4096, 16_384, 65_536))
    keep = chance.choice((0, 20_000, 10**9))
    most = 10**10 if chance.random() < 0.7 else max(keep, 0) + 150_000
    return Limits(
        LogSettings(
            linger_ms=0,
            file_bytes_max=file_bytes,
            cache_bytes_max=chance.choice((0, 3_000, 10**6)),
            ballast_bytes=4096,
            group_bytes_max=chance.choice((2048, 16_384)),
            log_bytes_keep=keep,
            log_bytes_max=most,
            credit_bytes_max=64 * 1024,
            compress=chance.random() < 0.7,
            compress_after_s=chance.choice((0, 5)),
        ),
        HistorianSettings.model_construct(
            **(
                HistorianSettings().model_dump()
                | {
                    "head_rows_max": chance.choice((30, 60, 120, 1000)),
                    "flush_age_s": chance.choice((2, 30)),
                    "query_threads": 1,
                    "compaction_segments_min": chance.choice((2, 2, 3, 8)),
                }
            )
        ),
        chance.choice((0, HOUR_NS, 2 * DAY_NS, 2 * DAY_NS)),
    )


@dataclass
class Schedule:
    """The world of one seed."""

    seed: int
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.disk, self.clock = FakeDisk(), FakeClock()
        self.disk.make_folder(Path("/data"))
        self.sync_folder = self.disk.medium.sync_folder
        self.disk.medium.sync_folder = self.doubtful_sync  # type: ignore[method-assign]
        self.oracle, self.database = Oracle(), Database()
        self.limits = limits_of(self.chance)
        self.senders = [Sender(slot, self.oracle, self.chance) for slot in (1, 2, 3)]
        self.links: list[Link] = []
        self.source = Source(self.chance)
        self.door_numbers = self.event_numbers = 0
        self.unanswered: set[Key] = set()
        self.memory: list[sim_check.Memory] = []
        self.core: Core | None = None
        self.is_calm = False
        self.actions: dict[str, tuple[float, Callable[[], None]]] = {
            "put": (20, self.put),
            "deliver": (34, self.deliver),
            "door": (5, self.door),
            "event": (4, self.event),
            "group": (18, self.group),
            "lane": (30, self.lane),
            "turn": (14, self.turn),
            "time": (4, self.advance),
            "connect": (3, self.connect),
            "break": (0.6, self.disconnect),
            "restart_sender": (0.2, self.restart_sender),
            "jump": (0.2, self.jump),
            "check": (0.5, self.check),
            "kill": (0.35, self.kill),
            "stop": (0.15, self.stop),
            "fault": (1.0, self.fault),
        }

    # --- the run

    def run(self, events: int) -> None:
        """Random steps, then everything heals and must be complete."""
        names = list(self.actions)
        weights = [self.actions[name][0] for name in names]
        for name in self.chance.choices(names, weights, k=events):
            self.counts[name] += 1
            self.step(self.actions[name][1])
        self.finish()

    def step(self, action: Callable[[], None]) -> None:
        """One action, and what the world does about a power cut or a dead core."""
        try:
            if self.core is None:
                self.boot()
            action()
            if self.core is not None:
                self.core.collect()
        except PowerCut:
            self.crash()
        except Killed:
            self.counts["kills in a call"] += 1
            self.drop_core()
        except OSError:
            assert self.core is not None
            if self.core.is_up:
                raise
            self.drop_core()

    def boot(self) -> None:
        """A new life of core; a disk without room does not keep it from being read."""
        self.core = Core(self.disk, self.clock, self.oracle, self.database, self.limits)

    def crash(self) -> None:
        """The power is gone."""
        self.counts["power cuts"] += 1
        self.drop_core()
        self.disk.power_cut(self.chance.getrandbits(32))
        if self.chance.random() < 0.3:
            self.restart_sender()

    def drop_core(self) -> None:
        """Its sockets close with it, and what was in them is lost."""
        mark = WatermarkPage(
            self.disk.map_page(LOG_FOLDER / WATERMARK_NAME, WATERMARK_BYTES)
        ).read()
        if mark is not None:
            self.oracle.marked = max(self.oracle.marked, mark.sequence)
        if self.core is not None:
            self._count_life(self.core)
            self.core.kill()
        self.core = None
        for sender in self.senders:
            sender.disconnect()
        self.links.clear()

    def _count_life(self, core: Core) -> None:
        self.counts["compactions"] += core.swaps
        if core.log is not None:
            self.counts["compressed files"] += core.log.upkeep.compressed_files

    # --- the outside

    def put(self) -> None:
        self.chance.choice(self.senders).put()

    def connect(self) -> None:
        """Also over a link that is up: the old one is then half open."""
        core, sender = self.core, self.chance.choice(self.senders)
        if core is None or not core.is_up or not sim_check.is_known(core):
            return
        if sender.link is None or self.chance.random() < 0.1:
            with core.loop.running():
                self.links.append(sender.connect(core))

    def disconnect(self) -> None:
        """Frames under way are lost; those on the way to core may still arrive."""
        sender = self.chance.choice(self.senders)
        link = sender.link
        sender.disconnect()
        if link is not None and self.chance.random() < 0.7:
            self._close(link)

    def _close(self, link: Link) -> None:
        if link in self.links and self.core is not None:
            with self.core.loop.running():
                link.downlink.close()
            self.links.remove(link)

    def deliver(self) -> None:
        waiting = [link for link in self.links if link.up.frames or link.down.frames]
        if not waiting or self.core is None:
            return
        link = self.chance.choice(waiting)
        is_up = bool(link.up.frames) and (not link.down.frames or self.chance.random() < 0.5)
        if not is_up:
            link.deliver_down()
            return
        with self.core.loop.running():
            is_whole = link.deliver_up(twice=self.chance.random() < 0.05)
        assert is_whole, "a handle was used before its dictionary"
        if not link.is_up and not link.up.frames:
            self._close(link)

    def restart_sender(self) -> None:
        sender = self.chance.choice(self.senders)
        sender.disconnect()
        sender.start()

    def door(self) -> None:
        """A request with a key; the client asks again whenever it has no answer."""
        core = self.core
        if core is None or core.log is None or not core.is_up or not sim_check.is_known(core):
            return
        if self.unanswered and self.chance.random() < 0.4:
            key = self.chance.choice(sorted(self.unanswered, key=lambda item: item[1]))
        elif self.door_numbers and self.chance.random() < 0.1:
            key = (DOOR, self.chance.randint(1, self.door_numbers))
        else:
            self.door_numbers += 1
            key = (DOOR, self.door_numbers)
            self.oracle.sent[key] = self.source.frames()
            self.unanswered.add(key)
        self._ask(core, key)

    def _ask(self, core: Core, key: Key) -> None:
        assert core.log is not None
        batch = Batch(*key, self.oracle.sent[key])
        if len(core.doors) > 200:
            return

        def on_done() -> None:
            self.oracle.promised.add(key)
            self.unanswered.discard(key)

        waited_ns = self.chance.choice((None, None, 0, SECOND_NS))
        receive_ns = None if waited_ns is None else self.clock.now_ns() - waited_ns
        core.ask(core.log.append_batch(batch, receive_ns), on_done)

    def event(self) -> None:
        core = self.core
        if core is None or core.log is None or not core.is_up or len(core.doors) > 200:
            return
        self.event_numbers += 1
        id_ = f"e{self.event_numbers}"
        self.oracle.sent_events.add(id_)
        coroutine = core.log.append_event(Event(id=id_, type="alarm.raised", time_ns=1))
        core.ask(coroutine, lambda: self.oracle.promised_events.add(id_))

    # --- the inside

    def group(self) -> None:
        core = self.core
        if core is not None and core.is_up and core.log is not None:
            core.take_group()

    def lane(self) -> None:
        """A thread does its oldest work, or its oldest result arrives."""
        lanes = [] if self.core is None else self.core.loop.busy_lanes()
        if lanes:
            self._move(self.chance.choice(lanes))

    def _move(self, lane: Lane) -> None:
        if lane.works and (not lane.results or self.chance.random() < 0.5):
            if not self.is_calm and self.chance.random() < 0.05:
                self.aim()
            lane.run()
        else:
            lane.results.popleft()()

    def turn(self) -> None:
        if self.core is not None:
            for _ in range(self.chance.choice((1, 1, 2, 5, 30))):
                self.core.loop.turn()

    def advance(self) -> None:
        self.clock.advance(self.chance.choice((10**6, 10**8, SECOND_NS, 6 * SECOND_NS)))

    def jump(self) -> None:
        """NTP, a person, an empty battery."""
        self.clock.jump(self.chance.choice((-HOUR_NS, TEN_YEARS_NS, -TEN_YEARS_NS, SECOND_NS)))

    def check(self) -> None:
        if self.core is not None and self.core.is_up:
            self.core.collect()
            sim_check.check(self.core, self.chance, self.memory)

    def kill(self) -> None:
        """The process dies; what it wrote is still in the kernel."""
        self.drop_core()

    def stop(self) -> None:
        """SIGTERM: everything that was taken in is written, and the historian flushes."""
        core = self.core
        if core is None or not core.is_up:
            return
        core.begin_stop()
        for _ in range(ROUNDS_MAX):
            core.loop.turn()
            if core.has_stopped:
                break
            if not (lanes := core.loop.busy_lanes()):
                self.clock.advance(SECOND_NS)
            for lane in lanes:
                self._move(lane)
        assert core.has_stopped, "it does not stop"
        core.collect()
        self.drop_core()

    def aim(self) -> None:
        """A fault that hits the work which is about to run, and perhaps what repairs it."""
        chance, at = self.chance, chance_of(self.chance, 20)
        for _ in range(chance.choice((1, 1, 2, 3))):
            kind = chance.choice((errno.EIO, errno.EIO, errno.ENOSPC, 0, 1))
            error = OSError(kind, "simulated") if kind > 1 else Killed() if kind else PowerCut()
            self.disk.fail_at(at, error)
            at += chance_of(chance, 12)

    def doubtful_sync(self, path: Path) -> None:
        """Names are where promises hang by a thread: their syncs fail more often than others."""
        chance = self.chance
        if not self.is_calm and chance.random() < 0.006:
            self.disk.fail_at(1, OSError(errno.EIO, "simulated"))
            if chance.random() < 0.7:
                self.disk.fail_at(1 + chance_of(chance, 30), chance.choice((Killed(), PowerCut())))
        self.sync_folder(path)

    def fault(self) -> None:
        """At a random call in the near future; or less space, or more."""
        chance, disk = self.chance, self.disk
        call, kind = chance.randint(1, 25), chance.random()
        if kind < 0.5:
            disk.fail_at(call, PowerCut())
        elif kind < 0.75:
            for following in range(chance.choice((1, 1, 2, 4, 9))):
                disk.fail_at(call + following, OSError(errno.EIO, "simulated"))
        elif kind < 0.85:
            disk.fail_at(call, OSError(errno.ENOSPC, "simulated"))
        elif kind < 0.95:
            disk.capacity_bytes = disk.used_bytes() + chance.randint(0, 6000)
        else:
            disk.capacity_bytes = None

    # --- the end

    def heal(self) -> None:
        """No more faults, room again, everybody is connected."""
        self.is_calm = True
        self.disk.medium.faults.clear()
        self.disk.capacity_bytes = None

    def finish(self) -> None:
        """Everything goes on without a restart; after a power cut everything must be there."""
        self.heal()
        self._settle()
        self.step(self.crash)
        self._settle()
        assert self.core is not None
        sim_check.check_all(self.core, self.memory)
        wanted = {
            key
            for sender in self.senders
            for key in self.oracle.sent
            if key[0] == sender.uplink.origin
        }
        wanted |= {key for key in self.oracle.sent if key[0] == DOOR}
        assert wanted <= self.oracle.promised, "something was never taken in"
        self._flush_and_cut()

    def _flush_and_cut(self) -> None:
        """Everything goes to segments; after a power cut they alone must answer the same."""
        self.stop()
        self.crash()
        self._settle()
        assert self.core is not None
        sim_check.check_all(self.core, self.memory)
        manifest, damage = read_newest(self.disk, SEGMENTS)
        assert [] == damage
        assert manifest.sequence <= self.oracle.newest

    def _settle(self) -> None:
        """Until nothing is under way anywhere."""
        for _ in range(ROUNDS_MAX):
            self.step(self._round)
            if self._is_settled():
                return
        raise AssertionError(f"not settled: {self._state()}")

    def _round(self) -> None:
        core = self.core
        assert core is not None
        core.loop.settle()
        for lane in core.loop.busy_lanes():
            while lane.works or lane.results:
                self._move(lane)
        if not core.is_up:
            return
        core.take_group()
        core.loop.settle()
        if sim_check.is_known(core):
            with core.loop.running():
                self.links += [s.connect(core) for s in self.senders if s.link is None]
            for key in sorted(self.unanswered, key=lambda item: item[1]):
                if not core.doors:
                    self._ask(core, key)
        for link in self.links:
            with core.loop.running():
                while link.up.frames:
                    assert link.deliver_up(twice=False)
            while link.down.frames:
                link.deliver_down()
        if not core.loop.busy_lanes() and core.loop.is_idle:
            self.clock.advance(SECOND_NS)

    def _is_settled(self) -> bool:
        core = self.core
        return (
            core is not None
            and core.is_up
            and not self.unanswered
            and not core.doors
            and not any(sender.uplink._pending for sender in self.senders)
            and not core.loop.busy_lanes()
            and sim_check.has_caught_up(core)
        )

    def _state(self) -> str:
        pending = [len(sender.uplink._pending) for sender in self.senders]
        return f"unanswered {len(self.unanswered)}, pending {pending}, core {self.core}"


def chance_of(chance: random.Random, most: int) -> int:
    """1 to `most`, the smaller the likelier."""
    return chance.randint(1, chance.randint(1, most))


def run(seed: int, events: int = EVENTS) -> Schedule:
    """One schedule; whatever fails names the seed and how to repeat it."""
    schedule = Schedule(seed)
    try:
        schedule.run(events)
    except Exception as error:
        raise AssertionError(
            f"seed {seed}: {type(error).__name__}: {error}\n"
            f"repeat: python tests/simulation/sim_run.py {seed} {events}"
        ) from error
    finally:
        schedule.database.engine.dispose()
        if schedule.core is not None:
            schedule.core.kill()
    return schedule


def run_quietly(seed: int, events: int = EVENTS) -> Schedule:
    """Without what the product says."""
    with structlog.testing.capture_logs():
        return run(seed, events)


if __name__ == "__main__":
    first, *rest = sys.argv[1:]
    print(run(int(first), *map(int, rest)).counts)
