"""docs/how-to/back-up.md, carried out: copied while stopped, restored into empty folders."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from counting_server import CountingServer
from whole import COUNTER, Whole, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "back-up.md"
PASSWORD = "a sentence that is easy to keep"


def sign_in(product: Whole, password: str) -> int:
    """Status of a login by the plain HTTP door."""
    assert product.running is not None
    host, _, port = product.running.http.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        body = json.dumps({"name": "ada", "password": password})
        headers = {"Content-Type": "application/json", "Origin": f"http://{host}:{port}"}
        connection.request("POST", "/api/v1/session", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def key_folder(product: Whole) -> Path:
    """As the page says: data/FORMAT names it."""
    name = json.loads((product.home / "data" / "FORMAT").read_text())["keys"]
    return product.folder / "user" / ".config" / "penstock" / "keys" / str(name)


def test_a_cold_backup_restores_samples_users_and_alarms(
    whole: Callable[..., Whole], server: CountingServer, tmp_path: Path
) -> None:
    for name in ("before", "backup", "after"):
        (tmp_path / name).mkdir(mode=0o700)
    product = whole(tmp_path / "before")
    product.start()
    assert product.running is not None
    product.running.add_user("ada", PASSWORD)
    product.wait_flowing()
    server.wait_answers(60)
    wait_until(product.journal, "an alarm is in the journal")
    to_ns = time.time_ns()
    server.wait_answers(15)
    product.wait_flowing()
    samples, alarms = product.history(COUNTER, to_ns), product.journal()
    assert 0 == product.stop()
    assert key_folder(product).is_dir()
    shutil.copytree(product.home, tmp_path / "backup" / "home")
    shutil.copytree(key_folder(product), tmp_path / "backup" / "keys")
    shutil.rmtree(tmp_path / "before")

    shutil.copytree(tmp_path / "backup" / "home", tmp_path / "after" / "home")
    restored = whole(tmp_path / "after")
    shutil.copytree(tmp_path / "backup" / "keys", key_folder(restored))
    restored.start()

    assert restored.running is not None
    assert "" == restored.running.setup_link
    assert 200 == sign_in(restored, PASSWORD)
    assert 401 == sign_in(restored, PASSWORD + "!")
    wait_until(restored.points, "the plant is applied")
    assert len(samples) > 60
    assert samples == restored.history(COUNTER, to_ns)
    assert alarms == restored.journal()[: len(alarms)]
    server.wait_answers(20)
    assert restored.get("/system")["audit"]["unbroken"]
    assert 0 == restored.stop()


@pytest.mark.long
def test_data_without_its_keys_is_refused_with_a_sentence(
    whole: Callable[..., Whole], tmp_path: Path
) -> None:
    """Nothing is made anew in silence; the page says what to copy."""
    product = whole()
    product.start()
    assert 0 == product.stop()
    shutil.rmtree(key_folder(product))
    log = tmp_path / "up.txt"
    with pytest.raises(pytest.fail.Exception):
        product.start()
    said = log.read_text()
    assert "belongs to keys that are not in" in said
    assert "Traceback" not in said


def test_the_page_names_what_the_test_copies() -> None:
    text = PAGE.read_text("utf-8")
    for word in ("data/FORMAT", "~/.config/penstock/keys", "/etc/penstock/keys", "penstock up"):
        assert word in text
    assert re.search(r"[Ss]top", text)
