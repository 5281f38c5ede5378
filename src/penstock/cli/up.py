"""`penstock up`: prepare in a process of its own, then supervise until a signal.

This process stays the supervisor for years, so it imports the standard library
and the supervisor only.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import penstock
from penstock.cli.document import document, rows, text
from penstock.cli.outcome import EXIT_USAGE, Fault, UsageFault
from penstock.cli.output import say_error
from penstock.node.processes import process_table
from penstock.node.supervisor import Supervisor

if TYPE_CHECKING:
    import argparse

    from penstock.cli.document import Document
    from penstock.node.home import Home

PREPARE_S_MAX = 300.0
DEMO = Path(penstock.__file__).parent / "simulator" / "plant"
DEMO_PORT_LINE = "port = 15020\n"
PORT_MAX = 65_535
PLAIN_LINES_MAX = 20
LAST_BYTES = 64 * 1024
LEFT = b'"event": "readings_not_accepted"'


def run(options: argparse.Namespace) -> int:
    """The exit code of the node: 0 after a signal and a drained stop."""
    home: Home = options.home
    _set_addresses(options.http, options.https)
    say_error(f"Starting Penstock in {home.root} ...")
    if options.demo:
        _copy_demo(home, _demo_port())
    prepared = _prepare(home)
    for warning in rows(prepared["warnings"]):
        say_error(f"Note: {text(warning['place'])}: {text(warning['message'])}")
    port = prepared["simulator_port"] if options.demo and not options.no_simulator else None
    assert port is None or isinstance(port, int)
    if port is not None:
        _require_free(port)
    return _supervise(options, text(prepared["node"]), port)


def _supervise(options: argparse.Namespace, node: str, simulator_port: int | None) -> int:
    home: Home = options.home
    log = home.logs / "penstock.log"
    log_bytes = log.stat().st_size if log.is_file() else 0
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        say_error(line)

    def on_ready(message: Document) -> None:
        _keep_addresses(message)
        _announce(home, message, is_json=options.json)
        if options.ready_fd is not None:
            _tell(options.ready_fd, message)

    async def supervise() -> int:
        table = process_table(home.root, node, simulator_port)
        return await Supervisor(table, home.logs, on_ready, say).run()

    code = asyncio.run(supervise())
    if code != 0 and not said:
        raise Fault("Penstock stopped:", _plain_lines(log, log_bytes), code)
    if code == 0:
        say_error(last_line(said, log))
    return code


def last_line(said: list[str], log: Path) -> str:
    """Whether everything that was read is safe: no process was ended, no reading left behind."""
    ended = any("did not stop within" in line for line in said)
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LAST_BYTES))
            left = LEFT in file.read().rpartition(b'"event": "configuration_applied"')[2]
    except OSError:
        left = True
    return (
        f"Stopped; the last readings may be lost: see {log}."
        if ended or left
        else ("Stopped; nothing is lost.")
    )


# --- before the start


def _set_addresses(http: str | None, https: str | None) -> None:
    """Core reads the environment, so that a restarted core listens where the first one did."""
    for name, address in (("PENSTOCK_HTTP", http), ("PENSTOCK_HTTPS", https)):
        if address is None:
            continue
        host, _, port = address.rpartition(":")
        if address and (not host or not port.isdecimal() or int(port) > PORT_MAX):
            raise UsageFault(f"{address!r} is no address; write host:port, such as 127.0.0.1:8080.")
        os.environ[name] = address


def _demo_port() -> int | None:
    """Port of the simulator from the environment, None for the usual one."""
    named = os.environ.get("PENSTOCK_SIMULATOR_PORT")
    if not named:
        return None
    if not named.isdecimal() or not 0 < int(named) <= PORT_MAX:
        raise UsageFault(f"PENSTOCK_SIMULATOR_PORT is {named!r}; it must be 1 to {PORT_MAX}.")
    return int(named)


def _copy_demo(home: Home, port: int | None) -> None:
    """Put the demonstration plant into a home that has none; what is there is never touched."""
    plant = home.root / "plant"
    if plant.exists():
        return
    home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = home.root / "plant.new"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(DEMO, fresh, ignore=shutil.ignore_patterns("penstock.toml", "__pycache__"))
    if port is not None:
        path = fresh / "connectors" / "lakeside.toml"
        lines = path.read_text("utf-8")
        assert DEMO_PORT_LINE in lines
        path.write_text(lines.replace(DEMO_PORT_LINE, f"port = {port}\n"), "utf-8")
    settings = home.root / "penstock.toml"
    if not settings.exists():
        shutil.copyfile(DEMO / "penstock.toml", settings)
    fresh.rename(plant)


def _prepare(home: Home) -> Document:
    """Run penstock.node.prepare; every problem it found becomes a line of one fault."""
    command = [sys.executable, "-m", "penstock.node.prepare", str(home.root)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, stdout=subprocess.PIPE, text=True, check=False, timeout=PREPARE_S_MAX
        )
        answer = document(json.loads(done.stdout))
    except subprocess.TimeoutExpired as error:
        raise Fault(
            f"Preparing {home.root} took over {PREPARE_S_MAX:.0f} s; is its disk full or away?"
        ) from error
    except ValueError as error:
        raise Fault("Preparing the start failed; the lines above say where.") from error
    if "fault" in answer:
        raise Fault(text(answer["fault"]))
    if "problems" in answer:
        lines = [
            f"{text(row['place'])}: {text(row['message'])}" for row in rows(answer["problems"])
        ]
        count = "One thing has" if len(lines) == 1 else f"{len(lines)} things have"
        raise Fault(
            f"{count} to be edited in {home.root} before Penstock starts:", lines, EXIT_USAGE
        )
    return answer


def _require_free(port: int) -> None:
    """The simulator would fail too, but only in its log."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Fault(
                f"Port {port} of the simulated plant is in use ({error.strerror}): stop the "
                "program that has it (`ss -ltnp` shows it), set another `port` in "
                "plant/connectors, or start with --no-simulator."
            ) from error


