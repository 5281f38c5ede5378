"""What a person waits for: first sample, first chart, value on the screen, bad, alarm; and idle.

./dev bench spine [--only NAME ...] [--quick]

Each part starts `penstock up` in an empty HOME and looks from outside: at the API, at a
headless Chromium, at a WebSocket, at /proc. Latencies end where a person or a program
sees the change, not where the server believes it has sent it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from _browser import WATCH_POINT, browser, new_page, set_up
from _kit import DiskProbe, percentile, run_parts, say
from _modbus import Server
from _product import ASSET, Cell, Node, device, folder, running, write_plant, write_rules
from playwright.sync_api import Page
from websockets.asyncio.client import ClientConnection, unix_connect

from penstock.cli.live import parse_frame
from penstock.codec.live import LiveType

BARS = {
    "first_sample_s": "<= 10",
    "first_chart_s": "<= 30",
    "screen_s": "<= 1",
    "bad_s": "<= 5",
    "pss_mb": "<= 350",
    "pss_with_simulator_mb": "<= 400",
    "idle_cpu_pct": "<= 10",
    "alarm_p99_ms": "<= 100",
}
DEMO_POINT = "Lakeside Water/Intake/P-101/speed"
SETTLE_S = 60.0
IDLE_DEVICES, IDLE_CELLS = 5, 100
SCREEN_CHANGES = 20
ALARM_SERVERS, ALARM_REGISTERS, ALARM_RATE_S = 20, 125, 0.25
ALARM_LEVEL = 30_000
ALARM_POINTS = 5  # of each server, so that an alarm has time to return before it comes again
ALARMS = 250
API = "/api/v1"


# --- servers that the bench owns


class Field(threading.Thread):
    """Modbus servers on an event loop in a thread of this process."""

    def __init__(self, count: int) -> None:
        super().__init__(daemon=True)
        self.loop = asyncio.new_event_loop()
        self.servers = [Server() for _ in range(count)]
        self.start()
        self.ports = [self._wait(server.start()) for server in self.servers]

    def run(self) -> None:
        self.loop.run_forever()

    def _wait(self, work: object) -> int:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)  # type: ignore[arg-type]

    def kill(self, number: int) -> None:
        """The server's port refuses and its connections are reset."""
        self.loop.call_soon_threadsafe(self.servers[number].kill)

    def restart(self, number: int) -> None:
        """At the same port."""
        self._wait(self.servers[number].start(self.ports[number]))


def words(count: int) -> list[Cell]:
    """Registers from 0, one point each; the overview shows points with a range."""
    return [Cell(f"word-{at:03}", at, "uint16", "float", 0, 65_535) for at in range(count)]


def path(number: int, cell: int) -> str:
    """Path of a register of server `number`."""
    return f"{ASSET}/{device(number)}/word-{cell:03}"


def is_good(node: Node, id_: str) -> bool:
    """Has the point a good sample that the API answers?"""
    [row] = node.last([id_])
    return row is not None and row["quality"] == 192


# --- from nothing to a chart; memory


