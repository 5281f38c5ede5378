"""The client over HTTPS: whom it trusts, how it logs in, and that it takes up a lost session."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from product import Product, running_product

from penstock.client import BrokenOff, Client, Problem, Unreachable, Untrusted
from penstock.client.place import socket_folder
from penstock.client.trust import digits_of
from penstock.client.wire import Target

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PASSWORD = "four words are enough"
SPEED = "Lakeside Water/Intake/P-101/speed"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A Penstock with a user, that tests of this file may hurt."""
    with running_product(tmp_path_factory.mktemp("own")) as running:
        running.add_user("ada", PASSWORD, "operator")
        yield running


@pytest.fixture
def authority(own: Product) -> Path:
    name = json.loads((own.home / "data" / "FORMAT").read_text())["keys"]
    keys = Path(own.environment["HOME"]) / ".config" / "penstock" / "keys" / name
    return keys / "authority.crt"


def address(own: Product) -> str:
    return f"https://{own.https}"


def fingerprint_of(authority: Path) -> str:
    der = ssl.PEM_cert_to_DER_cert(authority.read_text())
    digits = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digits[place : place + 2] for place in range(0, 64, 2))


# --- trust


def test_the_authority_of_the_node_is_enough(own: Product, authority: Path) -> None:
    with Client(address(own), user="ada", password=PASSWORD, ca=authority) as plant:
        assert len(plant.points()) > 10


def test_its_fingerprint_is_enough(own: Product, authority: Path) -> None:
    given = fingerprint_of(authority)

    with Client(address(own), user="ada", password=PASSWORD, fingerprint=given) as plant:
        assert len(plant.points()) > 10


def test_an_unknown_authority_is_not_trusted(own: Product) -> None:
    with (
        Client(address(own), user="ada", password=PASSWORD) as plant,
        pytest.raises(Untrusted, match="ca="),
    ):
        plant.points()


def test_another_fingerprint_is_not_trusted(own: Product) -> None:
    with (
        Client(address(own), user="ada", password=PASSWORD, fingerprint="ab" * 32) as plant,
        pytest.raises(Untrusted, match="fingerprint"),
    ):
        plant.points()


def test_a_name_that_the_certificate_has_not_is_not_trusted(own: Product, authority: Path) -> None:
    """Whoever has any certificate of the authority could stand there."""
    port = own.https.rpartition(":")[2]
    with (
        Client(f"https://127.0.0.2:{port}", user="ada", password=PASSWORD, ca=authority) as plant,
        pytest.raises((Untrusted, Unreachable)),
    ):
        plant.points()


@pytest.mark.parametrize("word", ["", "ab", "zz" * 32, "ab:" * 31])
def test_what_is_no_fingerprint_is_said(word: str) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        digits_of(word)


@pytest.mark.parametrize(
    "url", ["http://plant-pc.local:8080", "plant-pc.local", "ftp://x", "https://a/b", "https://u@a"]
)
def test_a_password_never_crosses_a_network_in_clear(url: str) -> None:
    with pytest.raises(ValueError, match=r"address|more than|only https"):
        Client(url, user="ada", password=PASSWORD)


def test_plain_http_of_this_computer_is_an_address() -> None:
    assert Target(host="127.0.0.1", port=8080) == Target.parse("http://127.0.0.1:8080")
    assert Target(host="::1", port=443, is_tls=True) == Target.parse("https://[::1]")


# --- session


def test_a_wrong_password_is_the_plants_refusal(own: Product, authority: Path) -> None:
    with (
        Client(address(own), user="ada", password="wrong wrong wrong", ca=authority) as plant,
        pytest.raises(Problem) as caught,
    ):
        plant.points()

    assert ("wrong_credentials", 401) == (caught.value.code, caught.value.status)
    assert caught.value.remedy


def test_a_session_that_has_ended_is_begun_again(own: Product, authority: Path) -> None:
    with (
        Client(address(own), user="ada", password=PASSWORD, ca=authority) as plant,
        Client(address(own), user="ada", password=PASSWORD, ca=authority) as other,
    ):
        plant.points()
        other.points()
        other._wire.headers = dict(plant._wire.headers)
        other.close()

        assert len(plant.history(SPEED, "1h")) >= 0
        assert plant.sql("SELECT 1 AS one").numpy()["one"].tolist() == [1]


