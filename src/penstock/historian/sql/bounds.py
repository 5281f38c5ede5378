"""Push-down: which points and times each reference to `samples` can need.

A bound is only ever a superset: DuckDB runs the whole query with all its conditions over
what was read, so a condition that is not understood here costs time and never a wrong
answer. Conditions about points are not interpreted at all: DuckDB evaluates them
over the catalogue (LIKE, regular expressions, `IN (SELECT id FROM points …)`), and it
evaluates constant times (`now() - INTERVAL 1 HOUR`) in the transaction of the query.

What must not be pushed: WHERE into the right side of an ASOF or positional join (another
row would be matched), ON into the side that an outer join keeps, anything below a
sample, and a condition that is true for a row of nulls where an outer join makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from penstock.historian.piece import TIME_MAX, TIME_MIN
from penstock.historian.sql.facts import changing, one, rounding_of, template
from penstock.historian.sql.guard import nodes

if TYPE_CHECKING:
    import numpy.typing as npt
    from duckdb import DuckDBPyConnection

    from penstock.historian.sql.guard import Node

POINT_COLUMNS = ("point", "path", "asset", "name", "unit", "kind", "simulated")
_OF_SAMPLES = frozenset({"time", "time_ns", "value", "value_int", "value_text", "quality"})
TRIAL = "_trial"
# A comparison of `time` with a TIMESTAMP of microseconds may round.
_ROUNDING_NS = 1_000
_RELATION = {
    "COMPARE_EQUAL": "=",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
_MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_TIME_TYPE = {"time": "TIMESTAMPTZ_NS", "time_ns": "HUGEINT"}

Span = tuple[int, int]
ALWAYS: Span = (TIME_MIN, TIME_MAX)


@dataclass(frozen=True, slots=True)
class Box:
    """Rows that one reference can need: points by catalogue row (None = all), a time span."""

    points: npt.NDArray[np.bool_] | None = None
    span: Span = ALWAYS

    def both(self, other: Box) -> Box:
        """AND."""
        if self.points is None or other.points is None:
            points = other.points if self.points is None else self.points
        else:
            points = self.points & other.points
        return Box(points, (max(self.span[0], other.span[0]), min(self.span[1], other.span[1])))

    def either(self, other: Box) -> Box:
        """OR, as the hull of both."""
        points = None
        if self.points is not None and other.points is not None:
            points = self.points | other.points
        return Box(points, (min(self.span[0], other.span[0]), max(self.span[1], other.span[1])))


@dataclass(frozen=True, slots=True)
class Reference:
    """`samples` in a FROM, the conditions that may be applied to it, and points beside it."""

    alias: str
    conditions: tuple[Node, ...] = ()
    neighbours: tuple[str, ...] = ()


@dataclass(slots=True)
class Bounds:
    """Derives boxes on the connection that will run the query, in its transaction.

    `trials` is a second connection to the same tables (`_trial`, `points`), on which
    it does not matter what fails. `check` raises once the time is over.
    """

    connection: DuckDBPyConnection
    trials: DuckDBPyConnection
    points: int
    check: Callable[[], None]
    failed: set[int] = field(default_factory=set)

    def boxes(self, tree: Node) -> list[Box]:
        """One box for each reference to `samples` in the query."""
        found = references(tree)
        while True:
            try:
                return [self._box(reference) for reference in found]
            except _Aborted:
                # `now()` is that of the transaction: all bounds have to come from one.
                self.connection.rollback()
                self.connection.begin()

    def _box(self, reference: Reference) -> Box:
        box = Box()
        for condition in reference.conditions:
            box = box.both(self._of(condition, reference))
        return box if not reference.neighbours else box.both(self._of_neighbours(reference))

    def _of(self, condition: Node, reference: Reference) -> Box:
        """What a condition allows; everything if it is not understood."""
        points = self._points_where([condition], reference.alias, ())
        if points is not None:
            return Box(points)
        kind = condition.get("type")
        if kind in {"CONJUNCTION_AND", "CONJUNCTION_OR"}:
            parts = [self._of(child, reference) for child in condition["children"]]
            box = parts[0]
            for part in parts[1:]:
                box = box.both(part) if kind == "CONJUNCTION_AND" else box.either(part)
            return box
        return Box(span=self._span_of(condition, reference.alias))

    # --- points

    def _of_neighbours(self, reference: Reference) -> Box:
        """Through equality with `points` in the same FROM: conditions on them count as well."""
        box = Box()
        for neighbour in reference.neighbours:
            links = [c for c in reference.conditions if _is_link(c, reference.alias, neighbour)]
            for condition in reference.conditions if links else ():
                if condition not in links and _mentions(condition, neighbour):
                    points = self._points_where([*links, condition], reference.alias, (neighbour,))
                    box = box.both(Box(points))
        return box

    def _points_where(
        self, conditions: list[Node], alias: str, neighbours: tuple[str, ...]
    ) -> npt.NDArray[np.bool_] | None:
        """Catalogue rows for which all conditions hold; None if they are not about points alone."""
        if not all(self._is_pure(condition) for condition in conditions):
            return None
        text = " AND ".join(f"({self._text(condition)})" for condition in conditions)
        name = _quoted(alias)
        also = "".join(f", points AS {_quoted(other)}" for other in neighbours)
        void = f"(SELECT {TRIAL}.* FROM (SELECT 1) LEFT JOIN {TRIAL} ON false) AS {name}"  # noqa: S608
        # TRY takes no subquery; a condition that fails for a point leaves the point in.
        for holds in (f"coalesce(TRY({text}), true)", f"coalesce({text}, false)"):
            # What goes into these texts was written by DuckDB from its own tree.
            of_nulls = f"SELECT coalesce({text}, false) FROM {void}"  # noqa: S608
            if not neighbours and self._ask(of_nulls) != [False]:
                return None
            rows = self._ask(
                f"SELECT DISTINCT {name}._row FROM {TRIAL} AS {name}{also} WHERE {holds}"  # noqa: S608
            )
            if rows is not None:
                mask = np.zeros(self.points, bool)
                mask[np.array(rows, np.intp)] = True
                return mask
        return None

    def _is_pure(self, condition: Node) -> bool:
        """Names columns, none of them a sample's own, and answers the same however often asked."""
        functions: set[str] = set()
        columns: set[str] = set()
        for node in nodes(condition):
            if node.get("sample"):
                return False
            functions.add(str(node.get("function_name", "")).casefold())
            columns.update(str(name).casefold() for name in node.get("column_names") or ())
        is_about_points = bool(columns) and not columns & _OF_SAMPLES
        return is_about_points and not (functions | columns) & changing(self.trials)

    # --- times

    def _span_of(self, condition: Node, alias: str) -> Span:
        kind = str(condition.get("type"))
        if kind == "COMPARE_BETWEEN":
            ends = [(">=", condition["lower"]), ("<=", condition["upper"])]
            low, high = self._compared(condition["input"], ends, alias)
            return max(low[0], high[0]), min(low[1], high[1])
        if kind == "COMPARE_IN":
            column, *values = condition["children"]
            spans = self._compared(column, [("=", value) for value in values], alias)
            return min(span[0] for span in spans), max(span[1] for span in spans)
        relation = _RELATION.get(kind)
        if relation is None:
            return ALWAYS
        left, right = condition["left"], condition["right"]
        (span,) = self._compared(left, [(relation, right)], alias)
        if span == ALWAYS:
            (span,) = self._compared(right, [(_MIRRORED[relation], left)], alias)
        return span

    def _compared(
        self, column: Node, relations: Sequence[tuple[str, Node]], alias: str
    ) -> list[Span]:
        """Span of each `column relation constant`; everything unless it is a time column.

        DuckDB finds one type for all constants of a BETWEEN or IN: the widest slack counts.
        """
        name = _time_column(column, alias)
        if name is None:
            return [ALWAYS] * len(relations)
        found = [self._constant(constant, _TIME_TYPE[name]) for _, constant in relations]
        known = [constant for constant in found if constant is not None]
        if len(known) < len(found):
            return [ALWAYS] * len(relations)
        slack = max(rounding for _, rounding in known)
        pairs = zip(relations, known, strict=True)
        return [_span(relation, time_ns, slack) for (relation, _), (time_ns, _) in pairs]

    def _constant(self, node: Node, kind: str) -> tuple[int, int] | None:
        """(nanoseconds, rounding) of an expression without columns, evaluated by DuckDB."""
        if any(part.get("type") in {"COLUMN_REF", "SUBQUERY"} for part in nodes(node)):
            return None
        text = self._text(node)
        value = f"CAST({text} AS {kind})"
        number = value if kind == "HUGEINT" else f"epoch_ns({value})"
        if id(node) in self.failed:
            return None
        import duckdb  # noqa: PLC0415 - this module must be importable without it

        self.check()
        try:
            answer = self.connection.execute(f"SELECT {number}, typeof({text})")
            cell, type_name = answer.fetchall()[0]
        except duckdb.Error as error:
            self.failed.add(id(node))
            raise _Aborted from error
        rounding = rounding_of(str(type_name)) if kind == "HUGEINT" else _ROUNDING_NS
        return None if cell is None or rounding is None else (int(cell), rounding)

    # --- DuckDB

    def _text(self, condition: Node) -> str:
        """SQL of an expression of the tree, written by DuckDB."""
        select = template(self.trials)
        select["statements"][0]["node"]["where_clause"] = condition
        tree = orjson.dumps(select).decode()
        text = one(self.connection, "SELECT json_deserialize_sql($tree::JSON)", tree=tree)
        return text.partition(" WHERE ")[2].removesuffix(";")

    def _ask(self, sql: str) -> list[Any] | None:
        """Cells of the one column; None if DuckDB cannot answer. In a transaction of its own."""
        import duckdb  # noqa: PLC0415 - this module must be importable without it

        self.check()
        try:
            return [row[0] for row in self.trials.execute(sql).fetchall()]
        except duckdb.Error:
            return None