def part_start(options: argparse.Namespace) -> dict[str, object]:
    """`penstock up --demo` in an empty home: first sample, first chart, memory after 60 s."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with folder() as place, running(place, "--demo", PENSTOCK_SIMULATOR_PORT=port) as node:
        ready_s = time.perf_counter() - node.started_s
        [id_] = node.wait_points([DEMO_POINT])
        node.wait_for(lambda: is_good(node, id_), "first sample")
        sample_s = time.perf_counter() - node.started_s
        figures: dict[str, object] = {
            "ready_s": round(ready_s, 2),
            "first_sample_s": round(sample_s, 2),
        }
        try:
            figures |= first_chart(node, id_)
        except Exception as error:  # noqa: BLE001 - memory is measured all the same
            say(f"no chart: {error}")
            figures["first_chart_failed"] = str(error)
        if options.quick:
            return figures
        rest_s = SETTLE_S - (time.perf_counter() - node.started_s - ready_s)
        time.sleep(max(0.0, rest_s))
        figures |= memory(node)
    return figures


def first_chart(node: Node, id_: str) -> dict[str, object]:
    """From the answer to the set-up form to the first line on the trend page."""
    link = node.ready["setup_link"]
    assert link
    with browser() as chromium:
        page = new_page(chromium)
        done_ms = set_up(page, link)
        url = f"http://{node.ready['http']}/trend?points={id_}&range=15m&live=1"
        page.goto(url)
        page.wait_for_function("() => window.benchLineMs !== undefined", timeout=60_000)
        line_ms = int(page.evaluate("window.benchLineMs"))
    return {"first_chart_s": round((line_ms - done_ms) / 1e3, 2)}


def memory(node: Node) -> dict[str, object]:
    """PSS now."""
    pss, rss = node.memory("Pss"), node.memory("Rss")
    product = sum(size for name, size in pss.items() if name != "simulator")
    return {
        "pss_mb": round(product, 1),
        "pss_with_simulator_mb": round(sum(pss.values()), 1),
        "pss_mb_each": pss,
        "rss_mb_each": rss,
    }


# --- a page on 500 points


@contextmanager
def watched_plant(rate_s: float, devices: int, cells: int) -> Iterator[tuple[Node, Field, Page]]:
    """A plant that the bench owns, set up, with a logged-in page."""
    field = Field(devices)
    with folder() as place:
        write_plant(place, field.ports, words(cells), rate_s)
        with running(place) as node, browser() as chromium:
            ids = node.wait_points([path(number, cells - 1) for number in range(devices)])
            node.wait_for(lambda: all(is_good(node, id_) for id_ in ids), "good samples")
            page = new_page(chromium)
            link = node.ready["setup_link"]
            assert link
            set_up(page, link)
            yield node, field, page


def part_idle(options: argparse.Namespace) -> dict[str, object]:
    """500 points at 1 Hz and one open overview: CPU of the product."""
    window_s = 10.0 if options.quick else 40.0
    with watched_plant(1.0, IDLE_DEVICES, IDLE_CELLS) as (node, _field, page):
        page.goto(f"http://{node.ready['http']}/")
        page.wait_for_selector(".page.ov .ai .val")
        time.sleep(5.0 if options.quick else 15.0)
        before, begin = node.cpu(), time.perf_counter()
        time.sleep(window_s)
        after, wall_s = node.cpu(), time.perf_counter() - begin
        screens = node.client.get("/system")["flow"]
    assert isinstance(screens, dict)
    assert screens["screens"] == 1, screens
    used = {name: 100 * (after[name] - before[name]) / wall_s for name in after}
    return {
        "idle_cpu_pct": round(sum(used.values()), 2),
        "idle_cpu_pct_each": {name: round(value, 2) for name, value in used.items()},
        "idle_window_s": round(wall_s, 1),
        "idle_values_per_s": IDLE_DEVICES * IDLE_CELLS,
    }


def part_screen(options: argparse.Namespace) -> dict[str, object]:
    """A register changes: seconds until its new value stands in the page."""
    figures: dict[str, object] = {}
    count = 5 if options.quick else SCREEN_CHANGES
    for name, rate_s in (("screen", 0.25), ("screen_at_1_hz", 1.0)):
        with watched_plant(rate_s, 2, 20) as (node, field, page):
            times = screen_times(node, field, page, count)
        figures |= {
            f"{name}_s": round(max(times), 3),
            f"{name}_p50_s": round(statistics.median(times), 3),
            f"{name}_poll_s": rate_s,
        }
    return figures


def screen_times(node: Node, field: Field, page: Page, count: int) -> list[float]:
    """For each change the time from the register to the page."""
    watch(node, page, 0)
    source = random.Random(7)
    times = []
    for number in range(count):
        time.sleep(source.uniform(0.5, 1.5))
        value = 1_000 + number
        put_ms = time.time() * 1e3
        field.loop.call_soon_threadsafe(field.servers[0].table.put, 0, value)
        page.wait_for_function(
            "text => window.benchSeen.some((seen) => seen.text === text)", arg=str(value)
        )
        seen = page.evaluate("window.benchSeen")
        at_ms = next(item["ms"] for item in seen if item["text"] == str(value))
        times.append((at_ms - put_ms) / 1e3)
    return times


def watch(node: Node, page: Page, number: int) -> None:
    """Open the asset page of server `number` and watch its first point."""
    [id_] = node.wait_points([path(number, 0)])
    page.goto(f"http://{node.ready['http']}/assets/{ASSET}/{device(number)}")
    page.wait_for_selector(f'[data-point="{id_}"][data-shown="good"]')
    page.evaluate(WATCH_POINT, id_)


def part_bad(options: argparse.Namespace) -> dict[str, object]:
    """The server dies: seconds until the page says that the value is bad, and until it is back."""
    bad, back = [], []
    with watched_plant(1.0, 2, 20) as (node, field, page):
        for number in range(1 if options.quick else 3):
            watch(node, page, 0)
            time.sleep(1.0 + 0.3 * number)
            killed_ms = time.time() * 1e3
            field.kill(0)
            bad.append((shown_ms(page, "bad") - killed_ms) / 1e3)
            page.evaluate("window.benchSeen = []")
            again_ms = time.time() * 1e3
            field.restart(0)
            back.append((shown_ms(page, "good") - again_ms) / 1e3)
    return {
        "bad_s": round(max(bad), 2),
        "bad_p50_s": round(statistics.median(bad), 2),
        "bad_back_s": round(max(back), 2),
    }


def shown_ms(page: Page, state: str) -> float:
    """When the watched point was first shown so."""
    wanted = "state => window.benchSeen.some((seen) => seen.shown === state)"
    page.wait_for_function(wanted, arg=state, timeout=30_000)
    seen = page.evaluate("window.benchSeen")
    return next(float(item["ms"]) for item in seen if item["shown"] == state)


# --- alarms


def part_alarm(options: argparse.Namespace) -> dict[str, object]:
    """10,000 values/s; from the answer that holds a value over its limit to the socket."""
    count = 40 if options.quick else ALARMS
    points = [path(server, cell) for server in range(ALARM_SERVERS) for cell in range(ALARM_POINTS)]
    with folder() as place:
        probe = DiskProbe(place)
        times, lost = asyncio.run(alarms(place, points, count, probe))
        disk = probe.stop()
    assert times, "no alarm arrived"
    return {
        "alarm_p99_ms": round(percentile(times, 0.99), 1),
        "alarm_p50_ms": round(percentile(times, 0.5), 1),
        "alarm_max_ms": round(max(times), 1),
        "alarm_count": len(times),
        "alarm_missing": lost,
        "alarm_values_per_s": round(ALARM_SERVERS * ALARM_REGISTERS / ALARM_RATE_S),
        **disk,
        "alarm_p99_per_fdatasync_p99": round(percentile(times, 0.99) / disk["fdatasync_p99_ms"], 1),
    }


async def alarms(
    place: Path, points: Sequence[str], count: int, probe: DiskProbe
) -> tuple[list[float], int]:
    """Servers, product and client; the product's start and stop run beside the loop."""
    servers = [Server() for _ in range(ALARM_SERVERS)]
    ports = [await server.start() for server in servers]
    write_plant(place, ports, words(ALARM_REGISTERS), ALARM_RATE_S)
    write_rules(place, points, ALARM_LEVEL)
    context = running(place)
    node = await asyncio.to_thread(context.__enter__)
    try:
        ids = await asyncio.to_thread(node.wait_points, points)
        last = ids[-1]
        await asyncio.to_thread(node.wait_for, lambda: is_good(node, last), "good samples")
        await asyncio.sleep(5.0)
        probe.start()
        address = str(node.home.socket)
        async with unix_connect(
            address, f"ws://localhost{API}/live", compression=None, max_size=None
        ) as client:
            return await Alarms(servers, ids, client).run(count)
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


