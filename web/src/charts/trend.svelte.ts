/**
 * One trend: pens, time window, data from the server and what the live socket appends.
 *
 * The data are asked for at three times the window, 80 ms after the last move; until the answer is
 * there, a pan or zoom draws from what is already here.
 */
import { decodeTrend, type Trend } from "../lib/frames.ts";
import { postBinary, type Problem } from "../lib/api.ts";
import { connection, subscribe, type Subscription } from "../lib/live.svelte.ts";
import { isStale, UNCERTAIN } from "../lib/quality.ts";
import { msToNs, nsToMs } from "../lib/time.ts";
import type { Point } from "../lib/types.ts";
import type { Gap } from "./gaps.ts";
import { append, drawnGaps, emptySeries, fromDecoded, type Series } from "./series.ts";
import { askFor, pan, serves, span, zoom, type TimeWindow } from "./window.ts";

const REFINE_MS = 80;
const TICK_MS = 250;
const REFRESH_MS = 30_000;
const LIVE_HZ = 5;
const COLUMNS_MAX = 4000;
export const PENS_MAX = 16;

interface LiveSample {
  point: string;
  t: number;
  value: number;
  bad: boolean;
}

export class TrendModel {
  points = $state.raw<readonly Point[]>([]);
  window = $state.raw<TimeWindow>({ from: 0, to: 1 });
  live = $state(false);
  /** Server time in milliseconds of the last tick: what "now" is on this chart. */
  now = $state(0);
  mode = $state<"raw" | "envelope" | null>(null);
  /** Width of a column in seconds, 0 for raw. */
  dt = $state(0);
  /** Counts changes of the data. */
  version = $state(0);
  loading = $state(false);
  problem = $state.raw<Problem | null>(null);
  /** Moment under the crosshair in milliseconds. */
  cursor = $state<number | null>(null);
  /** Pens of which the server knows nothing, or which this user may not see. */
  unknown = $state.raw<ReadonlySet<string>>(new Set());

  #series = new Map<string, Series>();
  #have: TimeWindow | null = null;
  #fetchedAt = 0;
  #tail: LiveSample[] = [];
  #width = 800;
  #subscription: Subscription | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #refine: ReturnType<typeof setTimeout> | undefined;
  #abort: AbortController | null = null;
  #connected = true;
  #open = false;

