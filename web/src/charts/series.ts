/** The data of one pen: what the server sent plus what the live socket appended. Pure. */
import type { Gap } from "./gaps.ts";

export interface Series {
  /** Seconds UTC, ascending. Columns without a sample are left out; gaps say where no line may go. */
  t: number[];
  lo: number[];
  hi: number[];
  gaps: Gap[];
  /** Seconds of the newest moment covered (good or bad), NaN if none. */
  last: number;
  /** Is a bad span open at the end? Then it reaches to "now". */
  open: boolean;
  /** The newest value itself, NaN if only the column around it is known. */
  newest: number;
  /** Column width in seconds, 0 for raw. */
  dt: number;
}

export function emptySeries(): Series {
  return { t: [], lo: [], hi: [], gaps: [], last: Number.NaN, open: false, newest: Number.NaN, dt: 0 };
}

/** One pen as it comes out of the decoder, times already in seconds. */
export interface DecodedPen {
  min: ArrayLike<number>;
  max: ArrayLike<number>;
  /** Time of row i, in seconds. */
  time: (i: number) => number;
  gaps: readonly Gap[];
  before: number;
}

export function fromDecoded(pen: DecodedPen, spanFrom: number, spanTo: number, dt: number): Series {
  const s = emptySeries();
  s.dt = dt;
  s.gaps = pen.gaps.map((g) => ({ begin: g.begin, end: g.end }));
  const final = s.gaps[s.gaps.length - 1];
  // A gap that reaches the end of what was asked for goes on until a good sample says otherwise.
  s.open = final !== undefined && final.end >= spanTo - 0.001;
  if (final !== undefined && s.open) final.end = Number.POSITIVE_INFINITY;
  const firstGap = s.gaps[0];
  if (Number.isFinite(pen.before) && (firstGap === undefined || firstGap.begin > spanFrom)) push(s, spanFrom, pen.before, pen.before);
  const carried = s.t.length === 1;
  for (let i = 0; i < pen.min.length; i++) {
    const lo = pen.min[i] as number;
    const hi = pen.max[i] as number;
    if (!Number.isFinite(lo) || !Number.isFinite(hi)) continue;
    const at = pen.time(i);
    const previous = s.t[s.t.length - 1];
    if (previous !== undefined && at <= previous && !(carried && s.t.length === 1)) {
      // Two samples of the same moment: the later wins in raw mode.
      if (at === previous && dt === 0) {
        s.lo[s.lo.length - 1] = Math.min(lo, s.lo[s.lo.length - 1] as number);
        s.hi[s.hi.length - 1] = Math.max(hi, s.hi[s.hi.length - 1] as number);
      }
      continue;
    }
    if (carried && s.t.length === 1 && at <= spanFrom) {
      s.t.length = s.lo.length = s.hi.length = 0;
    }
    push(s, at, lo, hi);
  }
  const end = s.t[s.t.length - 1];
  const i = s.t.length - 1;
  if (i >= 0 && s.lo[i] === s.hi[i]) s.newest = s.lo[i] as number;
  s.last = Math.max(end ?? Number.NaN, final?.begin ?? Number.NEGATIVE_INFINITY);
  if (end === undefined && final === undefined) s.last = Number.NaN;
  return s;
}

function push(s: Series, t: number, lo: number, hi: number): void {
  s.t.push(t);
  s.lo.push(lo);
  s.hi.push(hi);
}

/** Appends one live sample; `bad` opens a gap that the next sample closes. Older samples are ignored. */
export function append(s: Series, t: number, value: number, bad: boolean): boolean {
  if (!Number.isFinite(t) || (Number.isFinite(s.last) && t <= s.last)) return false;
  s.last = t;
  s.newest = bad ? Number.NaN : value;
  if (bad || !Number.isFinite(value)) {
    if (!s.open) {
      s.gaps.push({ begin: t, end: Number.POSITIVE_INFINITY });
      s.open = true;
    }
    return true;
  }
  if (s.open) {
    const gap = s.gaps[s.gaps.length - 1];
    if (gap !== undefined) gap.end = t;
    s.open = false;
    push(s, t, value, value);
    return true;
  }
  const end = s.t.length - 1;
  // In the envelope a column takes all samples of its width, so that a long live trend stays as light as a fetched one.
  if (s.dt > 0 && end >= 0 && Math.floor(t / s.dt) === Math.floor((s.t[end] as number) / s.dt)) {
    s.lo[end] = Math.min(s.lo[end] as number, value);
    s.hi[end] = Math.max(s.hi[end] as number, value);
    return true;
  }
  push(s, t, value, value);
  return true;
}

/** Gaps for drawing up to `now`: an open gap ends there, and a stale tail is one, too. */
export function drawnGaps(s: Series, now: number, staleAfter: number | null): Gap[] {
  const gaps = s.gaps.map((g) => ({ begin: g.begin, end: Math.min(g.end, now) }));
  if (staleAfter !== null && !s.open && Number.isFinite(s.last) && now - s.last > staleAfter) {
    gaps.push({ begin: s.last, end: now });
  }
  return gaps.filter((g) => g.end > g.begin);
}

/** Index of the newest entry at or before `t`, -1 if there is none. */
export function indexAt(s: Series, t: number): number {
  let lo = 0;
  let hi = s.t.length - 1;
  let found = -1;
  while (lo <= hi) {
    const mid = (lo + hi) >> 1;
    if ((s.t[mid] as number) <= t) {
      found = mid;
      lo = mid + 1;
    } else hi = mid - 1;
  }
  return found;
}

/** What the crosshair reads at `t`: the column under it, or `null` inside a gap or before the first sample. */
export function readAt(s: Series, t: number, gaps: readonly Gap[]): { t: number; lo: number; hi: number } | null {
  if (gaps.some((g) => t >= g.begin && t < g.end)) return null;
  // Columns carry the time of their middle, so the column under the cursor may lie half a width ahead.
  const i = indexAt(s, t + s.dt / 2);
  if (i < 0) return null;
  return { t: s.t[i] as number, lo: s.lo[i] as number, hi: s.hi[i] as number };
}

/** Lowest and highest value that a window shows, with the entry left of it because its line enters. */
export function extent(s: Series, from: number, to: number): [number, number] | null {
  let lo = Number.POSITIVE_INFINITY;
  let hi = Number.NEGATIVE_INFINITY;
  for (let i = Math.max(0, indexAt(s, from)); i < s.t.length && (s.t[i] as number) <= to; i++) {
    lo = Math.min(lo, s.lo[i] as number);
    hi = Math.max(hi, s.hi[i] as number);
  }
  return lo <= hi ? [lo, hi] : null;
}
