"""What apply would do, as a pure function: who a point is outlives what it is called."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from small_plant import NODE, SYSTEM, after, entry, plan, plant

from penstock.config import AssetEntry, Plant
from penstock.model import ValueKind
from penstock.registry.plan import StoredPoint, asset_id

ID = UUID(int=5)


def test_a_new_point_gets_an_id_and_a_handle() -> None:
    done = plan([], plant(entry("w/a"), entry("w/b")))

    assert [1, 2] == [point.handle for point in done.points]
    assert done.points == done.added
    assert {point.id for point in done.points} == set(done.ids.values())
    assert {"plant/points/p.csv:w/a", "plant/points/p.csv:w/b"} == set(done.ids)


def test_an_id_of_the_file_is_taken_as_it_is() -> None:
    """A plant folder that is copied to another node brings its identities along."""
    done = plan([], plant(entry("w/a", id_=ID)))

    assert ID == done.points[0].id
    assert {} == done.ids


def test_the_same_plant_again_changes_nothing() -> None:
    desired = plant(entry("w/a"), fed=[entry("w/b")])
    stored = after([], plan([], desired, [SYSTEM], {"w/b": 1_000_000_000}))

    done = plan(stored, desired, [SYSTEM], {"w/b": 1_000_000_000})

    assert ((), (), ()) == (done.added, done.changed, done.removed)


def test_a_rename_keeps_id_and_handle() -> None:
    stored = after([], plan([], plant(entry("w/a", id_=ID), entry("w/b"))))

    done = plan(stored, plant(entry("w/renamed", id_=ID), entry("w/b")))

    assert (("w/a", "w/renamed"),) == done.renamed
    assert [(ID, 1)] == [(point.id, point.handle) for point in done.changed]
    assert () == done.added == done.removed


def test_only_a_point_of_a_connector_can_be_written() -> None:
    """A list of points alone leads to no device, whatever its column says."""
    loose, fed = replace(entry("w/a"), writable=True), replace(entry("w/b"), writable=True)

    done = plan([], plant(loose, fed=[fed, entry("w/c")]))

    writable = {point.path: point.writable for point in done.points}
    assert {"w/a": False, "w/b": True, "w/c": False} == writable


def test_two_points_can_swap_their_names() -> None:
    other = UUID(int=6)
    stored = after([], plan([], plant(entry("w/a", id_=ID), entry("w/b", id_=other))))

    done = plan(stored, plant(entry("w/b", id_=ID), entry("w/a", id_=other)))

    assert {("w/b", 1), ("w/a", 2)} == {(point.path, point.handle) for point in done.points}


def test_a_file_without_ids_keeps_its_points_by_path() -> None:
    """The ids could not be written (read-only folder); history is kept all the same."""
    stored = after([], plan([], plant(entry("w/a"))))

    done = plan(stored, plant(entry("w/a")))

    assert stored[0].point == done.points[0]
    assert done.ids["plant/points/p.csv:w/a"] == stored[0].point.id


def test_a_path_whose_point_went_elsewhere_is_a_new_point() -> None:
    stored = after([], plan([], plant(entry("w/a", id_=ID))))

    done = plan(stored, plant(entry("w/moved", id_=ID), entry("w/a")))

    assert {ID: "w/moved", done.added[0].id: "w/a"} == {p.id: p.path for p in done.points}
    assert 2 == done.added[0].handle


def test_a_point_keeps_its_kind_for_life() -> None:
    stored = after([], plan([], plant(entry("w/a", id_=ID))))

    done = plan(stored, plant(entry("w/a", ValueKind.INT, ID)))

    assert ["plant/points/p.csv:w/a"] == [problem.place for problem in done.problems]
    assert "kind int, but its history has float" in done.problems[0].message


def test_the_kind_is_kept_beyond_a_removal() -> None:
    stored = [StoredPoint(plan([], plant(entry("w/a", id_=ID))).points[0], removed_ns=9)]

    assert 1 == len(plan(stored, plant(entry("w/a", ValueKind.TEXT, ID))).problems)


def test_a_removed_point_comes_back_by_its_id() -> None:
    first = after([], plan([], plant(entry("w/a", id_=ID), entry("w/b"))))
    gone = plan(first, plant(entry("w/b", id_=first[1].point.id)))
    buried = after(first, gone)

    back = plan(buried, plant(entry("w/again", id_=ID)))

    assert [ID] == [point.id for point in gone.removed]
    assert [(ID, 1)] == [(point.id, point.handle) for point in back.added]


def test_a_buried_name_does_not_give_its_identity_away() -> None:
    first = after([], plan([], plant(entry("w/a", id_=ID))))
    buried = after(first, plan(first, plant()))

    assert ID != plan(buried, plant(entry("w/a"))).points[0].id


@given(st.lists(st.sets(st.sampled_from("abcdefgh")), max_size=6))
def test_a_handle_is_never_given_twice(plants: list[set[str]]) -> None:
    stored: list[StoredPoint] = []
    owner: dict[int, UUID] = {}
    for names in plants:
        done = plan(stored, plant(*(entry(f"w/{name}") for name in sorted(names))))
        stored = after(stored, done)
        for point in done.points:
            assert point.id == owner.setdefault(point.handle, point.id)

    assert len(stored) == len({item.point.handle for item in stored})


def test_assets_that_only_a_path_names_are_there() -> None:
    desired = Plant(
        assets=(AssetEntry("w/pump house", "area", "assets.toml"),),
        points=(entry("w/pump house/p1/speed"), entry("single/p")),
    )

    tree = {asset.path: asset for asset in plan([], desired, [SYSTEM]).assets}

    assert {
        "w", "w/pump house", "w/pump house/p1", "single",
        "system", "system/node", "system/node/plc", "system/node/plc/dev",
    } == set(tree)  # fmt: skip
    assert ("enterprise", "area", "work_unit", "component") == (
        tree["w"].level,
        tree["w/pump house"].level,
        tree["w/pump house/p1"].level,
        tree["system/node"].level,
    )
    assert asset_id("w") == tree["w"].id


def test_the_connector_says_how_often_it_reads() -> None:
    done = plan([], plant(entry("w/loose"), fed=[entry("w/fed")]), periods={"w/fed": 500})

    assert [("w/fed", "plc", 500), ("w/loose", None, None)] == [
        (point.path, point.connector, point.period_ns) for point in done.points
    ]


def test_the_nodes_own_points_have_the_same_id_at_every_start() -> None:
    one, two = plan([], plant(), [SYSTEM]), plan([], plant(entry("w/a")), [SYSTEM])

    assert one.points[0].id == two.points[-1].id
    assert NODE != one.points[0].id
    assert ("dev", "plc") == (one.points[0].device, one.points[0].connector)


def test_an_id_of_the_nodes_own_point_is_refused() -> None:
    """Two sources under one handle would mix their histories for ever."""
    own = plan([], plant(), [SYSTEM]).points[0].id

    done = plan([], plant(entry("w/a", id_=own)), [SYSTEM])

    assert ["plant/points/p.csv:w/a"] == [problem.place for problem in done.problems]
    assert [SYSTEM.path] == [point.path for point in done.points]
