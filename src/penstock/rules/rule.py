"""Rules: conditions on one point that become alarms.

A rule without cause, consequence, response and time to respond cannot be made:
an alarm that tells nobody what to do is noise (ISA-18.2, rationalisation).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID, uuid5

from penstock.model.system_path import CONNECTED, split_connected

if TYPE_CHECKING:
    from collections.abc import Mapping

RULE_NAMESPACE = UUID("5f0c2d52-6f0b-5a35-9d5e-6a1f0b3c7e10")
LANGUAGE_DEFAULT = "en"


class Side(Enum):
    """On which side of its level a limit is violated."""

    HIGH = "high"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class RuleTexts:
    """What an operator is told, by language; English is always there."""

    cause: Mapping[str, str]
    consequence: Mapping[str, str]
    response: Mapping[str, str]

    def __post_init__(self) -> None:
        assert all(texts.get(LANGUAGE_DEFAULT) for texts in self.all())

    def all(self) -> tuple[Mapping[str, str], ...]:
        """The three texts in the order in which they are read."""
        return (self.cause, self.consequence, self.response)


@dataclass(frozen=True, slots=True)
class LimitRule:
    """Raised when the value is beyond `level`, returned when it is back by `hysteresis`.

    `level` and `hysteresis` keep the type they were written in, because an int64
    counter is compared in int64. Exactly at the level is not beyond it.
    """

    id: UUID
    name: str
    point: UUID
    side: Side
    level: float | int
    texts: RuleTexts
    time_to_respond_s: float
    hysteresis: float | int = 0
    on_delay_ns: int = 0
    off_delay_ns: int = 0
    priority: int = 3
    latched: bool = False
    kind: ClassVar[str] = "limit"

    def __post_init__(self) -> None:
        assert 1 <= self.priority <= 4
        assert self.hysteresis >= 0
        assert self.on_delay_ns >= 0
        assert self.off_delay_ns >= 0
        assert self.time_to_respond_s > 0


@dataclass(frozen=True, slots=True)
class CommunicationRule:
    """Built in: a device's `connected` point is 0. A low limit at 1, so nothing else differs."""

    id: UUID
    name: str
    point: UUID
    texts: RuleTexts
    time_to_respond_s: float = 600.0
    on_delay_ns: int = 0
    off_delay_ns: int = 0
    priority: int = 2
    latched: bool = False
    side: ClassVar[Side] = Side.LOW
    level: ClassVar[int] = 1
    hysteresis: ClassVar[int] = 0
    kind: ClassVar[str] = "communication"


Rule = LimitRule | CommunicationRule


def rule_id(point_path: str, name: str) -> UUID:
    """Identity of a rule that has no `id` of its own: stable as long as path and name are."""
    return uuid5(RULE_NAMESPACE, f"{point_path}#{name}")


def fingerprint(rule: Rule) -> str:
    """What makes two rules the same condition; texts and priority may change without a return."""
    parts = (
        rule.kind, rule.point, rule.side.value, repr(rule.level), repr(rule.hysteresis),
        rule.on_delay_ns, rule.off_delay_ns, rule.latched,
    )  # fmt: skip
    return "|".join(str(part) for part in parts)


def communication_rule(point: UUID, path: str) -> CommunicationRule:
    """The built-in rule of one `connected` point."""
    found = split_connected(path)
    assert found is not None, path
    node, connector, device = found
    place = {"connector": connector, "device": device, "node": node}
    return CommunicationRule(
        id=rule_id(path, CONNECTED),
        name=device if device == connector else f"{connector}/{device}",
        point=point,
        texts=RuleTexts(
            *({key: text.format(**place) for key, text in texts.items()} for texts in _TEXTS)
        ),
    )


_TEXTS: tuple[dict[str, str], ...] = (
    {
        "en": "{device} of connector {connector} does not answer.",
        "de": "{device} am Anschluss {connector} antwortet nicht.",
    },
    {
        "en": "Its values are unknown; its alarms and commands do not work.",
        "de": "Die Werte sind unbekannt; Alarme und Befehle dieses Geräts wirken nicht.",
    },
    {
        "en": "Check power, network and address of {device}.",
        "de": "Spannung, Netz und Adresse von {device} prüfen.",
    },
)