# --- once everything listens


def _keep_addresses(message: Document) -> None:
    """A port that the system chose stays the same when core has to be started again."""
    for name, key in (("PENSTOCK_HTTP", "http"), ("PENSTOCK_HTTPS", "https")):
        address = text(message.get(key))
        if address:
            os.environ[name] = address


def _announce(home: Home, message: Document, *, is_json: bool) -> None:
    facts = {key: message.get(key) for key in ("http", "https", "setup_link")}
    if is_json:
        print(json.dumps({**facts, "home": str(home.root)}), flush=True)
        return
    print(first_line(facts, dict(os.environ), getpass.getuser()))
    print(f"Data and configuration lie in {home.root}.")
    print("Press Ctrl-C to stop.", flush=True)


def first_line(facts: Document, environment: dict[str, str], login: str) -> str:
    """Where to go now; for somebody who came by ssh also how to get there."""
    http, link = text(facts.get("http")), text(facts.get("setup_link"))
    address = f"http://{http}" if http else f"https://{text(facts.get('https'))}"
    line = f"Penstock runs at {address}"
    if link:
        line = f"Penstock runs; open this link once to set it up: {link}"
    server = environment.get("SSH_CONNECTION", "").split()
    has_screen = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    if len(server) == len(("client", "port", "server", "port")) and http and not has_screen:
        port = http.rpartition(":")[2]
        line += (
            f" (first, on your own computer: ssh -L {port}:127.0.0.1:{port} {login}@{server[2]})"
        )
    return line


def _tell(descriptor: int, message: Document) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(descriptor, json.dumps(message).encode() + b"\n")
    os.close(descriptor)


def _plain_lines(log: Path, offset: int) -> list[str]:
    """What core wrote for a person since `offset`; its events are JSON and for programs."""
    try:
        with log.open("rb") as file:
            file.seek(offset)
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    plain = [line for line in lines if line.strip() and not line.startswith("{")]
    return plain[-PLAIN_LINES_MAX:] or [f"see {log}"]
