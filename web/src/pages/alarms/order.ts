/** Order, filter, selection and texts of the alarm list. Pure. */
import type { Alarm } from "../../lib/types.ts";

type Row = Pick<Alarm, "id" | "acknowledged" | "priority" | "raised_ns">;

/** Unacknowledged first, then priority, then the newest; the id last, so that equal rows keep their places. */
export function compare(a: Row, b: Row): number {
  if (a.acknowledged !== b.acknowledged) return a.acknowledged ? 1 : -1;
  if (a.priority !== b.priority) return a.priority - b.priority;
  // Nanosecond times are digit strings of one length for the next 250 years; BigInt stays right beyond.
  const x = BigInt(a.raised_ns);
  const y = BigInt(b.raised_ns);
  if (x !== y) return x > y ? -1 : 1;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

export function ordered<T extends Row>(alarms: readonly T[]): T[] {
  return [...alarms].sort(compare);
}

/** Every word must be found in asset, name or point; "p1" to "p4" is a priority. */
export function matches(alarm: Pick<Alarm, "name" | "asset_path" | "point_path" | "priority">, filter: string): boolean {
  const text = `${alarm.name} ${alarm.asset_path} ${alarm.point_path}`.toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "")
    .every((word) => (/^p[1-4]$/.test(word) ? `p${alarm.priority}` === word : text.includes(word)));
}

/** Last part of an asset path: what people call it. */
export function tail(path: string): string {
  const parts = path.split("/").filter((p) => p !== "");
  return parts[parts.length - 1] ?? path;
}

/** Milliseconds left to respond, negative when the time is over, `null` if the rule gives none or the alarm is over. */
export function timeLeft(alarm: Pick<Alarm, "time_to_respond_s" | "raised_ns" | "active">, nowMs: number): number | null {
  if (!alarm.time_to_respond_s || !alarm.active) return null;
  return Number(BigInt(alarm.raised_ns) / 1_000_000n) + alarm.time_to_respond_s * 1000 - nowMs;
}

export interface Selection {
  ids: ReadonlySet<string>;
  /** Where a Shift range starts. */
  anchor: string | null;
}

export const NOTHING: Selection = { ids: new Set(), anchor: null };

/** A click on the row: only this one. With Shift from the anchor to here, with Ctrl this one more or less. */
export function click(order: readonly string[], now: Selection, id: string, how: { shift: boolean; toggle: boolean }): Selection {
  if (how.shift) return range(order, now, id);
  if (how.toggle) return toggle(now, id);
  return { ids: new Set([id]), anchor: id };
}

export function toggle(now: Selection, id: string): Selection {
  const ids = new Set(now.ids);
  if (!ids.delete(id)) ids.add(id);
  return { ids, anchor: id };
}

export function range(order: readonly string[], now: Selection, id: string): Selection {
  const to = order.indexOf(id);
  const from = now.anchor === null ? to : order.indexOf(now.anchor);
  if (to < 0) return now;
  const start = from < 0 ? to : from;
  const ids = new Set(order.slice(Math.min(start, to), Math.max(start, to) + 1));
  return { ids, anchor: order[start] ?? id };
}

/** Rows that left the list are not selected any more: an acknowledge must never reach what nobody sees. */
export function keep(now: Selection, order: readonly string[]): Selection {
  const present = new Set(order);
  if ([...now.ids].every((id) => present.has(id)) && (now.anchor === null || present.has(now.anchor))) return now;
  return {
    ids: new Set([...now.ids].filter((id) => present.has(id))),
    anchor: now.anchor !== null && present.has(now.anchor) ? now.anchor : null,
  };
}

/** The row `by` places further, held at the ends; the first one if none is current. */
export function step(order: readonly string[], current: string | null, by: number): string | null {
  if (order.length === 0) return null;
  const at = current === null ? -1 : order.indexOf(current);
  if (at < 0) return order[0] as string;
  return order[Math.min(order.length - 1, Math.max(0, at + by))] as string;
}

/** Slice of a long list that is drawn: rows of one height, a few more on each side. */
export function visible(count: number, rowHeight: number, scrollTop: number, height: number, spare = 8): { first: number; last: number } {
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - spare);
  return { first, last: Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + spare) };
}