class _Aborted(Exception):
    """A constant could not be evaluated, and the transaction ended with it."""


def _span(relation: str, time_ns: int, slack: int) -> Span:
    """Moments for which `relation time_ns` may hold."""
    low, high = TIME_MIN, TIME_MAX
    if relation in {"=", ">", ">="}:
        low = max(TIME_MIN, min(time_ns - slack, TIME_MAX))
    if relation in {"=", "<", "<="}:
        high = max(TIME_MIN, min(time_ns + slack + 1, TIME_MAX))
    return low, high


def references(tree: Node) -> list[Reference]:
    """Every reference to `samples`; one that is found in no FROM has no conditions."""
    found: list[Reference] = []
    seen: set[int] = set()
    for node in nodes(tree):
        if node.get("type") == "SHOW_REF" and node.get("show_type") == "DESCRIBE":
            seen.update(id(inner) for inner in nodes(node))
        if node.get("type") == "SELECT_NODE":
            where = () if node.get("sample") else tuple(_parts(node.get("where_clause")))
            refs = list(_from(node["from_table"], where))
            neighbours = tuple(
                alias for _, table, alias, _, inner in refs if table == "points" and inner
            )
            for ref, table, alias, conditions, is_inner in refs:
                if table == "samples" and id(ref) not in seen:
                    beside = neighbours if is_inner else ()
                    found.append(Reference(alias, conditions, beside))
                seen.add(id(ref))
        if _table(node) == "samples" and id(node) not in seen:
            seen.add(id(node))
            found.append(Reference("samples"))
    return found


