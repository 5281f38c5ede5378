"""Alarms as the live socket sends them: the JSON of the API, with the asset that guards it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.server.live import AlarmRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.alarms.alarm import Alarm
    from penstock.alarms.routes import AlarmAnswers
    from penstock.model.event import Json
    from penstock.security.principal import Principal


def alarm_rows(answers: AlarmAnswers, changed: Sequence[Alarm]) -> list[AlarmRow]:
    """Rows of changed alarms."""
    return [
        AlarmRow(view.id, view.asset_path, view.model_dump(mode="json"))
        for view in answers.views(changed)
    ]


def alarms_document(answers: AlarmAnswers, who: Principal) -> dict[str, Json]:
    """The whole active list, for a page that has just connected."""
    document: dict[str, Json] = answers.active(who).model_dump(mode="json")
    return {**document, "removed": [], "snapshot": True}