def test_no_session_is_left_behind(own: Product, authority: Path) -> None:
    plant = Client(address(own), user="ada", password=PASSWORD, ca=authority)
    with plant:
        plant.points()
        cookie = dict(plant._wire.headers)
    late = Client(address(own), user="ada", password=PASSWORD, ca=authority)
    late._wire.headers = cookie

    with late._wire.ask("GET", "/session") as answer:
        assert "login" == answer.json()["state"]
    late.close()


def test_a_user_or_none_as_the_address_needs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="user"):
        Client("https://plant-pc.local")
    with pytest.raises(ValueError, match="user"):
        Client(home=tmp_path, user="ada", password=PASSWORD)


# --- import


CSV = "time;name;value\n{}\n"


def test_an_import_asks_checks_and_then_takes_in(
    own: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local time needs its zone; the comma of these numbers leaves no doubt."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", own.environment["XDG_RUNTIME_DIR"])
    file = tmp_path / "old.csv"
    rows = [f"2026-03-01 00:00:0{second};{SPEED};{second},5" for second in range(5)]
    file.write_text(CSV.format("\n".join(rows)))
    with Client(home=own.home) as plant:
        with pytest.raises(Problem) as caught:
            plant.import_file(file)
        assert "import_open" == caught.value.code
        assert ["zone"] == [name for name, _ in caught.value.errors]

        done = plant.import_file(file, zone="Europe/Berlin")

        told = plant.history(SPEED, "2026-02-28T22:00:00Z", "2026-03-01T00:00:00Z").pandas()
    assert ("done", 5) == (done.state, done.samples)
    assert [SPEED] == done.points.pandas()["path"].tolist()
    assert [0.5, 1.5, 2.5, 3.5, 4.5] == told["value"].tolist()
    assert "2026-02-28 23:00:00+00:00" == str(told["time"].iloc[0])


def test_an_import_with_a_bad_row_takes_nothing_in(
    own: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", own.environment["XDG_RUNTIME_DIR"])
    file = tmp_path / "bad.csv"
    times = [f"2026-04-01T00:00:0{second}Z" for second in range(3)]
    rows = [
        f"{time};{SPEED};{value}" for time, value in zip(times, ("1,5", "x", "2,5"), strict=True)
    ]
    file.write_text(CSV.format("\n".join(rows)))
    with Client(home=own.home) as plant:
        with pytest.raises(Problem) as caught:
            plant.import_file(file)

        told = plant.history(SPEED, "2026-04-01T00:00:00Z", "2026-04-02T00:00:00Z")
    assert "import_rejected" == caught.value.code
    assert 1 == len(caught.value.errors)
    assert 0 == len(told)


# --- a node that is away for a moment


def test_a_download_goes_on_when_core_has_died(
    own: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages before and after are of one snapshot: nothing is lost or doubled."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", own.environment["XDG_RUNTIME_DIR"])
    assert socket_folder(own.home).is_dir()
    killed: list[int] = []

    def kill_once(_rows: int, _share: float) -> None:
        if not killed:
            killed.append(own.kill("core"))

    with Client(home=own.home) as plant:
        plant.rows_at_once = 25
        told = plant.history("*/P-101/*", "1h", progress=kill_once)
        plant.rows_at_once = 100_000
        again = plant.history("*/P-101/*", "2h", as_of=told.sequence)

    first = int(told.table().columns["time"].data.min())
    assert killed
    assert len(told) == (again.table().columns["time"].data >= first).sum()
    assert told.polars().equals(again.polars())


def test_what_must_not_be_repeated_raises_at_once(
    own: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", own.environment["XDG_RUNTIME_DIR"])
    with Client(home=own.home) as plant:
        plant.points()
        own.kill("core")
        with pytest.raises((BrokenOff, Unreachable)):
            plant._session.post(
                "/exports", {"path": "", "from": "0", "to": "1"}, is_repeatable=False
            )
