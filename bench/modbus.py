"""Modbus TCP through the whole product: registers and requests per CPU-second, and lost devices.

./dev bench modbus [--only NAME ...] [--quick]

Twenty servers on libmodbus (processes of their own) are read by `penstock up`: connector,
field, link, core, durable log, historian, rules and live. What counts is what lies in the
log at the end. The peer reads the same registers with pymodbus's asynchronous client in a
bare loop under uvloop; it drops time, quality, decoding, schedule, storage and fsync.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from _kit import median_of, run_parts
from _libmodbus import CServer, Wanderer, c_servers
from _modbus import Server, Table
from _product import ASSET, Cell, Node, Rows, device, folder, log_rows, running, write_plant

SERVERS = 20
BLOCKS = 8
BLOCK_RATE_S = 0.2
SCATTERED = 50
SCATTERED_GAP = 20  # more than merge_gap, so that each register needs a request
SCATTERED_RATE_S = 0.5
DEAD_RATE_S = 0.25
DEAD_BLOCKS = 1
SETTLE_S = 4.0
AWAY_S = (2.0, 4.0, 8.0, 16.0, 30.0)  # pauses between attempts grow with the outage
BARS = {
    "registers_per_cpu_s": ">= 150000",
    "requests_per_cpu_s": ">= 2000",
    "neighbour_delay_periods": "< 1",
    "limit_learned_cycles": "< 3",
    "restart_back_s": "< 5",
}


def block_cells(blocks: int = BLOCKS) -> list[Cell]:
    """Whole blocks of 125 registers, uint16 and float32 in turn."""
    cells = []
    for block in range(blocks):
        begin = 125 * block
        if block % 2:
            cells += [
                Cell(f"float-{at:04}", at, "float32", "float")
                for at in range(begin, begin + 124, 2)
            ]
        else:
            cells += [Cell(f"word-{at:04}", at) for at in range(begin, begin + 125)]
    return cells


def scattered_cells() -> list[Cell]:
    """Each register too far from the next to be read with it."""
    return [Cell(f"word-{at:04}", at) for at in range(0, SCATTERED * SCATTERED_GAP, SCATTERED_GAP)]


# --- throughput


def throughput(cells: Sequence[Cell], rate_s: float, window_s: float) -> dict[str, float]:
    """CPU of the product over a window, and what the log holds of it."""
    wide = {f"{ASSET}/{device(n)}/{c.name}" for n in range(SERVERS) for c in cells if "f" in c.type}
    with folder() as place, c_servers(SERVERS) as servers:
        write_plant(place, [server.port for server in servers], cells, rate_s)
        with Wanderer(servers, BLOCKS), running(place) as node:
            wait_all_good(node, cells)
            time.sleep(SETTLE_S)
            load = measure(node, window_s)
            history = history_rows(node, cells[0], load)
        rows = log_rows(node.home).between(int(load["from_ns"]), int(load["to_ns"]))
    rows = bench_rows(rows)
    good = int((rows.quality >= 192).sum())
    is_wide = np.isin(rows.point, [h for h, path in rows.path.items() if path in wide])
    registers = len(rows) + int(is_wide.sum())
    asked = answers_in(rows)
    cpu = load["cpu_s"]
    first = f"{ASSET}/{device(0)}/{cells[0].name}"
    return {
        "registers_per_cpu_s": registers / cpu,
        "requests_per_cpu_s": asked / cpu,
        "rows_per_cpu_s": len(rows) / cpu,
        "registers_per_s": registers / load["wall_s"],
        "requests_per_s": asked / load["wall_s"],
        "rows_in_log": len(rows),
        "rows_good_share": good / max(len(rows), 1),
        "registers_per_request": registers / max(asked, 1),
        "history_rows_of_one_point": history,
        "log_rows_of_one_point": len(rows.of(first)),
        "cpu_pct": 100 * cpu / load["wall_s"],
        "core_cpu_pct": 100 * load["core"] / load["wall_s"],
        "field_cpu_pct": 100 * load["field"] / load["wall_s"],
        "missed_polls": load["missed"],
        "flushes_in_window": load["flushes"],
    }


def measure(node: Node, window_s: float) -> dict[str, float]:
    """CPU-seconds of every process of the product over a window."""
    before, missed, from_ns = node.cpu(), missed_polls(node), time.time_ns()
    segments = segment_count(node)
    time.sleep(window_s)
    after, to_ns = node.cpu(), time.time_ns()
    assert before.keys() == after.keys(), "a process was restarted meanwhile"
    used = {name: after[name] - before[name] for name in after}
    return {
        **used,
        "cpu_s": sum(used.values()),
        "wall_s": (to_ns - from_ns) / 1e9,
        "from_ns": from_ns,
        "to_ns": to_ns,
        "missed": missed_polls(node) - missed,
        "flushes": segment_count(node) - segments,
    }


def segment_count(node: Node) -> int:
    """Files of the history."""
    return len(list(node.home.segments.rglob("*.seg")))


def missed_polls(node: Node) -> int:
    """Periods that no line had time for, of the System page."""
    rows = node.client.get("/system")["connections"]
    assert isinstance(rows, list)
    return sum(int(row["missed"]) for row in rows)


def answers_in(rows: Rows) -> int:
    """Answers of devices that the rows come from: samples of one answer share their time."""
    number = {f"{ASSET}/{device(item)}": item for item in range(SERVERS)}
    devices = np.zeros(max(rows.path) + 1, np.int64)
    for handle, path in rows.path.items():
        devices[handle] = number.get(path.rpartition("/")[0], -1)
    pairs = np.stack([devices[rows.point], rows.time_ns])
    return len(np.unique(pairs, axis=1).T)


def wait_all_good(node: Node, cells: Sequence[Cell], count: int = SERVERS) -> None:
    """Until the last point of every server has a good sample."""
    name = cells[-1].name
    wanted = node.wait_points([f"{ASSET}/{device(number)}/{name}" for number in range(count)])

    def is_good() -> bool:
        return all(row is not None and row["quality"] >= 192 for row in node.last(wanted))

    node.wait_for(is_good, "good samples from all servers")


def history_rows(node: Node, cell: Cell, load: Mapping[str, float]) -> int:
    """Samples of one point that the history answers for the window."""
    [id_] = node.wait_points([f"{ASSET}/{device(0)}/{cell.name}"])
    query = {"from": str(int(load["from_ns"])), "to": str(int(load["to_ns"])), "limit": "10000"}
    return len(node.client.get(f"/points/{id_}/samples", query)["time_ns"])


def bench_rows(rows: Rows) -> Rows:
    """Without the system points."""
    mine = [handle for handle, path in rows.path.items() if path.startswith(f"{ASSET}/")]
    at = np.isin(rows.point, mine)
    return Rows(rows.path, rows.point[at], rows.time_ns[at], rows.quality[at])


def part_registers(options: argparse.Namespace) -> dict[str, object]:
    """Whole blocks; the window is long enough for a head to fill and be flushed."""
    window_s, runs = (5.0, 1) if options.quick else (40.0, 3)
    figures = median_of(lambda: throughput(block_cells(), BLOCK_RATE_S, window_s), runs)
    return {"registers": rounded(figures), "registers_per_cpu_s": figures["registers_per_cpu_s"]}


def part_requests(options: argparse.Namespace) -> dict[str, object]:
    """Each register a request."""
    window_s, runs = (5.0, 1) if options.quick else (15.0, 3)
    figures = median_of(lambda: throughput(scattered_cells(), SCATTERED_RATE_S, window_s), runs)
    return {"scattered": rounded(figures), "requests_per_cpu_s": figures["requests_per_cpu_s"]}


# --- the peer


def part_peer(options: argparse.Namespace) -> dict[str, object]:
    """pymodbus alone, as fast as it goes, in a process of its own."""
    window_s, runs = (3.0, 1) if options.quick else (8.0, 3)

    blocks = [125 * block for block in range(BLOCKS)]
    single = [cell.address for cell in scattered_cells()]

    def one() -> dict[str, float]:
        with c_servers(SERVERS) as servers:
            ports = [server.port for server in servers]
            full = peer_rate(window_s, 125, blocks, ports)
            each = peer_rate(window_s, 1, single, ports)
        return {
            "pymodbus_registers_per_cpu_s": 125 * full,
            "pymodbus_blocks_per_cpu_s": full,
            "pymodbus_requests_per_cpu_s": each,
        }

    drops = "time, quality, decoding of values, schedule, loss handling, storage, fsync"
    return {**rounded(median_of(one, runs)), "pymodbus_drops": drops}


def peer_rate(window_s: float, count: int, addresses: Sequence[int], ports: Sequence[int]) -> float:
    """Requests per CPU-second of the peer."""
    program = str(Path(__file__).with_name("_pymodbus.py"))
    lists = [",".join(map(str, numbers)) for numbers in (addresses, ports)]
    command = [sys.executable, program, str(window_s), str(count), *lists]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


# --- dead neighbours


def part_dead(options: argparse.Namespace) -> dict[str, object]:
    """One of twenty is a black hole, then one refuses: what the other nineteen notice."""
    window_s = 8.0 if options.quick else 20.0
    black = dead(lambda server: server.process.send_signal(signal.SIGSTOP), window_s)
    refused = dead(CServer.stop, window_s)
    return {
        "neighbour_delay_periods": max(black["worst"], refused["worst"]),
        "neighbour_delay_periods_black_hole": black["worst"],
        "neighbour_delay_periods_refused": refused["worst"],
        "neighbour_delay_periods_before": max(black["before"], refused["before"]),
        "dead_period_s": DEAD_RATE_S,
        "dead_declared_s_black_hole": black["declared_s"],
        "dead_declared_s_refused": refused["declared_s"],
    }


def dead(kill: Callable[[CServer], None], window_s: float) -> dict[str, float]:
    """Largest gap of the healthy over the period, before and after the death of the last."""
    cells = block_cells(DEAD_BLOCKS)
    with folder() as place, c_servers(SERVERS) as servers:
        write_plant(place, [server.port for server in servers], cells, DEAD_RATE_S)
        with running(place) as node:
            wait_all_good(node, cells)
            time.sleep(SETTLE_S)
            before_ns = time.time_ns()
            time.sleep(window_s / 2)
            dead_ns = time.time_ns()
            kill(servers[-1])
            time.sleep(window_s)
            end_ns = time.time_ns()
        rows = log_rows(node.home)
    healthy = [f"{ASSET}/{device(number)}/{cells[0].name}" for number in range(SERVERS - 1)]
    lost = rows.of(f"{ASSET}/{device(SERVERS - 1)}/{cells[0].name}").between(dead_ns, end_ns)
    bad_ns = lost.time_ns[lost.quality < 64]
    assert len(bad_ns) == 1, f"the dead device has {len(bad_ns)} bad rows, not one"
    return {
        "before": max(delay(rows.of(path), before_ns, dead_ns) for path in healthy),
        "worst": max(delay(rows.of(path), dead_ns, end_ns) for path in healthy),
        "declared_s": round((int(bad_ns[0]) - dead_ns) / 1e9, 2),
    }


def delay(rows: Rows, from_ns: int, to_ns: int) -> float:
    """(largest gap - period) / period; edges of the window count as samples are expected there."""
    times = np.sort(rows.time_ns[(rows.time_ns >= from_ns) & (rows.time_ns < to_ns)])
    assert len(times) > 2, "a healthy server has no samples"
    edges = np.concatenate([times, [to_ns]]) if to_ns - times[-1] > DEAD_RATE_S * 1e9 else times
    return round(float(np.diff(edges).max() / 1e9 - DEAD_RATE_S) / DEAD_RATE_S, 3)


# --- a device with limits, a device that goes and comes


def part_limit(options: argparse.Namespace) -> dict[str, object]:
    """A device that refuses more than 32 registers: cycles that still saw a refusal."""
    table = Table(registers_max=32)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = asyncio.run_coroutine_threadsafe(Server(table).start(), loop).result()
    cells = [Cell(f"word-{at:04}", at) for at in range(125)]
    with folder() as place:
        write_plant(place, [port], cells, 0.5)
        with running(place) as node:
            wait_all_good(node, cells, 1)
            time.sleep(4.0 if options.quick else 8.0)
        rows = bench_rows(log_rows(node.home))
    loop.call_soon_threadsafe(loop.stop)
    cycles = cycles_of(table.requests_s)
    refused = [cycle for cycle in cycles if any(at in table.exceptions_s for at in cycle)]
    bad = int((rows.quality < 64).sum())
    return {
        "limit_learned_cycles": len(refused),
        "limit_refusals": len(table.exceptions_s),
        "limit_requests_a_cycle_after": len(cycles[-2]),
        "limit_bad_rows": bad,
    }


def cycles_of(times_s: Sequence[float]) -> list[list[float]]:
    """Requests that came together."""
    cycles: list[list[float]] = []
    for at in times_s:
        if not cycles or at - cycles[-1][-1] > 0.2:
            cycles.append([])
        cycles[-1].append(at)
    return cycles


def part_restart(options: argparse.Namespace) -> dict[str, object]:
    """The server is killed, stays away, and comes back at the same port."""
    cells = [Cell(f"word-{at:04}", at) for at in range(20)]
    back, marked = [], []
    with folder() as place:
        server, port = start_server(0)
        write_plant(place, [port], cells, 0.5)
        with running(place) as node:
            wait_all_good(node, cells, 1)
            for away_s in AWAY_S[:2] if options.quick else AWAY_S:
                killed_ns = time.time_ns()
                server.kill()
                server.wait()
                time.sleep(away_s)
                server, _ = start_server(port)
                listening_ns = time.time_ns()
                wait_all_good(node, cells, 1)
                times = restart_times(node, cells[0], killed_ns, listening_ns)
                marked.append(times[0])
                back.append(times[1])
        server.kill()
    return {
        "restart_back_s": max(back),
        "restart_away_s_each": list(AWAY_S[: len(back)]),
        "restart_back_s_each": back,
        "restart_gap_marked_s_each": marked,
    }


def start_server(port: int) -> tuple[subprocess.Popen[str], int]:
    """A server in a process of its own, listening."""
    program = str(Path(__file__).with_name("_modbus.py"))
    process = subprocess.Popen(
        [sys.executable, program, str(port)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def restart_times(node: Node, cell: Cell, killed_ns: int, back_ns: int) -> list[float | None]:
    """Seconds until the bad row of the gap, and from listening to the first good sample."""
    [id_] = node.wait_points([f"{ASSET}/{device(0)}/{cell.name}"])
    query = {"from": str(killed_ns), "to": str(time.time_ns()), "limit": "10000"}
    rows = node.client.get(f"/points/{id_}/samples", query)
    pairs = list(zip(map(int, rows["time_ns"]), rows["quality"], strict=True))
    bad = [(at - killed_ns) / 1e9 for at, quality in pairs if quality < 64]
    good = [(at - back_ns) / 1e9 for at, quality in pairs if quality >= 192 and at > back_ns]
    assert good, "no value came back"
    return [round(bad[0], 2) if bad else None, round(good[0], 2)]


def rounded(figures: Mapping[str, float]) -> dict[str, object]:
    """Three digits behind the point are enough."""
    return {key: round(value, 3) for key, value in figures.items()}


PARTS = {
    "registers": part_registers,
    "requests": part_requests,
    "peer": part_peer,
    "dead": part_dead,
    "limit": part_limit,
    "restart": part_restart,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to run; default all")
    parser.add_argument("--quick", action="store_true", help="one short run of each")
    return run_parts("modbus", PARTS, parser.parse_args(), BARS)


if __name__ == "__main__":
    sys.exit(main())
