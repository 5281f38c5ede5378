/**
 * Geometry of an analogue indicator: where band, limits and pointer lie on a scale of 0 to 1.
 *
 * Without a range of its own a point gets one that holds band and limits with a tenth to spare;
 * without any of them there is no scale, since a bar that means nothing would still be believed.
 */
import type { Limit, Point, Priority } from "./types.ts";

export interface Scale {
  low: number;
  high: number;
}

export function scaleOf(
  point: Pick<Point, "low" | "high" | "normal_low" | "normal_high" | "limits">,
): Scale | null {
  const { low, high } = point;
  if (low !== null && high !== null && high > low) return { low, high };
  const known = [point.normal_low, point.normal_high, ...point.limits.map((l) => l.level)].filter(
    (v): v is number => v !== null && Number.isFinite(v),
  );
  if (known.length === 0) return null;
  const lowest = low ?? Math.min(...known);
  const highest = high ?? Math.max(...known);
  if (!(highest > lowest)) return null;
  const spare = (highest - lowest) / 10;
  return { low: low ?? lowest - spare, high: high ?? highest + spare };
}

export function place(value: number, scale: Scale): number {
  const f = (value - scale.low) / (scale.high - scale.low);
  return Math.min(1, Math.max(0, f));
}

/** The limit that is exceeded and matters most, or null. */
export function exceeded(value: number, limits: readonly Limit[]): Limit | null {
  let worst: Limit | null = null;
  for (const l of limits) {
    const over = l.side === "high" ? value > l.level : value < l.level;
    if (over && (worst === null || l.priority < worst.priority)) worst = l;
  }
  return worst;
}

/** From the first limit passed to the value: the part drawn in the colour of the priority. */
export function overSpan(
  value: number,
  limits: readonly Limit[],
  scale: Scale,
): { from: number; to: number; priority: Priority } | null {
  const worst = exceeded(value, limits);
  if (worst === null) return null;
  const passed = limits
    .filter((l) => l.side === worst.side)
    .filter((l) => (l.side === "high" ? value > l.level : value < l.level))
    .map((l) => l.level);
  const first = worst.side === "high" ? Math.min(...passed) : Math.max(...passed);
  const a = place(value, scale);
  const b = place(first, scale);
  return { from: Math.min(a, b), to: Math.max(a, b), priority: worst.priority };
}

/** The outermost limit of a side with two or more is drawn thick. */
export function isOutermost(limit: Limit, limits: readonly Limit[]): boolean {
  const same = limits.filter((l) => l.side === limit.side).map((l) => l.level);
  if (same.length < 2) return false;
  return limit.level === (limit.side === "high" ? Math.max(...same) : Math.min(...same));
}
