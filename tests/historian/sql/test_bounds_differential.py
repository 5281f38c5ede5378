"""Push-down against itself: any WHERE gives the same rows with bounds and without."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sql_kit import HOUR, T0, Plant, ask

from penstock.historian import Historian, HistorianSettings
from penstock.model import Refused
from penstock.world import SystemDisk

# Steps around what FLOAT, DOUBLE, microseconds, milliseconds and seconds can tell apart.
STEPS = (0, 1, 60, 127, 128, 256, 999, 1_000, 1_500, 999_999, 1_000_000, 10**9, 2**37, HOUR)
NUMBERS = ("BIGINT", "HUGEINT", "UBIGINT", "UHUGEINT", "DOUBLE", "FLOAT", "DECIMAL(38,2)")
STAMPS = (
    "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMPTZ", "DATE", "VARCHAR",
)  # fmt: skip
RELATIONS = ("=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM")
ABOUT_POINTS = (
    "name = 'level'", "path LIKE 'plant/tank/%'", "unit IS NULL", "name <> unit", "simulated",
    "point IN (SELECT id FROM points WHERE unit = 'm')", "name IN ('level', NULL)",
    "coalesce(unit, 'x') = 'm'", "path = any(['plant/pump/flow'])", "NOT (name = 'flow')",
    "value > 1", "value_int IS NULL", "quality = 'good'", "sequence = 1", "NULL", "true",
)  # fmt: skip

moments = st.builds(
    lambda step, sign, off: T0 + sign * step + off,
    st.sampled_from(STEPS),
    st.sampled_from((-1, 1)),
    st.integers(-1, 1),
)
numbers = st.one_of(
    st.builds("{}::{}".format, moments, st.sampled_from(NUMBERS)),
    st.builds("{}{}".format, moments, st.sampled_from(("", ".4", ".5", "e0"))),
    st.sampled_from(("NULL", "'5'", "1e30", "-1e30", "true", "-5", f"{T0} + 60", f"{T0} * 1.0")),
)
stamps = st.one_of(
    st.builds("make_timestamp_ns({})::{}".format, moments, st.sampled_from(STAMPS)),
    st.sampled_from(("'2026-09-21'", "'epoch'", "DATE '2026-09-22'", "now()", "NULL")),
)


def compared(column: str, constants: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    relation = st.sampled_from(RELATIONS)
    return st.one_of(
        st.builds(f"{column} {{}} {{}}".format, relation, constants),
        st.builds(f"{{}} {{}} {column}".format, constants, relation),
        st.builds(f"{column} BETWEEN {{}} AND {{}}".format, constants, constants),
        st.builds(f"{column} NOT BETWEEN {{}} AND {{}}".format, constants, constants),
        st.builds(f"{column} IN ({{}}, {{}})".format, constants, constants),
        st.builds(f"{column} NOT IN ({{}}, {{}})".format, constants, constants),
    )


conditions = st.recursive(
    st.one_of(
        compared("time_ns", numbers), compared("time", stamps), st.sampled_from(ABOUT_POINTS)
    ),
    lambda inner: st.one_of(
        st.builds("({} AND {})".format, inner, inner),
        st.builds("({} OR {})".format, inner, inner),
        st.builds("NOT ({})".format, inner),
    ),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """Rows of three points at all steps before and after T0."""
    folder = tmp_path_factory.mktemp("steps") / "segments"
    plant = Plant(Historian.open(SystemDisk(), folder, HistorianSettings()))
    time_ns = sorted({T0 + sign * step for step in STEPS for sign in (-1, 1)})
    plant.put(1, time_ns, [float(n) for n in range(len(time_ns))])
    plant.flush()
    plant.put(2, time_ns, [1.5] * len(time_ns))
    plant.put(3, time_ns, list(range(len(time_ns))))
    return plant


def rows_of(plant: Plant, where: str, *, is_bounded: bool) -> object:
    sql = f"SELECT path, time_ns FROM samples WHERE {where} ORDER BY ALL"
    try:
        return ask(plant, sql, is_bounded=is_bounded).rows
    except Refused as refused:
        return refused.code


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(where=conditions)
@example(where=f"time_ns >= {T0 + 60}::DOUBLE")
@example(where=f"time_ns = {T0 + 60}::FLOAT")
@example(where=f"time_ns IN ({T0 + 60}, {T0 + HOUR}::DOUBLE)")
@example(where=f"time_ns BETWEEN {T0 + 60} AND {T0 + HOUR}::DOUBLE")
@example(where=f"{T0 - 60}::FLOAT >= time_ns")
def test_any_condition_gives_the_same_rows_with_bounds(steps: Plant, where: str) -> None:
    whole = rows_of(steps, where, is_bounded=False)
    bounded = rows_of(steps, where, is_bounded=True)

    assert whole == bounded


@pytest.mark.parametrize(
    "where",
    [
        "point IN (SELECT id FROM points USING SAMPLE 0 ROWS)",
        "path IN (SELECT path FROM points TABLESAMPLE reservoir(0 ROWS))",
        "name || current_timestamp::VARCHAR <> ''",
        "name || now()::VARCHAR <> ''",
        "name || random()::VARCHAR <> ''",
    ],
)
def test_what_answers_differently_each_time_bounds_nothing(steps: Plant, where: str) -> None:
    """A bound is asked before the query: it would draw another sample, or another moment."""
    assert 1 == ask(steps, f"SELECT count(*) FROM samples WHERE {where}").counters.chunks_read


def test_a_bound_of_time_in_floating_point_still_bounds(two_days: Plant) -> None:
    where = f"name = 'level' AND time_ns >= {T0 + 5 * HOUR}::DOUBLE AND time_ns < {T0 + 6 * HOUR}"

    answer = ask(two_days, f"SELECT count(*) FROM samples WHERE {where}")

    assert [(3_600,)] == answer.rows
    assert answer.counters.chunks_read <= 2
