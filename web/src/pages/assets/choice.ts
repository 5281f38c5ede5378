/** Which points an asset page puts first. Pure. */
import type { Alarm, Point } from "../../lib/types.ts";

/** The two points whose lines say most: in alarm first, then those with limits, with a band, with a range. */
export function lanePoints(points: readonly Point[], alarms: readonly Pick<Alarm, "point_id" | "priority">[], count: number): Point[] {
  const inAlarm = new Map<string, number>();
  for (const a of alarms) if (a.point_id !== null) inAlarm.set(a.point_id, Math.min(a.priority, inAlarm.get(a.point_id) ?? 9));
  const rank = (p: Point): number => {
    const priority = inAlarm.get(p.id);
    if (priority !== undefined) return priority;
    if (p.kind === "text" || p.labels !== null) return 90;
    if (p.limits.length > 0) return 10;
    if (p.normal_low !== null || p.normal_high !== null) return 20;
    return p.low !== null && p.high !== null ? 30 : 40;
  };
  return points
    .map((p, i) => ({ p, i, r: rank(p) }))
    .filter(({ p }) => p.kind !== "text")
    .sort((a, b) => a.r - b.r || a.i - b.i)
    .slice(0, count)
    .map(({ p }) => p);
}

const STATE = /(^|[^a-z])(state|status|running|zustand|betrieb)([^a-z]|$)/i;

/** Does the point say by its name that it is the state of the asset? Then its word needs no name. */
export function isPlainState(point: Pick<Point, "name" | "label"> | undefined): boolean {
  return point !== undefined && (STATE.test(point.name) || STATE.test(point.label));
}

/** The point that says whether the asset runs: one with words for its values, named like a state if there is one. */
export function statePoint(points: readonly Point[]): Point | undefined {
  const worded = points.filter((p) => p.labels !== null && Object.keys(p.labels).length > 0);
  const measured = worded.filter((p) => !p.writable);
  return measured.find(isPlainState) ?? worded.find(isPlainState) ?? measured[0] ?? worded[0];
}

/** Is this word one for standing still? It decides only how the mark is drawn, the word stands beside it. */
export function isOff(word: string): boolean {
  return /^(0|off|stop|stopped|aus|halt|idle|closed|zu)$/i.test(word.trim());
}

/** The point that stands for an asset where there is room for one: what is measured before what is set. */
export function headlinePoint(points: readonly Point[]): Point | undefined {
  const measured = points.filter((p) => !p.writable);
  const isFloat = (p: Point): boolean => p.kind === "float";
  return measured.find(isFloat) ?? points.find(isFloat) ?? measured[0] ?? points[0];
}
