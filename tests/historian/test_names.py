"""A name of a segment means one file, as long as anything knows the file by its name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from compacted import FOLDER, HOUR_NS, Played
from strategies import BASE_NS, frame_of
from test_swap import ORIGIN, T0, Plant, S

from penstock.historian import Historian, HistorianSettings
from penstock.historian.manifest import encode_manifest, manifest_name
from penstock.historian.names import taken_names
from penstock.historian.repair import keep_in_quarantine
from penstock.model import Batch
from penstock.testing import frame

DATA = FOLDER.parent


def again_from_the_first_record(plant: Plant) -> Historian:
    """The log has lost all, and gives its sequences again, to other rows; one more flush."""
    historian = Historian.open(plant.disk, FOLDER, HistorianSettings())
    historian.resume(0)
    historian.append(Batch(ORIGIN, 1, (frame(1, [T0 + 9 * S], [9.0]),)), 1, T0 + 9 * S)
    historian.seal(incarnation=2)
    historian.adopt(historian.write())
    return historian


def test_a_flush_leaves_the_files_of_the_older_manifest_alone() -> None:
    """Their rows count when the newest manifest is damaged."""
    plant = Plant(1)
    old = plant.historian.manifest.segments[0].name
    plant.historian.swap(plant.proposal())
    content = plant.disk.read(FOLDER / old)
    historian = again_from_the_first_record(plant)

    assert old not in {info.name for info in historian.manifest.segments}
    assert plant.disk.list(FOLDER).count(old) == 0 or content == plant.disk.read(FOLDER / old)


def test_a_flush_passes_by_a_name_that_only_the_older_manifest_lists() -> None:
    """The doctor removes a replaced file at once."""
    plant = Plant(1)
    old = plant.historian.manifest.segments[0].name
    plant.historian.swap(plant.proposal())
    plant.disk.remove(FOLDER / old)
    historian = again_from_the_first_record(plant)

    assert old not in {info.name for info in historian.manifest.segments}


def test_a_flush_passes_by_a_name_of_the_quarantine() -> None:
    plant = Plant(1)
    old = plant.historian.manifest.segments[0].name
    keep_in_quarantine(plant.disk, DATA, FOLDER / old)
    plant.historian.swap(plant.proposal())
    plant.historian.forget_replaced()
    assert old not in plant.disk.list(FOLDER)
    historian = again_from_the_first_record(plant)

    assert old not in {info.name for info in historian.manifest.segments}


def played() -> Played:
    made = Played()
    for part in range(2):
        rows = [(1, BASE_NS + n * 10**9 + part * HOUR_NS, 1.5, 192, 0) for n in range(100)]
        made.play(frame_of("float", list(rows)))
        made.play("flush")
    return made


@pytest.mark.parametrize("where", ["manifest", "quarantine"])
def test_a_compaction_passes_by_a_name_that_something_knows(where: str) -> None:
    first, second = played(), played()
    first.play("compact")
    (info,) = first.historian.manifest.segments
    if where == "quarantine":
        second.disk.make_folder(DATA / "quarantine")
        second.disk.write_whole(DATA / "quarantine" / f"00000001-{info.name}", [b"damaged"])
    else:
        manifest = second.historian.manifest
        older = replace(manifest, version=0, segments=(info,))
        second.disk.write_whole(FOLDER / manifest_name(0), encode_manifest(older))
    second.play("compact")
    (other,) = second.historian.manifest.segments

    assert replace(info, generation=info.generation + 2) == other


def test_names_of_a_folder() -> None:
    """A manifest that cannot be read names nothing, and stops nothing."""
    plant = Plant(2)
    disk = plant.disk
    disk.write_whole(FOLDER / manifest_name(0), [b"no manifest"])
    listed = {info.name for info in plant.historian.manifest.segments}

    assert {*listed, "mine"} <= taken_names(disk, FOLDER, ["mine"])


def test_damage_of_a_file_that_went_is_not_that_of_another_one() -> None:
    plant = Plant(1)
    info = plant.historian.manifest.segments[0]
    plant.disk.flip_bit(FOLDER / info.name, info.table_offset + 3, 1)
    plant.values()
    store = plant.historian._store
    assert {info.name} == set(store.damage)
    store.forget(info.name)

    assert {} == store.damage


def test_a_flush_that_fails_leaves_no_file() -> None:
    plant = Plant(1)
    before = plant.disk.list(FOLDER)
    plant.append()
    plant.disk.capacity_bytes = plant.disk.used_bytes() + 100
    plant.historian.seal(incarnation=1)
    with pytest.raises(OSError, match="full"):
        plant.historian.write()
    after = plant.disk.list(FOLDER)
    plant.disk.capacity_bytes = None
    plant.historian.adopt(plant.historian.write())

    assert [name for name in before if name.endswith(".seg")] == [
        name for name in after if name.endswith(".seg")
    ]
    assert 2 == len(plant.historian.manifest.segments)
