# ruff: noqa: ISC004 - a list of SQL texts reads better without parentheses
"""Push-down: what a query reads, and that reading less never changes its answer."""

from __future__ import annotations

import pytest
from sql_kit import DAY, HOUR, LIMITS, POINTS, T0, Plant, ask

from penstock.historian.sql.catalogue import Catalogue, bitmap_of, handles_of
from penstock.model import Refused

FIVE = "time >= '2026-09-21T05:00:00Z' AND time < '2026-09-21T06:00:00Z'"
LEVEL_OF = "FROM samples WHERE path = 'plant/tank/level'"


def test_one_hour_of_one_point_reads_only_its_chunk(two_days: Plant) -> None:
    """Of 24 chunks of the two visible points one overlaps; count() reads no more of it."""
    answer = ask(two_days, f"SELECT count(*) {LEVEL_OF} AND {FIVE}")
    everything = ask(two_days, "SELECT count(*) FROM samples")

    assert [(3_600,)] == answer.rows
    assert 1 == answer.counters.chunks_read
    assert answer.counters.rows_read <= 3_601
    assert 24 == everything.counters.chunks_read
    assert [(2 * 2 * 86_400,)] == everything.rows


@pytest.mark.parametrize(
    "where",
    [
        f"path = 'plant/tank/level' AND {FIVE}",
        f"path LIKE 'plant/tank/%' AND {FIVE}",
        f"regexp_matches(path, 'tank.*l$') AND {FIVE}",
        f"point = '00000000-0000-0000-0000-000000000001' AND {FIVE}",
        f"name IN ('level', 'nothing') AND {FIVE}",
        f"unit = 'm' AND {FIVE}",
        f"point IN (SELECT id FROM points WHERE unit = 'm') AND {FIVE}",
        f"split_part(path, '/', 2) = 'tank' AND {FIVE}",
        f"path = 'plant/tank/level' AND time_ns >= {T0 + 5 * HOUR} AND {T0 + 6 * HOUR} > time_ns",
        f"name = 'level' AND time_ns BETWEEN {T0 + 5 * HOUR} AND {T0 + 6 * HOUR} - 1",
        "name = 'level' AND time >= timestamp '2026-09-21 04:00' + INTERVAL 1 HOUR "
        "AND time < timestamptz '2026-09-21 08:00:00+02'",
        f"(name = 'level' AND {FIVE}) OR (name = 'level' AND time_ns = {T0 + 5 * HOUR})",
    ],
)
def test_a_bound_in_any_usual_form_is_used(two_days: Plant, where: str) -> None:
    answer = ask(two_days, f"SELECT count(*) FROM samples WHERE {where}")

    assert [(3_600,)] == answer.rows
    assert 1 == answer.counters.chunks_read


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT count(*) FROM samples s JOIN points p ON s.point = p.id "
        f"WHERE p.unit = 'm' AND s.{FIVE.replace('AND ', 'AND s.')}",
        f"SELECT count(*) FROM points p JOIN samples s USING (path) "
        f"WHERE p.unit = 'm' AND s.{FIVE.replace('AND ', 'AND s.')}",
        f"WITH hour AS (SELECT * FROM samples WHERE name = 'level' AND {FIVE}) "
        "SELECT count(*) FROM hour",
        f"SELECT (SELECT count(*) FROM samples WHERE name = 'level' AND {FIVE}) AS rows",
    ],
)
def test_a_bound_is_used_behind_joins_and_in_subqueries(two_days: Plant, sql: str) -> None:
    answer = ask(two_days, sql)

    assert [(3_600,)] == answer.rows
    assert 1 == answer.counters.chunks_read


def test_each_reference_has_its_own_bound_and_what_lies_between_is_not_read(
    two_days: Plant,
) -> None:
    sql = (
        "SELECT a.value, b.value FROM samples a JOIN samples b USING (path) "
        f"WHERE path = 'plant/tank/level' AND a.time_ns = {T0} "
        f"AND b.path = 'plant/tank/level' AND b.time_ns = {T0 + DAY + 20 * HOUR}"
    )

    answer = ask(two_days, sql)

    assert 1 == len(answer.rows)
    assert answer.counters.chunks_read <= 4
    assert answer.counters.rows_read <= 4


def test_now_is_one_moment_for_bounds_and_answer(two_days: Plant) -> None:
    answer = ask(two_days, "SELECT count(*) FROM samples WHERE time > now() - INTERVAL 1 HOUR")

    assert 0 == answer.counters.chunks_read or answer.rows[0][0] > 0


