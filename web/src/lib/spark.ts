/**
 * A mini trend of one point: a column of minimum and maximum for each step, drawn as a zigzag, so
 * that a peak of one second is still there at fifty pixels. Never a mean.
 */
import type { EnvelopePen } from "./frames.ts";

export interface SparkData {
  min: ArrayLike<number>;
  max: ArrayLike<number>;
  /** Columns in which nothing may be drawn: the device was not there. */
  gap: readonly boolean[];
  /** The last value before the first column; NaN when there is none. */
  before: number;
}

export function sparkOf(pen: EnvelopePen, t0Ns: bigint, dtNs: bigint): SparkData | null {
  if (pen.state !== 0) return null;
  const gap = Array.from({ length: pen.min.length }, (_, i) => {
    const from = t0Ns + dtNs * BigInt(i);
    return pen.gaps.some((g) => g.beginNs < from + dtNs && g.endNs > from);
  });
  return { min: pen.min, max: pen.max, gap, before: pen.before };
}

export interface SparkPath {
  /** SVG path data of the lines. */
  line: string;
  /** Horizontal spans to hatch. */
  gaps: [number, number][];
  /** The newest drawn place, or null. */
  end: [number, number] | null;
}

/**
 * `floor` is the least span of the vertical axis: noise of a thousandth of the range must not fill
 * the height and look like a storm.
 */
export function sparkPath(data: SparkData, width: number, height: number, floor = 0): SparkPath {
  const n = data.min.length;
  const [low, high] = widened(range(data), floor);
  const x = (i: number): number => 1 + ((width - 5) * i) / Math.max(1, n - 1);
  const y = (v: number): number =>
    high > low ? height - 3 - ((height - 6) * (v - low)) / (high - low) : height / 2;
  let line = "";
  let end: [number, number] | null = null;
  let last = data.before;
  let pen = false;
  const to = (i: number, v: number): void => {
    line += `${pen ? "L" : "M"}${round(x(i))} ${round(y(v))}`;
    pen = true;
    end = [round(x(i)), round(y(v))];
    last = v;
  };
  const starts = Number.isFinite(data.min[0] ?? Number.NaN);
  if (!starts && Number.isFinite(last) && data.gap[0] !== true) to(0, last);
  for (let i = 0; i < n; i++) {
    const a = data.min[i] ?? Number.NaN;
    const b = data.max[i] ?? Number.NaN;
    if (Number.isFinite(a) && Number.isFinite(b)) {
      if (data.gap[i] === true) pen = false;
      const upFirst = Math.abs(a - last) <= Math.abs(b - last) || Number.isNaN(last);
      to(i, upFirst ? a : b);
      if (a !== b) to(i, upFirst ? b : a);
    }
    if (data.gap[i] === true) pen = false;
  }
  return { line, gaps: hatched(data.gap, x), end };
}

function range(data: SparkData): [number, number] {
  const used = Number.isFinite(data.before) && !Number.isFinite(data.min[0] ?? Number.NaN);
  let low = used ? data.before : Number.POSITIVE_INFINITY;
  let high = used ? data.before : Number.NEGATIVE_INFINITY;
  for (let i = 0; i < data.min.length; i++) {
    const a = data.min[i] ?? Number.NaN;
    const b = data.max[i] ?? Number.NaN;
    if (a < low) low = a;
    if (b > high) high = b;
  }
  return [low, high];
}

function widened([low, high]: [number, number], floor: number): [number, number] {
  const missing = floor - (high - low);
  return missing > 0 ? [low - missing / 2, high + missing / 2] : [low, high];
}

function hatched(gap: readonly boolean[], x: (i: number) => number): [number, number][] {
  const out: [number, number][] = [];
  let from = -1;
  for (let i = 0; i <= gap.length; i++) {
    if (gap[i] === true && from < 0) from = i;
    if (gap[i] !== true && from >= 0) {
      out.push([round(x(from)), round(Math.max(2, x(i) - x(from)))]);
      from = -1;
    }
  }
  return out;
}

function round(v: number): number {
  return Math.round(v * 10) / 10;
}
