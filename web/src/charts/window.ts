/** The time window of a chart in milliseconds UTC, and everything that moves it. Pure. */

export interface TimeWindow {
  from: number;
  to: number;
}

export const LEAST_SPAN_MS = 1000;
export const MOST_SPAN_MS = 10 * 366 * 86_400_000;

const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `"15m"`, `"6h"`, `"7d"` in milliseconds; `null` if it is nothing of the kind. */
export function rangeMs(text: string | null | undefined): number | null {
  const match = /^(\d{1,5})([smhd])$/.exec(text ?? "");
  if (match === null) return null;
  const span = Number(match[1]) * (UNIT_MS[match[2] as string] as number);
  return span >= LEAST_SPAN_MS && span <= MOST_SPAN_MS ? span : null;
}

export function span(w: TimeWindow): number {
  return w.to - w.from;
}

export function pan(w: TimeWindow, byMs: number): TimeWindow {
  return { from: w.from + byMs, to: w.to + byMs };
}

/** Zooms by `factor` (below 1 = closer) so that the moment `at` stays under the cursor. */
export function zoom(w: TimeWindow, factor: number, at: number): TimeWindow {
  const wanted = Math.min(MOST_SPAN_MS, Math.max(LEAST_SPAN_MS, span(w) * factor));
  const share = (at - w.from) / span(w);
  const from = at - share * wanted;
  return { from, to: from + wanted };
}

/** What is asked from the server: three times the window, so that a pan draws from what is there; never later than `now`. */
export function askFor(w: TimeWindow, now: number): TimeWindow {
  const from = w.from - span(w);
  return { from, to: Math.max(from + LEAST_SPAN_MS, Math.min(w.to + span(w), Math.max(now, w.from))) };
}

/** Does `have`, fetched with `dtMs` a column, still serve the window on a plot `width` pixels wide? */
export function serves(have: TimeWindow | null, dtMs: number, w: TimeWindow, now: number, width: number): boolean {
  if (have === null) return false;
  if (w.from < have.from || Math.min(w.to, now) > have.to) return false;
  if (dtMs === 0) return true;
  const perPixel = span(w) / Math.max(1, width);
  return dtMs <= perPixel * 1.6 && dtMs >= perPixel / 4;
}

const STEPS_S = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200, 86_400, 172_800,
  604_800, 1_209_600, 2_592_000, 7_776_000, 31_536_000,
];

/** Offset of a time zone at a moment, in seconds east of UTC. */
export function zoneOffset(seconds: number, zone: string): number {
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    formats.set(zone, format);
  }
  const whole = Math.floor(seconds);
  const part: Record<string, number> = {};
  for (const p of format.formatToParts(whole * 1000)) if (p.type !== "literal") part[p.type] = Number(p.value);
  const local = Date.UTC(
    part["year"] ?? 1970,
    (part["month"] ?? 1) - 1,
    part["day"] ?? 1,
    part["hour"] ?? 0,
    part["minute"] ?? 0,
    part["second"] ?? 0,
  );
  return local / 1000 - whole;
}
const formats = new Map<string, Intl.DateTimeFormat>();

/**
 * Moments for the ticks of a time axis, in seconds, on round local times of `zone`, at most `most`
 * of them. Across a clock change the ticks stay on round local hours.
 */
export function timeTicks(from: number, to: number, most: number, zone: string): { ticks: number[]; step: number } {
  const wanted = (to - from) / Math.max(1, most);
  const step = STEPS_S.find((s) => s >= wanted) ?? (STEPS_S[STEPS_S.length - 1] as number);
  const ticks: number[] = [];
  const first = from + zoneOffset(from, zone);
  for (let local = Math.ceil(first / step) * step; ticks.length < 1000; local += step) {
    let utc = local - zoneOffset(local - zoneOffset(from, zone), zone);
    // A second look with the offset at the result itself: right also in the hours around a change.
    utc = local - zoneOffset(utc, zone);
    if (utc > to) break;
    if (utc >= from && (ticks.length === 0 || utc > (ticks[ticks.length - 1] as number))) ticks.push(utc);
  }
  return { ticks, step };
}
