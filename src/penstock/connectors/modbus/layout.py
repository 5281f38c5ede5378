"""Which registers one request reads: sorted points, merged over small gaps, cut at limits.

What a device has refused lies in DeviceMemory: a cut is a place that no request
may cross, a limit is the largest read that worked. The two look alike from
outside (exception 2), so the limit is only lowered when no larger read ever worked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.connectors.modbus.address import REGISTER_BITS, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from penstock.connectors.modbus.points import ModbusValue

BITS_MAX = 2_000
LIMIT_LEARNED_MIN = 8
CUTS_MAX = 256


@dataclass(frozen=True, slots=True)
class Span:
    """One request: `count` addresses of a table from `begin`, for `points` (positions)."""

    table: Table
    begin: int
    count: int
    points: tuple[int, ...]

    @property
    def byte_count(self) -> int:
        """Bytes of its answer."""
        return (self.count + 7) // 8 if self.table.is_bits else 2 * self.count


@dataclass(slots=True)
class DeviceMemory:
    """What was learned about one device; `version` changes when plans have to be made anew."""

    registers_max: int
    merge_gap: int
    version: int = 0
    largest_read: dict[bool, int] = field(default_factory=dict)
    limit: dict[bool, int] = field(default_factory=dict)
    cuts: list[tuple[Table, int, int]] = field(default_factory=list)
    alone: dict[int, int] = field(default_factory=dict)

    def limit_of(self, table: Table) -> int:
        """Addresses in one read of the table."""
        most = (
            min(BITS_MAX, REGISTER_BITS * self.registers_max)
            if table.is_bits
            else (self.registers_max)
        )
        return min(most, self.limit.get(table.is_bits, most))

    def gap_of(self, table: Table) -> int:
        """Unused addresses that are worth reading along; 16 bits cost as much as a register."""
        return self.merge_gap * REGISTER_BITS if table.is_bits else self.merge_gap

    def may_cross(self, table: Table, begin: int, end: int) -> bool:
        """May one read go over `begin` .. `end`, the edges of two neighbours?"""
        return not any(table is cut[0] and begin <= cut[1] and cut[2] <= end for cut in self.cuts)

    def note_success(self, span: Span) -> None:
        """A read of this size worked."""
        known = self.largest_read.get(span.table.is_bits, 0)
        if span.count > known:
            self.largest_read[span.table.is_bits] = span.count

    def note_split(self, span: Span, edge: tuple[int, int], code: int) -> str:
        """The whole was refused and both halves worked: a hole between them, or too large?"""
        is_bits = span.table.is_bits
        largest = self.largest_read.get(is_bits, 0)
        is_gap = edge[0] < edge[1]
        self.version += 1
        if LIMIT_LEARNED_MIN <= largest < span.count and (code == 3 or not is_gap):
            self.limit[is_bits] = largest
            return "limits_learned"
        if len(self.cuts) < CUTS_MAX:
            self.cuts.append((span.table, *edge))
        return "cuts_learned"

    def note_refused(self, handle: int, retry_at_ns: int) -> None:
        """One point alone was refused: from now on it has a request of its own."""
        if handle not in self.alone:
            self.version += 1
        self.alone[handle] = retry_at_ns

    def note_answered(self, handle: int) -> None:
        """A point that used to be refused answers."""
        if self.alone.pop(handle, None) is not None:
            self.version += 1


def plan_spans(points: Sequence[ModbusValue], memory: DeviceMemory) -> tuple[Span, ...]:
    """Requests for all points; `Span.points` are positions in `points`."""
    spans: list[Span] = []
    for table in Table:
        chosen = [i for i, point in enumerate(points) if point.address.table is table]
        together = [i for i in chosen if points[i].handle not in memory.alone]
        spans += _merge(points, together, table, memory)
        spans += [span_of(points, [i]) for i in chosen if points[i].handle in memory.alone]
    return tuple(spans)


def span_of(points: Sequence[ModbusValue], chosen: Iterable[int]) -> Span:
    """The one request that covers the chosen points of one table."""
    positions = tuple(chosen)
    begin = min(points[i].begin for i in positions)
    end = max(points[i].end for i in positions)
    return Span(points[positions[0]].address.table, begin, end - begin, positions)


def split_span(
    points: Sequence[ModbusValue], span: Span
) -> tuple[Span, Span, tuple[int, int]] | None:
    """Two halves and the edge between them; None when no cut leaves every value whole.

    A gap in the middle third is preferred to the exact middle, because holes lie
    in gaps.
    """
    order = sorted(span.points, key=lambda i: (points[i].begin, points[i].end))
    edges: list[tuple[int, int, int]] = []
    reach = points[order[0]].end
    for place, i in enumerate(order[1:], start=1):
        if points[i].begin >= reach:
            edges.append((place, reach, points[i].begin))
        reach = max(reach, points[i].end)
    if not edges:
        return None
    middle = span.begin + span.count / 2
    third = span.count / 6

    def cost(edge: tuple[int, int, int]) -> tuple[bool, float]:
        distance = max(edge[1] - middle, middle - edge[2], 0.0)
        return not (edge[1] < edge[2] and distance <= third), distance

    place, begin, end = min(edges, key=cost)
    left, right = span_of(points, order[:place]), span_of(points, order[place:])
    return left, right, (begin, end)


def _merge(
    points: Sequence[ModbusValue], chosen: list[int], table: Table, memory: DeviceMemory
) -> list[Span]:
    chosen.sort(key=lambda i: (points[i].begin, points[i].end))
    limit, gap = memory.limit_of(table), memory.gap_of(table)
    spans: list[Span] = []
    run: list[int] = []
    begin = end = 0
    for i in chosen:
        point = points[i]
        fits = max(end, point.end) - begin <= limit and point.begin - end <= gap
        if run and fits and (point.begin < end or memory.may_cross(table, end, point.begin)):
            run.append(i)
            end = max(end, point.end)
            continue
        if run:
            spans.append(Span(table, begin, end - begin, tuple(run)))
        run, begin, end = [i], point.begin, point.end
    if run:
        spans.append(Span(table, begin, end - begin, tuple(run)))
    return spans
