/** Which assets are areas, and which of their points the overview shows. Pure. */
import { isSystemPath } from "../../lib/system.ts";
import type { Alarm, Asset, Point } from "../../lib/types.ts";

/** Assets of level "area"; a plant that names none shows what lies below its roots. */
export function areasOf(all: readonly Asset[]): Asset[] {
  const assets = all.filter((a) => !isSystemPath(a.path));
  const areas = assets.filter((a) => a.level === "area");
  if (areas.length > 0) return areas;
  const roots = new Set(assets.filter((a) => a.parent_id === null).map((a) => a.id));
  const below = assets.filter((a) => a.parent_id !== null && roots.has(a.parent_id));
  return below.length > 0 ? below : assets.filter((a) => a.parent_id === null);
}

/**
 * At most `rows` float points: those in alarm, then those with limits, a band, a range. They keep
 * the order of the plant, so that a row stays where the eye expects it.
 */
export function choosePoints(
  points: readonly Point[],
  alarms: readonly Alarm[],
  rows: number,
): Point[] {
  const inAlarm = new Map<string, number>();
  for (const a of alarms) {
    if (a.point_id === null) continue;
    inAlarm.set(a.point_id, Math.min(a.priority, inAlarm.get(a.point_id) ?? 9));
  }
  const rank = (p: Point): number => {
    const priority = inAlarm.get(p.id);
    if (priority !== undefined) return priority;
    if (p.limits.length > 0) return 10;
    if (p.normal_low !== null || p.normal_high !== null) return 20;
    return p.low !== null && p.high !== null ? 30 : 40;
  };
  const floats = points.filter((p) => p.kind === "float");
  const order = new Map(floats.map((p, i) => [p.id, i]));
  const byPlace = (a: Point, b: Point): number => (order.get(a.id) ?? 0) - (order.get(b.id) ?? 0);
  return [...floats]
    .sort((a, b) => rank(a) - rank(b) || byPlace(a, b))
    .slice(0, Math.max(0, rows))
    .sort(byPlace);
}

/** "P-203 vibration" inside an area; only "Level" where the point belongs to the area itself. */
export function nameInArea(point: Point, asset: Asset | undefined, area: Asset): string {
  const name = point.label || point.name;
  if (asset === undefined || asset.id === area.id) return name;
  return name.toLowerCase().includes(asset.name.toLowerCase()) ? name : `${asset.name} ${name}`;
}

/** The worst alarm of each point. */
export function worstByPoint(alarms: readonly Alarm[]): Map<string, Alarm> {
  const out = new Map<string, Alarm>();
  for (const a of alarms) {
    if (a.point_id === null) continue;
    const before = out.get(a.point_id);
    if (before === undefined || a.priority < before.priority) out.set(a.point_id, a);
  }
  return out;
}
