/** How often alarms were raised: per area in columns of ten minutes, and for the whole plant. Pure. */
import { toNs } from "../../lib/time.ts";

export const COLUMNS = 24;
const COLUMN_NS = 600_000_000_000n;
export const SPAN_MS = 4 * 3_600_000;

export interface Raised {
  type: string;
  time_ns: string;
  point_id?: string | null;
}

export interface Rates {
  /** Counts of each area, oldest column first. */
  byArea: ReadonlyMap<string, readonly number[]>;
  /** Alarms raised in ten minutes, mean of the last hour and of the whole span. */
  lastHour: number;
  mean: number;
}

/** `areaOf` says to which area a point belongs; an event of no known area counts for the plant. */
export function ratesOf(
  events: readonly Raised[],
  endNs: bigint,
  areaOf: (pointId: string) => string | undefined,
): Rates {
  const byArea = new Map<string, number[]>();
  const total = new Array<number>(COLUMNS).fill(0);
  for (const event of events) {
    if (event.type !== "alarm.raised") continue;
    const age = endNs - toNs(event.time_ns);
    const column = COLUMNS - 1 - Number(age / COLUMN_NS);
    if (age < 0n || column < 0) continue;
    total[column] = (total[column] ?? 0) + 1;
    const area = areaOf(event.point_id ?? "");
    if (area === undefined) continue;
    const counts = byArea.get(area) ?? new Array<number>(COLUMNS).fill(0);
    counts[column] = (counts[column] ?? 0) + 1;
    byArea.set(area, counts);
  }
  const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
  return { byArea, lastHour: sum(total.slice(-6)) / 6, mean: sum(total) / COLUMNS };
}