class Alarms:
    """Raises alarms in turn and notes when they arrive."""

    def __init__(self, servers: Sequence[Server], ids: Sequence[str], client: ClientConnection):
        self._servers = servers
        self._ids = ids
        self._client = client
        self._place = {id_: number for number, id_ in enumerate(ids)}
        self._waiting: set[int] = set()
        self._seen: set[str] = set()
        self._times_ms: list[float] = []

    async def run(self, count: int) -> tuple[list[float], int]:
        """Latencies, and how many never came."""
        listener = asyncio.create_task(self._listen())
        await asyncio.sleep(1.0)
        source = random.Random(7)
        for number in range(count):
            place = number % len(self._ids)
            self._waiting.add(place)
            self._put(place, ALARM_LEVEL + 1 + number % 1_000)
            asyncio.get_running_loop().call_later(2.0, self._put, place, 1)
            await asyncio.sleep(source.uniform(0.05, 0.2))
        await asyncio.sleep(3.0)
        listener.cancel()
        return self._times_ms, len(self._waiting)

    def _put(self, place: int, value: int) -> None:
        server, register = divmod(place, ALARM_POINTS)
        self._servers[server].table.put(register, value)

    async def _listen(self) -> None:
        async for message in self._client:
            now_s = time.perf_counter()
            assert isinstance(message, bytes)
            frame = parse_frame(message)
            if frame.type == LiveType.ALARMS:
                for row in json.loads(frame.payload).get("alarms", []):
                    self._on_row(row, now_s)

    def _on_row(self, row: dict[str, object], now_s: float) -> None:
        id_, place = str(row["id"]), self._place.get(str(row["point_id"]))
        if place is None or place not in self._waiting or not row["active"] or id_ in self._seen:
            return
        server, register = divmod(place, ALARM_POINTS)
        self._seen.add(id_)
        self._waiting.discard(place)
        answered_s = self._servers[server].table.answered_s[register]
        self._times_ms.append((now_s - answered_s) * 1e3)


PARTS = {
    "start": part_start,
    "idle": part_idle,
    "screen": part_screen,
    "bad": part_bad,
    "alarm": part_alarm,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to run; default all")
    parser.add_argument("--quick", action="store_true", help="shorter, without the wait for memory")
    return run_parts("spine", PARTS, parser.parse_args(), BARS)


if __name__ == "__main__":
    sys.exit(main())