  /** Starts with a window; call `close` when the chart goes away. */
  open(points: readonly Point[], window: TimeWindow | number): void {
    this.#open = true;
    this.now = connection.serverNow();
    this.live = typeof window === "number";
    this.window = typeof window === "number" ? { from: this.now - window, to: this.now } : window;
    this.setPoints(points);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  close(): void {
    this.#open = false;
    clearInterval(this.#timer);
    clearTimeout(this.#refine);
    this.#abort?.abort();
    this.#subscription?.close();
    this.#subscription = null;
  }

  series(id: string): Series | undefined {
    return this.#series.get(id);
  }

  setPoints(points: readonly Point[]): void {
    const wanted = points.filter((p) => p.kind !== "text").slice(0, PENS_MAX);
    const same = wanted.length === this.points.length && wanted.every((p, i) => p.id === this.points[i]?.id);
    this.points = wanted;
    if (same && this.#subscription !== null) return;
    const kept = new Map<string, Series>();
    for (const p of wanted) {
      const s = this.#series.get(p.id);
      if (s !== undefined) kept.set(p.id, s);
    }
    this.#series = kept;
    this.#have = null;
    this.#tail = [];
    this.#subscribe();
    this.version++;
    this.#schedule(0);
  }

  /** Plot width in pixels: what decides how fine the columns must be. */
  setWidth(width: number): void {
    if (width === this.#width || width <= 0) return;
    this.#width = width;
    this.#schedule(REFINE_MS);
  }

  setWindow(window: TimeWindow, live = false): void {
    this.window = window;
    this.live = live;
    this.#schedule(REFINE_MS);
  }

  /** The newest `spanMs` up to now, and following it. */
  follow(spanMs: number): void {
    this.now = connection.serverNow();
    this.setWindow({ from: this.now - spanMs, to: this.now }, true);
  }

  panBy(ms: number): void {
    const moved = pan(this.window, ms);
    // Nothing lies in the future; a little room shows that the line ends by itself.
    const over = moved.to - (this.now + span(moved) * 0.5);
    this.setWindow(over > 0 ? pan(moved, -over) : moved);
  }

  zoomBy(factor: number, at: number): void {
    if (this.live) {
      // A live chart stays live: its right edge is now.
      const next = zoom(this.window, factor, this.window.to);
      this.setWindow(next, true);
      return;
    }
    this.setWindow(zoom(this.window, factor, at));
  }

  /** Gaps of a pen as they are drawn now. */
  gaps(point: Point): Gap[] {
    const s = this.#series.get(point.id);
    if (s === undefined) return [];
    return drawnGaps(s, this.now / 1000, this.#staleAfter(point));
  }

  /** Until when the last value holds: a point that reports by exception is silent while it does not change. */
  holdsUntil(point: Point): number | null {
    const s = this.#series.get(point.id);
    if (s === undefined || s.open || s.t.length === 0 || this.#have === null) return null;
    const end = s.t[s.t.length - 1] as number;
    const now = Math.min(this.now / 1000, this.window.to / 1000);
    const stale = this.#staleAfter(point);
    if (stale !== null && now - s.last > stale) return null;
    // History that ends before now: whatever follows is not here, so nothing is claimed.
    const covered = this.#covered();
    if (covered === null || covered.to < this.now - 2000 * Math.max(this.dt, 1)) return null;
    return now > end ? now : null;
  }

  /** Newest moment with data of any pen, in nanoseconds. */
  lastNs(): string {
    let last = Number.NaN;
    for (const s of this.#series.values()) if (!(s.last <= last)) last = s.last;
    return Number.isFinite(last) ? msToNs(last * 1000) : "";
  }

  #staleAfter(point: Point): number | null {
    if (connection.state === "lost") return Math.max(0, (this.now - connection.lostSinceMs) / 1000);
    if (point.period_ms === null || !isStale(Number.MAX_VALUE, point.period_ms)) return null;
    // A column may end a whole width before now; younger than that is not silent.
    return (3 * Math.max(point.period_ms, 500)) / 1000 + this.dt;
  }

  #subscribe(): void {
    this.#subscription?.close();
    const points = this.points;
    if (points.length === 0) {
      this.#subscription = null;
      return;
    }
    const s = subscribe(points.map((p) => p.id), LIVE_HZ, () => this.#take(points, s));
    this.#subscription = s;
  }

  #take(points: readonly Point[], s: Subscription): void {
    let changed = false;
    points.forEach((point, i) => {
      const live = s.live[i];
      if (live === undefined || !live.known || Number.isNaN(live.timeMs)) return;
      const raw = live.value;
      const sample: LiveSample = {
        point: point.id,
        t: live.timeMs / 1000,
        value: typeof raw === "bigint" ? Number(raw) : typeof raw === "number" ? raw : Number.NaN,
        bad: live.quality < UNCERTAIN || raw === null,
      };
      const series = this.#series.get(point.id);
      if (series === undefined || this.#have === null) {
        this.#tail.push(sample);
        return;
      }
      if (append(series, sample.t, sample.value, sample.bad)) {
        this.#tail.push(sample);
        changed = true;
      }
    });
    if (changed) this.version++;
  }

  #tick(): void {
    if (document.hidden) return;
    this.now = connection.serverNow();
    const connected = connection.state === "live";
    // What came while the socket was away is only in the store.
    if (connected && !this.#connected) this.#have = null;
    this.#connected = connected;
    if (this.live) {
      const step = this.now - this.window.to;
      if (step >= span(this.window) / this.#width) this.window = pan(this.window, step);
    }
    const due = this.live && performance.now() - this.#fetchedAt > REFRESH_MS;
    if (due || this.#have === null) this.#schedule(0, due);
    else if (!this.live) this.#schedule(REFINE_MS);
  }

  #schedule(after: number, force = false): void {
    if (!this.#open || this.points.length === 0) return;
    if (!force && serves(this.#covered(), this.dt * 1000, this.window, this.now, this.#width)) return;
    clearTimeout(this.#refine);
    this.#refine = setTimeout(() => void this.#fetch(), after);
  }

  /** What is here: fetched, and since then appended. */
  #covered(): TimeWindow | null {
    if (this.#have === null) return null;
    const appended = performance.now() - this.#fetchedAt < REFRESH_MS * 2 && this.#have.to >= this.now - REFRESH_MS * 2;
    return appended ? { from: this.#have.from, to: Math.max(this.#have.to, this.now) } : this.#have;
  }

  async #fetch(): Promise<void> {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    const ask = askFor(this.window, this.now);
    const columns = Math.round((this.#width * span(ask)) / span(this.window));
    const points = this.points;
    const tailFrom = this.#tail.length;
    this.loading = true;
    try {
      const buffer = await postBinary(
        "/trend",
        {
          points: points.map((p) => p.id),
          from_ns: msToNs(ask.from),
          to_ns: msToNs(ask.to),
          px: Math.max(10, Math.min(COLUMNS_MAX, columns)),
          mode: "auto",
        },
        abort.signal,
      );
      if (abort.signal.aborted) return;
      this.#put(points, decodeTrend(buffer), ask, tailFrom);
      this.problem = null;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.problem = error as Problem;
      this.#have ??= null;
    } finally {
      if (this.#abort === abort) {
        this.#abort = null;
        this.loading = false;
        this.#fetchedAt = performance.now();
      }
    }
  }

  #put(points: readonly Point[], trend: Trend, ask: TimeWindow, tailFrom: number): void {
    const unknown = new Set<string>();
    const t0 = nsToMs(trend.t0Ns) / 1000;
    const dt = Number(trend.dtNs) / 1e9;
    points.forEach((point, i) => {
      const pen = trend.pens[i];
      if (pen === undefined || pen.state === 1) {
        unknown.add(point.id);
        this.#series.set(point.id, emptySeries());
        return;
      }
      const gaps = pen.gaps.map((g) => ({ begin: nsToMs(g.beginNs) / 1000, end: nsToMs(g.endNs) / 1000 }));
      const common = { gaps, before: pen.before };
      const from = trend.mode === "envelope" ? Math.min(t0, ask.from / 1000) : ask.from / 1000;
      this.#series.set(
        point.id,
        "min" in pen
          ? fromDecoded({ ...common, min: pen.min, max: pen.max, time: (k) => t0 + (k + 0.5) * dt }, from, ask.to / 1000, dt)
          : fromDecoded({ ...common, min: pen.value, max: pen.value, time: (k) => t0 + (pen.seconds[k] as number) }, from, ask.to / 1000, 0),
      );
    });
    // Samples that the socket brought while the answer was on its way, and some before: `append` drops what is known.
    for (const sample of this.#tail) {
      const series = this.#series.get(sample.point);
      if (series !== undefined) append(series, sample.t, sample.value, sample.bad);
    }
    this.#tail = this.#tail.slice(Math.max(0, tailFrom - 50 * points.length));
    this.unknown = unknown;
    this.mode = trend.mode;
    this.dt = trend.mode === "envelope" ? dt : 0;
    this.#have = ask;
    this.version++;
  }
}