def test_limit_ends_the_reading(two_days: Plant) -> None:
    assert 1 == ask(two_days, "SELECT value FROM samples LIMIT 1").counters.chunks_read


def test_points_alone_read_no_sample(two_days: Plant) -> None:
    answer = ask(two_days, "SELECT count(*), count(DISTINCT asset) FROM points")

    assert [(4, 2)] == answer.rows
    assert 0 == answer.counters.chunks_read


def test_what_is_too_wide_is_refused_with_the_missing_bound(two_days: Plant) -> None:
    limits = LIMITS.model_copy(update={"rows_read_max": 100_000})

    with pytest.raises(Refused) as no_bound:
        ask(two_days, "SELECT avg(value) FROM samples", limits=limits)
    with pytest.raises(Refused) as no_time:
        ask(two_days, "SELECT avg(value) FROM samples WHERE name = 'level'", limits=limits)
    with pytest.raises(Refused) as no_point:
        ask(two_days, "SELECT avg(value) FROM samples WHERE time_ns > 0", limits=limits)

    assert "sql_too_wide" == no_bound.value.code
    assert "time span" in no_bound.value.detail
    assert "path LIKE" in no_bound.value.detail
    assert "path LIKE" not in no_time.value.detail
    assert "time span" in no_time.value.detail
    assert "path LIKE" in no_point.value.detail


def test_a_reference_inside_a_join_on_itself_counts_each_time(two_days: Plant) -> None:
    """The estimate lets it begin; the second reading of the same rows goes over the limit."""
    limits = LIMITS.model_copy(update={"rows_read_max": 200_000})
    sql = (
        "SELECT count(*) FROM samples a, samples b "
        "WHERE a.name = 'level' AND b.name = 'level' AND a.time = b.time"
    )

    with pytest.raises(Refused) as refused:
        ask(two_days, sql, limits=limits)

    assert "sql_too_wide" == refused.value.code


# --- fewer rows read, the same answer

