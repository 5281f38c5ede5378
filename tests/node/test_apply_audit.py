"""What the audit says of an apply: which limit was what, and what it is now."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

from penstock.config.plant import ConnectorEntry, Plant
from penstock.model import Point, ValueKind
from penstock.node.core.apply import Prepared
from penstock.node.core.apply_audit import NAMES_MAX, changes_of
from penstock.registry.plan import RegistryPlan
from penstock.rules.config import LoadedRules
from penstock.rules.rule import LimitRule, Rule, RuleTexts, Side

LEVEL = Point(UUID(int=1), 1, "W/T-1/level", "W/T-1", "level", ValueKind.FLOAT, "m", high=5.0)
HIGH = LimitRule(
    id=UUID(int=9),
    name="High",
    point=LEVEL.id,
    side=Side.HIGH,
    level=4.0,
    texts=RuleTexts({"en": "Full."}, {"en": "It overflows."}, {"en": "Stop the pump."}),
    time_to_respond_s=600.0,
)
LINE = ConnectorEntry("plc", "modbus", "plc.toml", {"host": "10.0.0.1", "password": "geheim"}, ())


def prepared(
    points: tuple[Point, ...], rules: tuple[Rule, ...] = (), line: ConnectorEntry = LINE
) -> Prepared:
    registry = RegistryPlan((), points, (), (), (), (), {}, ())
    return Prepared(Plant(connectors=(line,)), registry, LoadedRules(rules, ()), (), {}, ())


def test_a_changed_limit_is_there_with_its_path_and_both_values() -> None:
    old, new = changes_of(
        prepared((LEVEL,), (HIGH,)), prepared((LEVEL,), (replace(HIGH, level=4.5),))
    )

    assert {"rules": {"W/T-1/level: High": {"level": 4.0}}} == old
    assert {"W/T-1/level: High": {"level": 4.5}} == new["rules"]
    assert (0, 1, 0) == (new["rules_added"], new["rules_changed"], new["rules_removed"])
    assert 0 == new["points_changed"]


def test_what_comes_and_goes_is_named() -> None:
    other = replace(LEVEL, id=UUID(int=2), handle=2, path="W/T-2/level")

    old, new = changes_of(prepared((LEVEL,), (HIGH,)), prepared((other,)))

    assert ["W/T-2/level"] == new["points_added_names"]
    assert {
        "points_removed_names": ["W/T-1/level"],
        "rules_removed_names": ["W/T-1/level: High"],
    } == old


def test_a_changed_point_says_its_fields() -> None:
    old, new = changes_of(prepared((LEVEL,)), prepared((replace(LEVEL, high=6.0, unit="cm"),)))

    assert {"W/T-1/level": {"unit": "m", "high": 5.0}} == old["points"]
    assert {"W/T-1/level": {"unit": "cm", "high": 6.0}} == new["points"]


def test_settings_of_a_connector_are_named_and_never_shown() -> None:
    changed = replace(LINE, settings={"host": "10.0.0.1", "password": "anders", "port": 502})

    old, new = changes_of(prepared((LEVEL,)), prepared((LEVEL,), line=changed))

    assert {"plc": {"settings": ["password"]}} == old["connectors"]
    assert {"plc": {"settings": ["password", "port"]}} == new["connectors"]
    assert "anders" not in json.dumps([old, new])
    assert "geheim" not in json.dumps([old, new])


def test_names_are_bounded_and_counts_are_not() -> None:
    many = tuple(
        replace(LEVEL, id=UUID(int=n), handle=n, path=f"W/p{n}") for n in range(1, 3 * NAMES_MAX)
    )

    _, new = changes_of(None, prepared(many))
    names = new["points_added_names"]

    assert len(many) == new["points_added"]
    assert isinstance(names, list)
    assert NAMES_MAX == len(names)


def test_nothing_changed_is_no_old_value() -> None:
    old, _ = changes_of(prepared((LEVEL,), (HIGH,)), prepared((LEVEL,), (HIGH,)))

    assert {} == old
