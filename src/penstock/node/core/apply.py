"""From the plant folder to running connectors: check everything, then commit, then tell.

Nothing is changed while there is one problem; all problems of files, rules,
protocols and identities come back together.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
from pydantic import TypeAdapter

from penstock.codec.dictionary import DictionaryEntry
from penstock.config.identity import write_ids
from penstock.config.loader import FOLDER, load_plant
from penstock.model import ConfigError, ConfigProblem
from penstock.model.system_path import connected_path
from penstock.node import last_good
from penstock.node.configuration import field_document, placeholder_id, system_points
from penstock.plugin import Resolution
from penstock.rules.config import LoadedRules, load_rules, read_rule_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from penstock.config import Plant
    from penstock.log import Log
    from penstock.model.event import Json
    from penstock.node.core.field_link import FieldLink
    from penstock.node.home import Home
    from penstock.registry import Registry, Snapshot
    from penstock.registry.plan import RegistryPlan
    from penstock.world import Disk

    Document = dict[str, Json]

log = structlog.get_logger()
_RESOLUTION = TypeAdapter(Resolution)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plant that has been checked whole and could be committed."""

    plant: Plant
    registry: RegistryPlan
    rules: LoadedRules
    devices: tuple[tuple[str, str], ...]
    resolutions: Mapping[str, Resolution]
    warnings: tuple[ConfigProblem, ...]


class Applier:
    """Plan and apply of one node; one at a time."""

    def __init__(
        self,
        home: Home,
        node_name: str,
        *,
        disk: Disk,
        registry: Registry,
        data_log: Log,
        field: FieldLink,
        on_applied: Callable[[Snapshot, Prepared], None],
    ) -> None:
        self._home = home
        self._node_name = node_name
        self._disk = disk
        self._registry = registry
        self._log = data_log
        self._field = field
        self._on_applied = on_applied
        self._turn = asyncio.Lock()
        self.running: Prepared | None = None
        self.replaced: Prepared | None = None  # what ran before it

    async def plan(self, root: Path | None = None) -> Prepared:
        """Check the plant below `root` (HOME); ConfigError with every problem, nothing changed."""
        root = root or self._home.root
        plant = await asyncio.to_thread(load_plant, root)
        answer = await self._field.plan(field_document(plant, placeholder_id, ()))
        devices = _devices(answer)
        simulated = {entry.name for entry in plant.connectors if entry.simulated}
        facts = _by_path(plant, answer)
        planned = await asyncio.to_thread(  # a long list must not hold the loop up
            self._registry.plan,
            plant,
            system_points(self._node_name, devices, simulated),
            _periods(facts),
        )
        rules = await asyncio.to_thread(_rules, root, planned)
        problems = [
            *plant.problems,
            *_field_problems(answer),
            *planned.problems,
            *rules.problems,
        ]
        if any(not problem.is_warning for problem in problems):
            raise ConfigError(problems)
        resolutions = {path: _resolution(row) for path, row in facts.items()}
        return Prepared(plant, planned, rules, devices, resolutions, tuple(problems))

    async def apply(self) -> tuple[Prepared, tuple[str, ...]]:
        """Check and commit, and the files that got ids; unchanged connectors go on undisturbed."""
        async with self._turn:
            prepared = await self.plan()
            result = await self._commit(prepared)
            await asyncio.to_thread(self._remember)
            return result

    async def apply_last_good(self) -> bool:
        """Run the plant as it was applied last, while the folder has problems; False if none."""
        root = await asyncio.to_thread(last_good.restore, self._home)
        if root is None:
            return False
        async with self._turn:
            await self._commit(await self.plan(root), writes_ids=False)
        return True

    def _remember(self) -> None:
        try:
            last_good.save(self._home, self._disk)
        except OSError as error:
            log.warning("last_good_not_saved", detail=str(error))

    async def _commit(
        self, prepared: Prepared, *, writes_ids: bool = True
    ) -> tuple[Prepared, tuple[str, ...]]:
        plan = prepared.registry
        files: list[str] = []
        warnings = list(prepared.warnings)
        try:
            ids = plan.ids if writes_ids else {}
            digests = prepared.plant.digests
            files = await asyncio.to_thread(write_ids, self._home.root, ids, self._disk, digests)
        except OSError as error:
            warnings.append(
                ConfigProblem(
                    FOLDER,
                    f"ids cannot be written ({error}); renames will begin new points. "
                    "Make the folder writable and run `penstock apply`.",
                    is_warning=True,
                )
            )
        snapshot = await self._registry.commit(plan)
        await self._log_dictionary()
        self._on_applied(snapshot, prepared)
        self.replaced, self.running = self.running, prepared
        by_path = {point.path: point.id for point in snapshot.points}
        self._field.configure(
            field_document(
                prepared.plant,
                lambda entry: by_path[entry.path],
                [
                    (connector, device, by_path[connected_path(self._node_name, connector, device)])
                    for connector, device in prepared.devices
                ],
                self._node_name,
            )
        )
        return replace(prepared, warnings=tuple(warnings)), tuple(files)

    async def _log_dictionary(self) -> None:
        """Handles become known in the log before a batch can use them."""
        known = {entry.handle: entry for entry in self._log.dictionary}
        fresh = [
            entry
            for item in self._registry.all_known()
            if known.get(item.point.handle)
            != (
                entry := DictionaryEntry(
                    item.point.handle, item.point.id, item.point.kind, item.point.path
                )
            )
        ]
        if fresh:
            await self._log.append_dictionary(fresh)


def _rules(root: Path, planned: RegistryPlan) -> LoadedRules:
    return load_rules(read_rule_files(root / FOLDER / "rules"), planned.points)


def _devices(answer: Document) -> tuple[tuple[str, str], ...]:
    lines = answer["lines"]
    assert isinstance(lines, list)
    found = []
    for line in lines:
        assert isinstance(line, dict)
        devices = line["devices"]
        assert isinstance(devices, list)
        found += [(str(line["connector"]), str(device)) for device in devices]
    return tuple(found)


def _by_path(plant: Plant, answer: Document) -> dict[str, Document]:
    """What the connectors say of each point, by the point's path."""
    facts = answer["points"]
    assert isinstance(facts, dict)
    paths = {str(placeholder_id(point)): point.path for point in plant.all_points()}
    return {paths[id_]: row for id_, row in facts.items() if isinstance(row, dict)}


def _periods(facts: Mapping[str, Document]) -> dict[str, int]:
    return {
        path: period for path, row in facts.items() if isinstance(period := row["period_ns"], int)
    }


def _resolution(row: Document) -> Resolution:
    return _RESOLUTION.validate_python(row["resolution"])


def _field_problems(answer: Document) -> list[ConfigProblem]:
    problems = answer["problems"]
    assert isinstance(problems, list)
    return [
        ConfigProblem(str(item["place"]), str(item["message"]), bool(item["is_warning"]))
        for item in problems
        if isinstance(item, dict)
    ]
