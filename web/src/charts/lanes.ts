/** Lanes and their value axes. Pure. */

export interface LaneOf<T> {
  unit: string;
  pens: T[];
}

/** One lane a unit, in the order in which the units first appear. */
export function lanes<T extends { unit: string }>(pens: readonly T[]): LaneOf<T>[] {
  const found = new Map<string, LaneOf<T>>();
  for (const pen of pens) {
    const lane = found.get(pen.unit);
    if (lane === undefined) found.set(pen.unit, { unit: pen.unit, pens: [pen] });
    else lane.pens.push(pen);
  }
  return [...found.values()];
}

export type Range = [low: number, high: number];

/**
 * The range of a value axis. Lines may start above zero. A limit is taken in as long as the data
 * still fill a fifth of the height (a tenth for a limit that is passed, which must be seen);
 * further away it would only flatten the curve.
 */
export function valueRange(data: Range | null, levels: readonly number[], least: number, passed: readonly number[] = []): Range {
  if (data === null) {
    const low = Math.min(...levels);
    const high = Math.max(...levels);
    if (levels.length === 0) return [0, 1];
    const pad = Math.max((high - low) * 0.1, least, Math.abs(high) * 0.01, 1e-9);
    return [low - pad, high + pad];
  }
  let [low, high] = data;
  const own = Math.max(high - low, least);
  const middle = (low + high) / 2;
  if (high - low < own) {
    low = middle - own / 2;
    high = middle + own / 2;
  }
  for (const level of [...levels].sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle))) {
    const l = Math.min(low, level);
    const h = Math.max(high, level);
    if (own / (h - l) >= (passed.includes(level) ? 0.1 : 0.2)) {
      low = l;
      high = h;
    }
  }
  const pad = (high - low) * 0.08;
  return [low - pad, high + pad];
}

/** Keeps the axis still while the data still fit and fill at least half of it: a live axis must not breathe. */
export function calmRange(previous: Range | null, next: Range): Range {
  if (previous === null) return next;
  const inside = next[0] >= previous[0] - 1e-12 && next[1] <= previous[1] + 1e-12;
  return inside && next[1] - next[0] >= (previous[1] - previous[0]) * 0.55 ? previous : next;
}

/** Smallest height of an axis in the unit of the point, so that noise of the last digit is not a mountain. */
export function leastHeight(decimals: number | null, low: number | null, high: number | null): number {
  const digit = 10 ** -(decimals ?? 2);
  const scale = low !== null && high !== null && high > low ? (high - low) * 0.02 : 0;
  return Math.max(digit * 4, scale);
}

/** Round ticks of a value axis, at most `most`. */
export function valueTicks(low: number, high: number, most: number): number[] {
  const raw = (high - low) / Math.max(1, most);
  if (!(raw > 0) || !Number.isFinite(raw)) return [];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((m) => m * power >= raw) ?? 10) * power;
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

/** Decimals that tell neighbouring ticks apart. */
export function tickDecimals(ticks: readonly number[]): number {
  if (ticks.length < 2) return (String(ticks[0] ?? 0).split(".")[1] ?? "").length;
  const step = Math.abs((ticks[1] as number) - (ticks[0] as number));
  return Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));
}

/** Moves labels apart that would overlap: places in, places out, in the same order. */
export function spread(places: readonly number[], gap: number, top: number, bottom: number): number[] {
  const order = places.map((y, i) => ({ y, i })).sort((a, b) => a.y - b.y);
  let at = top;
  for (const item of order) {
    item.y = Math.max(item.y, at);
    at = item.y + gap;
  }
  let floor = bottom;
  for (const item of order.reverse()) {
    item.y = Math.min(item.y, floor);
    floor = item.y - gap;
  }
  const result: number[] = [];
  for (const item of order) result[item.i] = item.y;
  return result;
}
