"""Record: what is known of one import, as a file beside the file that is imported.

It is written whole and durably at each change of state, so that after a crash of whatever
process the import goes on from the state that stands there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from penstock.world import Disk

STATE = "state.json"
VERSION = 1
WORKING = frozenset({"looking", "checking", "sending"})
"""States in which compute is at work, or waited for."""
ENDED = frozenset({"done", "failed", "cancelled"})
STARTABLE = frozenset({"ready", "checked", "rejected", "failed", "cancelled"})


@dataclass(slots=True)
class ImportRecord:
    """One import. States: looking, open, ready, checking, checked, rejected, sending, ENDED."""

    id: str
    principal: str
    name: str
    file_bytes: int
    created_ns: int
    incarnation: int
    key: str = ""
    state: str = "looking"
    options: dict[str, Any] = field(default_factory=dict)
    look: dict[str, Any] = field(default_factory=dict)
    open_names: list[dict[str, Any]] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    checked: dict[str, Any] = field(default_factory=dict)
    prepared: str = ""
    prepared_options: dict[str, Any] = field(default_factory=dict)
    is_dry_run: bool = False
    has_sent: bool = False
    code: str = ""
    detail: str = ""
    ended_ns: int = 0

    @property
    def questions(self) -> list[dict[str, Any]]:
        """What is open, by the look, by the check and by the names."""
        found = [*self.look.get("questions", ()), *self.checked.get("questions", ())]
        return found + self._questions_of_names()

    def _questions_of_names(self) -> list[dict[str, Any]]:
        questions: list[dict[str, Any]] = []
        if self.names.get("unknown"):
            questions.append(
                {
                    "id": "names",
                    "text": f"{self.names['unknown']} names of the file are no points: say which "
                    "points they are, or leave them out with `skip_unknown`.",
                    "choices": [],
                    "examples": [],
                }
            )
        if self.names.get("other_unit"):
            questions.append(
                {
                    "id": "ignore_units",
                    "text": f"{self.names['other_unit']} columns have another unit than their "
                    "points; values are never converted. Take them as they are?",
                    "choices": [
                        {"value": "true", "meaning": "the file only writes it differently"}
                    ],
                    "examples": [],
                }
            )
        return questions

    def save(self, disk: Disk, folder: Path) -> None:
        """Durably; for a thread."""
        document = {"version": VERSION, **asdict(self)}
        disk.write_whole(folder / STATE, [orjson.dumps(document)])

    @classmethod
    def load(cls, disk: Disk, folder: Path) -> ImportRecord | None:
        """None if nothing whole is there: an upload that was cut off."""
        try:
            document = orjson.loads(disk.read(folder / STATE))
        except (FileNotFoundError, orjson.JSONDecodeError):
            return None
        document.pop("version")
        return cls(**document)