SMALL = """SELECT * EXCLUDE (sequence) FROM samples s {where} ORDER BY ALL"""
OTHER = "(VALUES ('plant/tank/level', 1), ('nowhere', 2)) AS o(path, n)"
EQUAL = [
    SMALL.format(where=f"WHERE s.time_ns = {T0} OR name = 'flow' AND time_ns < {T0 + 10**9}"),
    SMALL.format(where=f"WHERE NOT (name = 'flow') AND time_ns IN ({T0}, {T0 + DAY})"),
    f"SELECT o.n, s.value FROM {OTHER} LEFT JOIN samples s "
    f"ON s.path = o.path AND s.time_ns = {T0} ORDER BY ALL",
    f"SELECT o.n, s.value FROM {OTHER} LEFT JOIN samples s "
    f"ON s.path = o.path AND s.time_ns = {T0} WHERE s.path IS NULL ORDER BY ALL",
    f"SELECT o.n, s.value FROM {OTHER} LEFT JOIN (FROM samples WHERE time_ns = {T0}) s "
    "ON s.path = o.path WHERE coalesce(s.path, 'x') = 'x' ORDER BY ALL",
    f"SELECT count(*), count(o.n) FROM samples s LEFT JOIN {OTHER} "
    f"ON s.path = o.path AND s.time_ns = {T0}",
    f"SELECT count(*), count(o.n), count(s.path) FROM samples s FULL JOIN {OTHER} "
    f"ON s.path = o.path AND s.name = 'level' AND s.time_ns = {T0}",
    f"SELECT o.n FROM {OTHER} ANTI JOIN samples s ON s.path = o.path AND s.time_ns = {T0}",
    f"SELECT o.n FROM {OTHER} SEMI JOIN samples s ON s.path = o.path AND s.time_ns = {T0}",
    f"SELECT count(*) FROM samples s ANTI JOIN {OTHER} ON s.path = o.path AND s.name = 'level'",
    f"SELECT q.t, s.time_ns FROM (VALUES ({T0 + 5}), ({T0 + DAY})) q(t) "
    f"ASOF JOIN (FROM samples WHERE name = 'level') s ON q.t >= s.time_ns "
    f"WHERE s.time_ns < {T0 + HOUR} ORDER BY ALL",
    f"SELECT q.t, s.time_ns FROM (VALUES ({T0 + 5}), ({T0 + DAY})) q(t) "
    f"ASOF JOIN samples s ON q.t >= s.time_ns WHERE s.time_ns < {T0 + HOUR} ORDER BY ALL",
    "SELECT p.path, count(s.value) FROM points p LEFT JOIN samples s "
    f"ON p.id = s.point AND s.time_ns < {T0 + HOUR} GROUP BY 1 ORDER BY 1",
    "SELECT count(*) FROM samples WHERE (name = 'level') IS NOT TRUE",
    f"SELECT count(*) FROM samples s, points p WHERE s.point = p.id AND p.unit <> s.name "
    f"AND s.time_ns < {T0 + HOUR}",
    f"SELECT a.path, count(*) FROM samples a, samples b WHERE a.point = b.point "
    f"AND a.time_ns = b.time_ns AND a.time_ns < {T0 + HOUR} AND b.name = 'flow' GROUP BY 1",
    "SELECT path, (SELECT count(*) FROM samples s WHERE s.path = p.path "
    f"AND s.time_ns < {T0 + HOUR}) FROM points p ORDER BY 1",
    f"SELECT path FROM points p WHERE EXISTS (FROM samples WHERE point = p.id AND time_ns = {T0}) "
    "ORDER BY 1",
    f"SELECT name AS path, count(*) FROM samples WHERE path = 'plant/tank/level' "
    f"AND time_ns < {T0 + HOUR} GROUP BY 1",
    "SELECT time::DATE, avg(value) FROM samples WHERE time::DATE = '2026-09-21' GROUP BY 1",
    "SELECT count(*) FROM samples WHERE TRY_CAST(unit AS INT) IS NULL AND time > 'epoch'",
    f"SELECT sum(value) FROM (SELECT * FROM samples UNION ALL SELECT * FROM samples "
    f"WHERE name = 'flow') WHERE time_ns < {T0 + HOUR}",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("sql", EQUAL)
def test_reading_less_gives_the_same_answer(two_days: Plant, sql: str) -> None:
    bounded = ask(two_days, sql)
    whole = ask(two_days, sql, is_bounded=False)

    assert whole.rows == bounded.rows
    assert bounded.counters.rows_read <= whole.counters.rows_read


def test_chance_bounds_nothing(two_days: Plant) -> None:
    """random() over the catalogue would choose points; over samples it chooses rows."""
    sql = f"SELECT count(*) FROM samples WHERE time_ns < {T0 + HOUR} AND random() >= 0.0"

    assert [(7_200,)] == ask(two_days, sql).rows


def test_a_sample_of_the_table_is_drawn_from_all_of_it(two_days: Plant) -> None:
    sql = "SELECT count(*) FROM samples TABLESAMPLE reservoir(1000 ROWS) WHERE name = 'level'"

    assert 24 == ask(two_days, sql).counters.chunks_read


# --- grants


def test_a_foreign_subtree_is_not_there(two_days: Plant) -> None:
    """The same answers as for a point that was never made, in every table and by every name."""
    secret = "00000000-0000-0000-0000-000000000005"
    never = "00000000-0000-0000-0000-0000000000ff"

    for ids, path in ((secret, "other/secret"), (never, "other/nothing")):
        found = [
            ask(two_days, sql).rows
            for sql in (
                f"SELECT count(*) FROM samples WHERE point = '{ids}'",
                f"SELECT count(*) FROM samples WHERE path = '{path}'",
                f"SELECT count(*) FROM points WHERE id = '{ids}' OR path = '{path}'",
                f"SELECT count(*) FROM samples s RIGHT JOIN (VALUES ('{ids}'::UUID)) v(id) "
                "ON s.point = v.id WHERE s.point IS NOT NULL",
            )
        ]
        assert [[(0,)]] * 4 == found
    whole = ask(two_days, "SELECT DISTINCT path FROM samples ORDER BY 1")
    all_of_it = ask(two_days, "SELECT DISTINCT path FROM samples", Catalogue.of(POINTS))

    assert [("plant/pump/flow",), ("plant/tank/level",)] == whole.rows
    assert 3 == len(all_of_it.rows)


def test_grants_come_as_a_bitmap_of_handles() -> None:
    every = Catalogue.of(POINTS)

    assert [1, 3] == handles_of(bitmap_of([3, 1])).tolist()
    assert [] == handles_of(bitmap_of([])).tolist()
    granted = Catalogue.decode(every.encode()).granted(handles_of(bitmap_of([3, 1, 900])))
    assert ["plant/pump/count", "plant/tank/level"] == granted.columns["path"]
    with pytest.raises(Refused):
        handles_of("no base64!")
