"""RuleState as JSON and back, for the snapshot that is stored with a log position.

Rules are matched by identity and fingerprint: a rule that was changed meanwhile
starts afresh, but its episodes go on counting, because an episode number must
not name two alarms. Handles are never reused, so they may stand for points.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np

from penstock.rules.rule import fingerprint
from penstock.rules.table import NEVER_NS, RuleState, RuleTable, settle

if TYPE_CHECKING:
    from penstock.model.event import Json

SNAPSHOT_VERSION = 1


def export_state(table: RuleTable, state: RuleState) -> dict[str, Json]:
    """JSON of everything that cannot be derived from the table."""
    seen = np.flatnonzero(state.newest != NEVER_NS).astype("<u4")
    return {
        "version": SNAPSHOT_VERSION,
        "receive_ns": state.receive_ns,
        "handles": b64encode(seen.tobytes()).decode(),
        "newest": b64encode(state.newest[seen].astype("<i8").tobytes()).decode(),
        "bad": [int(handle) for handle in np.flatnonzero(state.is_bad)],
        "rules": [
            _export_rule(table, state, rule)
            for rule in range(len(table.rules))
            if state.episode[rule] or state.since_ns[rule] is not None
        ],
    }


def import_state(table: RuleTable, document: dict[str, Json]) -> tuple[RuleState, set[UUID]]:
    """State for `table`, and the rules of the document that are gone or changed."""
    assert document["version"] == SNAPSHOT_VERSION
    state = RuleState.fresh(table)
    receive_ns, rules = document["receive_ns"], document["rules"]
    assert isinstance(receive_ns, int)
    assert isinstance(rules, list)
    state.receive_ns = receive_ns
    _import_points(table, state, document)
    place = {rule.id: index for index, rule in enumerate(table.rules)}
    changed = set()
    for row in rules:
        assert isinstance(row, dict)
        rule_id = UUID(str(row["id"]))
        index = place.get(rule_id)
        if index is not None:
            state.episode[index] = int(str(row["episode"]))
        if index is None or row["fingerprint"] != fingerprint(table.rules[index]):
            changed.add(rule_id)
        else:
            _import_rule(state, index, row)
    for handle in {table.handle[index] for index in place.values()}:
        settle(table, state, handle)
    return state, changed


def _export_rule(table: RuleTable, state: RuleState, rule: int) -> dict[str, Json]:
    return {
        "id": str(table.rules[rule].id),
        "fingerprint": fingerprint(table.rules[rule]),
        "is_active": state.is_active[rule],
        "episode": state.episode[rule],
        "since_ns": state.since_ns[rule],
        "since_receive_ns": state.since_receive_ns[rule],
        "due_ns": state.due_ns.get(rule),
        "value": _text(state.value[rule]),
    }


def _import_rule(state: RuleState, rule: int, row: dict[str, Json]) -> None:
    since_ns, due_ns = row["since_ns"], row["due_ns"]
    state.is_active[rule] = bool(row["is_active"])
    state.since_receive_ns[rule] = int(str(row["since_receive_ns"]))
    state.value[rule] = _number(row["value"])
    if isinstance(since_ns, int) and isinstance(due_ns, int):
        state.since_ns[rule] = since_ns
        state.due_ns[rule] = due_ns


def _import_points(table: RuleTable, state: RuleState, document: dict[str, Json]) -> None:
    handles = np.frombuffer(b64decode(str(document["handles"])), "<u4")
    newest = np.frombuffer(b64decode(str(document["newest"])), "<i8")
    is_known = handles < table.handles
    state.newest[handles[is_known]] = newest[is_known]
    bad = document["bad"]
    assert isinstance(bad, list)
    for handle in bad:
        if isinstance(handle, int) and handle < table.handles:
            state.is_bad[handle] = True


def _text(value: float | int | None) -> Json:
    """Infinity has no JSON number, so that floats travel as their shortest text."""
    return repr(value) if isinstance(value, float) else value


def _number(value: Json) -> float | int | None:
    if isinstance(value, str):
        return float(value)
    assert value is None or isinstance(value, int)
    return value
