"""The supervisor with real, small child processes: they die, come back, and leave no orphans."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from scripted import wait_for

from penstock.node import supervisor as module
from penstock.node.control import Message
from penstock.node.processes import ProcessSpec
from penstock.node.supervisor import Supervisor

# A child without penstock: it says what happens to it in a file, one JSON a line. Over each
# link it sends its own process id and notes that of the other end.
CHILD = textwrap.dedent(
    """
    import contextlib, json, os, select, socket, sys
    name, path, *flags = sys.argv[1:]
    def note(**what):
        with open(path, "a") as file:
            file.write(json.dumps({"name": name, "pid": os.getpid(), **what}) + "\\n")
    control = socket.socket(fileno=int(os.environ["PENSTOCK_CONTROL_FD"]))
    def tell(**what):
        control.sendall(json.dumps(what).encode() + b"\\n")
    note(op="start")
    print("hello from", name)
    sys.stderr.write(name + " has no line end")
    if "exit2" in flags:
        os.write(2, b", a human must edit something")
        sys.exit(2)
    if "exit1" in flags:
        sys.exit(1)
    tell(op="ready", pid=os.getpid(), http="127.0.0.1:1")
    if "hangs" in flags:
        tell(op="alive")
    links = []
    while True:
        for sock in select.select([control, *links], [], [])[0]:
            if sock is not control:
                data = b""
                with contextlib.suppress(OSError):
                    data = sock.recv(64)
                if data:
                    note(op="peer", peer=int(data))
                else:
                    links.remove(sock)
                    note(op="link_lost")
                    if name == "core":
                        tell(op="link_lost", peer="field")
                continue
            data, fds, _, _ = socket.recv_fds(control, 65536, 4)
            if not data:
                note(op="orphan")
                sys.exit(0)
            for line in data.splitlines():
                message = json.loads(line)
                if message["op"] == "link":
                    links.append(socket.socket(fileno=fds.pop(0)))
                    with contextlib.suppress(OSError):
                        links[-1].send(str(os.getpid()).encode())
                elif message["op"] == "stop" and "deaf" not in flags:
                    note(op="stop")
                    sys.exit(0)
                elif message["op"] == "processes":
                    note(op="processes", names=[row["name"] for row in message["rows"]])
    """
)
PLAIN = textwrap.dedent(
    """
    import json, os, signal, sys
    name, path = sys.argv[1:]
    def note(op):
        with open(path, "a") as file:
            file.write(json.dumps({"name": name, "pid": os.getpid(), "op": op}) + "\\n")
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    note("start")
    signal.sigwait([signal.SIGTERM])
    note("stop")
    """
)


@dataclass(frozen=True, slots=True)
class Script(ProcessSpec):
    """A spec that runs a text instead of a module."""

    @property
    def command(self) -> list[str]:
        code = CHILD if self.has_control else PLAIN
        return [sys.executable, "-S", "-c", code, self.name, *self.arguments]


class Tree:
    """A running supervisor and what its children have noted."""

    def __init__(
        self, folder: Path, flags: dict[str, tuple[str, ...]], silent_s_max: float = 30.0
    ) -> None:
        self.notes_path = folder / "notes"
        self.logs = folder / "logs"
        self.said: list[str] = []
        self.ready: list[Message] = []
        path = str(self.notes_path)
        specs = [
            Script("core", (path, *flags.get("core", ()))),
            Script("field", (path, *flags.get("field", ())), links_to_core=True),
            Script("compute", (path, *flags.get("compute", ())), links_to_core=True, nice=7),
            Script("simulator", (path,), has_control=False),
        ]
        self.supervisor = Supervisor(
            specs, self.logs, self.ready.append, self.said.append, silent_s_max
        )
        self.task = asyncio.get_running_loop().create_task(self.supervisor.run())

    def notes(self, op: str, name: str | None = None) -> list[dict[str, Any]]:
        if not self.notes_path.exists():
            return []
        lines = [json.loads(line) for line in self.notes_path.read_text().splitlines()]
        return [line for line in lines if line["op"] == op and name in (None, line["name"])]

    def pid(self, name: str) -> int:
        return int(self.notes("start", name)[-1]["pid"])

    def pairs(self) -> set[tuple[int, int]]:
        """(core, field) that have heard each other over a link."""
        core = {(item["pid"], item["peer"]) for item in self.notes("peer", "core")}
        field = {(item["peer"], item["pid"]) for item in self.notes("peer", "field")}
        return core & field

    async def wait_linked(self) -> tuple[int, int]:
        """Until the youngest core and the youngest field have a link."""
        await wait_for(
            lambda: (
                bool(self.notes("start", "core") and self.notes("start", "field"))
                and (self.pid("core"), self.pid("field")) in self.pairs()
            )
        )
        return self.pid("core"), self.pid("field")

    async def stop(self) -> int:
        self.supervisor._stop.set()
        return await self.task

    def log(self) -> list[str]:
        return (self.logs / "penstock.log").read_text().splitlines()


@pytest.fixture
async def tree(tmp_path: Path) -> AsyncIterator[Callable[..., Tree]]:
    opened: list[Tree] = []

    def open_(silent_s_max: float = 30.0, **flags: tuple[str, ...]) -> Tree:
        opened.append(Tree(tmp_path, flags, silent_s_max))
        return opened[-1]

    yield open_
    for item in opened:
        await item.stop()


@pytest.mark.slow
async def test_children_get_ready_are_linked_and_stop_in_order(tree: Callable[..., Tree]) -> None:
    running = tree()
    await running.wait_linked()
    await wait_for(lambda: bool(running.notes("start", "simulator") and running.ready))
    assert ["127.0.0.1:1"] == [message["http"] for message in running.ready]
    await wait_for(lambda: bool(running.notes("processes", "core")))

    assert 0 == await running.stop()
    stopped = [item["name"] for item in running.notes("stop")]
    assert {"field", "compute"} == set(stopped[:2]), "whoever sends to core, together"
    assert ["core", "simulator"] == stopped[2:]
    rows = running.notes("processes")[-1]["names"]
    assert ["core", "field", "compute", "simulator", "supervisor"] == rows
    assert [] == running.said


LOWEST_PRIORITY = 19


@pytest.mark.slow
async def test_heavy_work_runs_at_a_lower_priority(tree: Callable[..., Tree]) -> None:
    running = tree()
    await running.wait_linked()
    children = running.supervisor._children
    found = {
        name: os.getpriority(os.PRIO_PROCESS, child.process.pid) - os.nice(0)
        for name, child in children.items()
        if child.process is not None
    }

    gives_way = min(7, LOWEST_PRIORITY - os.nice(0))  # the tests may be nice themselves
    assert {"core": 0, "field": 0, "compute": gives_way, "simulator": 0} == found


@pytest.mark.slow
async def test_what_children_say_is_in_the_log_to_the_last_word(tree: Callable[..., Tree]) -> None:
    running = tree()
    await running.wait_linked()
    await running.stop()

    assert {"hello from core", "hello from field"} <= set(running.log())
    assert {"core has no line end", "field has no line end"} <= set(running.log())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["field", "core"])
async def test_a_killed_child_comes_back_and_both_ends_get_a_fresh_link(
    tree: Callable[..., Tree], name: str
) -> None:
    running = tree()
    before = await running.wait_linked()
    other = {"field": "core", "core": "field"}[name]

    os.kill(running.pid(name), signal.SIGKILL)
    await wait_for(lambda: len(running.notes("start", name)) == 2)
    after = await running.wait_linked()

    assert 1 == len(running.notes("start", other)), "the other goes on"
    assert before != after
    assert [f"{name} ended with -9; it starts again in 0.2 s."] == running.said
    assert 1 == len(running.ready), "ready is said once"


@pytest.mark.slow
async def test_a_link_that_is_lost_between_two_that_live_is_made_again(
    tree: Callable[..., Tree], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RELINK_S", 0.01)
    running = tree()
    await running.wait_linked()
    core = running.supervisor._children["core"]

    running.supervisor._on_message(core, {"op": "link_lost", "peer": "field"})
    await wait_for(lambda: len(running.notes("peer", "core")) == 2)

    assert 1 == len(running.pairs()), "nobody was restarted"


@pytest.mark.slow
async def test_who_dies_at_once_is_started_more_and_more_slowly(tree: Callable[..., Tree]) -> None:
    running = tree(field=("exit1",))
    await wait_for(lambda: len(running.said) == 3)

    assert [f"field ended with 1; it starts again in {s} s." for s in (0.2, 0.4, 0.8)] == (
        running.said
    )
    assert 1 == len(running.notes("start", "core"))


@pytest.mark.slow
async def test_a_child_that_cannot_be_started_is_tried_again(
    tree: Callable[..., Tree], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = tree()
    await running.wait_linked()
    spawn, failures = module._spawn, iter([OSError(12, "Cannot allocate memory")])

    def fail_once(*arguments: Any) -> subprocess.Popen[bytes]:
        for error in failures:
            raise error
        return spawn(*arguments)

    monkeypatch.setattr(module, "_spawn", fail_once)
    old = running.pid("field")
    os.kill(old, signal.SIGKILL)

    await wait_for(lambda: running.pid("field") != old)
    assert any("cannot be started (Cannot allocate memory)" in line for line in running.said)


@pytest.mark.slow
async def test_what_a_human_must_edit_ends_everything(tree: Callable[..., Tree]) -> None:
    running = tree(core=("exit2",))

    assert 2 == await running.task
    assert "core has no line end, a human must edit something" in running.log()
    assert {"field", "compute", "simulator"} >= {item["name"] for item in running.notes("stop")}
    assert all(child.process is None or not child.is_alive
               for child in running.supervisor._children.values())  # fmt: skip


@pytest.mark.slow
async def test_only_core_can_say_that_a_human_is_needed(tree: Callable[..., Tree]) -> None:
    running = tree(field=("exit2",))
    await wait_for(lambda: len(running.said) == 1)

    assert not running.task.done()


@pytest.mark.slow
async def test_who_said_that_it_lives_and_falls_silent_is_ended_and_comes_back(
    tree: Callable[..., Tree],
) -> None:
    """A process can hang without ending; only it can say that its event loop turns."""
    running = tree(field=("hangs",), silent_s_max=2.0)
    await wait_for(lambda: len(running.notes("start", "field")) == 2)

    assert running.said[0].startswith("field hangs: silent for ")
    assert "field ended with -9" in running.said[1]
    assert 1 == len(running.notes("start", "core"))


@pytest.mark.slow
async def test_who_does_not_stop_is_ended(
    tree: Callable[..., Tree], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_S", {**module.STOP_S, "field": 0.1})
    running = tree(field=("deaf",))
    await running.wait_linked()

    assert 0 == await running.stop()
    assert ["field did not stop within 0 s and was ended."] == running.said


def is_there(pid: int) -> bool:
    """Whether the process runs; one that ended and waits for its parent does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
async def test_no_orphan_is_left_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    code = textwrap.dedent(
        f"""
        import asyncio, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_supervisor import Script
        from penstock.node.processes import process_table
        from penstock.node.supervisor import Supervisor
        simulator = process_table(Path("/nowhere"), "node", 0)[3]
        specs = [Script("core", ({str(notes)!r},)), Script("field", ({str(notes)!r},)), simulator]
        supervisor = Supervisor(specs, Path({str(tmp_path / "logs")!r}), print, print)
        async def main():
            task = asyncio.ensure_future(supervisor.run())
            await asyncio.sleep(0)
            print(*(child.process.pid for child in supervisor._children.values()), flush=True)
            await task
        asyncio.run(main())
        """
    )
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    assert [True] * 3 == [is_there(pid) for pid in pids]

    process.kill()
    process.wait()
    process.stdout.close()

    await wait_for(lambda: not any(is_there(pid) for pid in pids))
