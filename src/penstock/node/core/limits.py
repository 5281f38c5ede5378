"""Limit rules as a chart and a faceplate need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.registry.views import LimitView
from penstock.rules.rule import LimitRule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from penstock.rules.rule import Rule


def limits_of(rules: Sequence[Rule], point: UUID) -> list[LimitView]:
    """Limits of one point, lowest level first."""
    found = [rule for rule in rules if isinstance(rule, LimitRule) and rule.point == point]
    return [
        LimitView(
            rule_id=str(rule.id),
            name=rule.name,
            side=rule.side.value,
            level=float(rule.level),
            priority=rule.priority,
        )
        for rule in sorted(found, key=lambda rule: rule.level)
    ]
