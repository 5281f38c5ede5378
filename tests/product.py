"""A whole Penstock for tests: `penstock up` in a home of its own beside a simulator of its own.

The simulator listens before its port is written into the plant folder, so that no
port is picked first and bound later. Whatever happens, no process outlives the fixture.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import penstock

DEMO = Path(penstock.__file__).parent / "simulator" / "plant"
READY_S_MAX = 60.0
STOP_S_MAX = 20.0
LOG_LINES = 60
PENSTOCK = [sys.executable, "-m", "penstock.cli.main"]
STARTED: list[Product] = []


@dataclasses.dataclass
class Product:
    """A running Penstock; `http` is "127.0.0.1:port", `setup_link` works once."""

    home: Path
    environment: dict[str, str]
    process: subprocess.Popen[str]
    simulator_port: int
    http: str = ""
    https: str = ""
    setup_link: str = ""

    @property
    def url(self) -> str:
        """Address for a browser."""
        return f"http://{self.http}"

    def cli(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a verb against this Penstock; `text` is its standard input."""
        return subprocess.run(
            [*PENSTOCK, *arguments, "--home", str(self.home)],
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def add_user(self, name: str, password: str, role: str = "administrator") -> None:
        """A user without the screen; ends the set-up."""
        done = self.cli("user", "add", name, "--role", role, "--password-stdin", text=password)
        assert 0 == done.returncode, done.stderr

    def pid(self, name: str) -> int:
        """Process id of core or field, from /proc."""
        needle = f"penstock.node.{name}.main"
        found = [pid for pid, line in processes_of(self.home) if needle in line]
        assert 1 == len(found), f"{name} runs {len(found)} times"
        return found[0]

    def kill(self, name: str) -> int:
        """SIGKILL to core or field; its former process id."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def stop(self) -> int:
        """SIGTERM to the supervisor; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S_MAX)
        finally:
            end_all(self.home, self.process)

    def log_tail(self) -> str:
        """The end of what its processes said."""
        parts = [self.home / "logs" / "penstock.log", self.home.parent / "up.txt"]
        lines = [
            line
            for path in parts
            if path.is_file()
            for line in path.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
        ]
        return "\n".join(lines)


def processes_of(home: Path) -> list[tuple[int, str]]:
    """(pid, command line) of every process that names the home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if str(home) in line and "penstock" in line:
                found.append((int(folder.name), line))
    return found


def end_all(home: Path, process: subprocess.Popen[str]) -> None:
    """Kill what is left, the supervisor first, so that it restarts nothing."""
    if process.poll() is None:
        process.kill()
        process.wait()
    until = time.monotonic() + 5
    while left := processes_of(home):
        assert time.monotonic() < until, f"these do not die: {left}"
        for pid, _line in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


@contextlib.contextmanager
def simulator(environment: dict[str, str]) -> Iterator[int]:
    """The demonstration plant at a free port."""
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "penstock.simulator", "--port", "0", "--ready-fd", str(writer)]
    process = subprocess.Popen(command, env=environment, pass_fds=(writer,))
    os.close(writer)
    try:
        yield int(read_line(reader, process))
    finally:
        process.kill()
        process.wait()
        os.close(reader)


@contextlib.contextmanager
def running_product(folder: Path) -> Iterator[Product]:
    """`penstock up --demo` below `folder`, ready to be asked."""
    environment = environment_in(folder)
    with simulator(environment) as port:
        home = folder / "home"
        write_home(home, port)
        product = start(home, environment, port)
        STARTED.append(product)
        try:
            yield product
        finally:
            if product.process.poll() is None:
                product.process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    product.process.wait(STOP_S_MAX)
            end_all(home, product.process)


def environment_in(folder: Path) -> dict[str, str]:
    """Nothing of the person who runs the tests."""
    for name in ("user", "run"):
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PENSTOCK_", "XDG_", "SSH_"))
    }
    return {**kept, "HOME": str(folder / "user"), "XDG_RUNTIME_DIR": str(folder / "run")}


def write_home(home: Path, port: int) -> None:
    """The demonstration plant with the simulator's port in it."""
    home.mkdir(mode=0o700)
    shutil.copytree(DEMO, home / "plant", ignore=shutil.ignore_patterns("penstock.toml"))
    shutil.copyfile(DEMO / "penstock.toml", home / "penstock.toml")
    connector = home / "plant" / "connectors" / "lakeside.toml"
    connector.write_text(connector.read_text().replace("port = 15020", f"port = {port}"))


def start(home: Path, environment: dict[str, str], port: int) -> Product:
    """Start and wait until everything listens."""
    reader, writer = os.pipe()
    arguments = ["up", "--demo", "--no-simulator", "--http", "127.0.0.1:0"]
    arguments += ["--https", "127.0.0.1:0", "--ready-fd", str(writer), "--home", str(home)]
    with (home.parent / "up.txt").open("w") as output:
        process = subprocess.Popen(
            [*PENSTOCK, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(writer,),
            text=True,
        )
    os.close(writer)
    product = Product(home, environment, process, port)
    try:
        ready = json.loads(read_line(reader, process))
    except (AssertionError, ValueError):
        end_all(home, process)
        pytest.fail(f"Penstock did not start:\n{product.log_tail()}", pytrace=False)
    finally:
        os.close(reader)
    product.http, product.https = ready["http"], ready["https"]
    product.setup_link = ready["setup_link"] or ""
    return product


def read_line(reader: int, process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> str:
    """One line of a ready descriptor; an early end of the process is a failure."""
    until = time.monotonic() + READY_S_MAX
    data = b""
    while not data.endswith(b"\n"):
        assert time.monotonic() < until, f"not ready after {READY_S_MAX:.0f} s"
        if not select.select([reader], [], [], 0.2)[0]:
            assert process.poll() is None, f"ended with {process.returncode}"
            continue
        part = os.read(reader, 65_536)
        assert part, "ended before it was ready"
        data += part
    return data.decode()


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One Penstock for all tests that only look; it is not set up, its link is unused.

    A test that makes users, kills or stops starts its own with `running_product`.
    """
    with running_product(tmp_path_factory.mktemp("product")) as running:
        yield running


def log_section() -> str:
    """Logs of every Penstock that a failed test could have used."""
    return "\n".join(f"--- {product.home}\n{product.log_tail()}" for product in STARTED)