def _from(
    ref: Node, where: tuple[Node, ...], *, is_inner: bool = True
) -> Iterator[tuple[Node, str, str, tuple[Node, ...], bool]]:
    """(reference, table, alias, conditions, is joined inner) of the tables of one FROM."""
    table = _table(ref)
    if table is not None:
        is_plain = not ref.get("sample") and not ref.get("column_name_alias")
        yield ref, table, ref.get("alias") or table, where if is_plain else (), is_inner
    elif ref["type"] == "JOIN":
        left, right = _sides(ref, where)
        stays = is_inner and ref["join_type"] == "INNER" and ref["ref_type"] != "POSITIONAL"
        stays = stays and ref["ref_type"] != "ASOF"
        yield from _from(ref["left"], left, is_inner=stays)
        yield from _from(ref["right"], right, is_inner=stays)


def _sides(join: Node, where: tuple[Node, ...]) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """Conditions that may be applied to the left and to the right side of a join."""
    kind, way = join["join_type"], join["ref_type"]
    on = (*_parts(join.get("condition")), *_using(join))
    every = (*where, *on)
    if way == "ASOF":
        return where, ()
    if way not in {"REGULAR", "CROSS", "NATURAL"}:
        return (), ()
    return {
        "INNER": (every, every),
        "LEFT": (where, every),
        "RIGHT": (every, where),
        "SEMI": (every, on),
        "ANTI": (where, on),
        "OUTER": (where, where),
        "FULL": (where, where),
    }.get(kind, ((), ()))


def _using(join: Node) -> Iterator[Node]:
    """USING as equalities of two named tables; of deeper joins it says nothing."""
    left, right = join["left"], join["right"]
    if _table(left) is None or _table(right) is None:
        return
    for column in join.get("using_columns") or ():
        yield {
            "class": "COMPARISON",
            "type": "COMPARE_EQUAL",
            "alias": "",
            "left": _column([left.get("alias") or left["table_name"], column]),
            "right": _column([right.get("alias") or right["table_name"], column]),
        }


def _column(names: list[str]) -> Node:
    return {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "column_names": names}


def _parts(condition: Node | None) -> Iterator[Node]:
    """Conditions that all have to hold."""
    if condition is None:
        return
    if condition.get("type") == "CONJUNCTION_AND":
        for child in condition["children"]:
            yield from _parts(child)
    else:
        yield condition


def _table(ref: Node) -> str | None:
    if ref.get("type") != "BASE_TABLE":
        return None
    return str(ref["table_name"]).casefold()


def _time_column(node: Node, alias: str) -> str | None:
    if node.get("type") != "COLUMN_REF":
        return None
    *qualifier, name = (str(part).casefold() for part in node["column_names"])
    is_ours = not qualifier or qualifier == [alias.casefold()]
    return name if is_ours and name in _TIME_TYPE else None


def _mentions(condition: Node, alias: str) -> bool:
    return any(alias.casefold() in _qualifiers(node) for node in nodes(condition))


def _qualifiers(node: Node) -> list[str]:
    names: list[Any] = node.get("column_names") or []
    return [str(name).casefold() for name in names[:-1]]


def _is_link(condition: Node, alias: str, neighbour: str) -> bool:
    """An equality between a column of the samples and a column of the points."""
    if condition.get("type") != "COMPARE_EQUAL":
        return False
    sides = [_qualifiers(condition[side]) for side in ("left", "right")]
    return sorted(sides) == sorted([[alias.casefold()], [neighbour.casefold()]])


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
