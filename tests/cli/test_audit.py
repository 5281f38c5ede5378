"""`penstock audit`: what changed in words, and the entries of a running Penstock."""

from __future__ import annotations

import json
import time

import pytest
from product import Product

from penstock.cli.audit import change_text


def test_a_changed_limit_reads_like_a_sentence() -> None:
    old = {"rules": {"W/T-1/level: High": {"level": 4.0}}}
    new = {"rules": {"W/T-1/level: High": {"level": 4.5}}, "rules_changed": 1, "points_added": 0}

    assert "rules W/T-1/level: High level: 4.0 -> 4.5; rules_changed: 1" == change_text(old, new)


def test_what_is_gone_has_a_dash_and_what_is_plain_no_name() -> None:
    assert "unit: m -> -" == change_text({"unit": "m"}, {})
    assert "STOP -> RUN" == change_text("STOP", "RUN")
    assert "" == change_text(None, None)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_an_apply_is_in_the_audit_with_the_limit_that_changed(product: Product) -> None:
    until = time.monotonic() + 60  # the first apply, of the start itself
    while not json.loads(product.cli("read", "--all", "--json").stdout or "[]"):
        assert time.monotonic() < until
        time.sleep(0.2)
    rules = next((product.home / "plant" / "rules").glob("*.toml"))
    before = rules.read_text()
    rules.write_text(before.replace("time_to_respond_s = 3600", "time_to_respond_s = 1234", 1))
    try:
        applied = product.cli("apply", "--json")
    finally:
        rules.write_text(before)
    assert 0 == applied.returncode, applied.stderr
    assert 0 == product.cli("apply").returncode

    found = json.loads(product.cli("audit", "--since", "1h", "--json").stdout)
    said = product.cli("audit").stdout
    entry = [item for item in found if item["action"] == "configuration.apply"][-2]
    [name] = json.loads(applied.stdout)["rules_changed"]

    assert {name: {"time_to_respond_s": 1234.0}} == entry["new"]["rules"]
    assert name in said
    assert "-> 1234" in said


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_moment_that_is_none_is_a_sentence(product: Product) -> None:
    done = product.cli("audit", "--since", "yesterday")

    assert 2 == done.returncode
    assert "--since" in done.stderr
