"""Keys and certificates: made once, private, renewed in time, a loss said clearly."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from penstock.model import ConfigError
from penstock.model.time import DAY_NS
from penstock.security import key_folder, open_keys
from penstock.security.certificates import Certificates, Chain
from penstock.testing import FakeClock


def test_identity_stays(tmp_path: Path) -> None:
    first, second = open_keys(tmp_path / "k"), open_keys(tmp_path / "k")

    assert first.node == second.node
    assert second.verify(first.sign(b"x"), b"x")
    assert not second.verify(first.sign(b"x"), b"y")
    assert first.node.version == 7


def test_nobody_else_may_read(tmp_path: Path) -> None:
    open_keys(tmp_path / "k")
    (tmp_path / "k" / "node.key").chmod(0o644)

    open_keys(tmp_path / "k")

    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "k").iterdir()}
    assert modes == {0o600}
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["node.key", "node.id", "rows.key"])
def test_lost_key_is_never_made_anew(tmp_path: Path, name: str) -> None:
    """A new key would make all users and audit entries look forged."""
    open_keys(tmp_path / "k")
    (tmp_path / "k" / name).unlink()

    with pytest.raises(ConfigError, match="Restore the key folder"):
        open_keys(tmp_path / "k")


def test_keys_lie_outside_the_data(home: Path) -> None:
    assert key_folder("demo") == home / ".config" / "penstock" / "keys" / "demo"


@pytest.mark.slow
def test_server_certificate_is_renewed_into_the_live_context(tmp_path: Path) -> None:
    clock = FakeClock()
    made = Certificates(tmp_path, ["plant.example"], clock)
    context = made.context()
    before = (tmp_path / "server.crt").read_bytes()
    authority = made.authority.read_bytes()

    clock.advance(59 * DAY_NS)
    early = made.renew_if_due()
    clock.advance(2 * DAY_NS)
    late = made.renew_if_due()

    assert (early, late) == (False, True)
    assert made.context() is context
    assert (tmp_path / "server.crt").read_bytes() != before
    assert made.authority.read_bytes() == authority
    assert [(item.name, item.days_left) for item in made.status()][1] == ("server", 90)


@pytest.mark.slow
def test_new_name_makes_a_new_certificate(tmp_path: Path) -> None:
    clock = FakeClock()
    Certificates(tmp_path, [], clock).context()
    before = (tmp_path / "server.crt").read_bytes()

    Certificates(tmp_path, ["10.0.0.7"], clock).context()

    assert (tmp_path / "server.crt").read_bytes() != before


def test_customers_certificate_that_does_not_load_is_named(tmp_path: Path) -> None:
    (tmp_path / "own.crt").write_text("nonsense")
    own = Chain(tmp_path / "own.crt", tmp_path / "own.key")

    with pytest.raises(ConfigError, match=r"own\.crt"):
        Certificates(tmp_path, [], FakeClock(), own).context()


@pytest.mark.slow
def test_old_tls_is_not_spoken(tmp_path: Path) -> None:
    context = Certificates(tmp_path, [], FakeClock()).context()

    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert all("ECDHE" in c["name"] or c["protocol"] == "TLSv1.3" for c in context.get_ciphers())
