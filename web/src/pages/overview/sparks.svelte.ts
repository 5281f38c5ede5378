/**
 * The mini trends of the overview: one trend request for sixteen points, again and again.
 *
 * They cover an hour. On a plant that is minutes old an hour would be one upright stroke, so the
 * span shrinks until the line fills a good part of it.
 */
import { postBinary } from "../../lib/api.ts";
import { decodeTrend } from "../../lib/frames.ts";
import { connection } from "../../lib/live.svelte.ts";
import { sparkOf, type SparkData } from "../../lib/spark.ts";
import { msToNs } from "../../lib/time.ts";
import { isMostlyEmpty } from "./sparks.ts";

const SPANS_MS = [3_600_000, 600_000, 120_000] as const;
const COLUMNS = 48;
const PENS_MAX = 16;
const REFRESH_MS_MIN = 10_000;
const REFRESH_MS_MAX = 60_000;

type Data = ReadonlyMap<string, SparkData | null>;

export class Sparks {
  data = $state.raw<Data>(new Map());
  /** Minutes that the lines cover. */
  minutes = $state(60);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort = new AbortController();

  /** Call in an effect; the answer stops it. */
  watch(points: readonly string[]): () => void {
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    const ask = async (): Promise<void> => {
      if (!document.hidden && !connection.isLost) await this.#fetch(points, signal).catch(() => undefined);
      if (signal.aborted) return;
      const span = this.minutes * 60_000;
      const wait = Math.min(REFRESH_MS_MAX, Math.max(REFRESH_MS_MIN, span / COLUMNS));
      this.#timer = setTimeout(() => void ask(), wait);
    };
    void ask();
    return () => {
      this.#abort.abort();
      clearTimeout(this.#timer);
    };
  }

  async #fetch(points: readonly string[], signal: AbortSignal): Promise<void> {
    for (const span of SPANS_MS) {
      const data = await fetchSpan(points, span, signal);
      if (span !== SPANS_MS[2] && isMostlyEmpty([...data.values()])) continue;
      this.data = data;
      this.minutes = span / 60_000;
      return;
    }
  }
}

async function fetchSpan(points: readonly string[], span: number, signal: AbortSignal): Promise<Data> {
  const now = connection.serverNow();
  const data = new Map<string, SparkData | null>();
  for (let i = 0; i < points.length; i += PENS_MAX) {
    const some = points.slice(i, i + PENS_MAX);
    const answer = await postBinary(
      "/trend",
      {
        points: some,
        from_ns: msToNs(now - span),
        to_ns: msToNs(now),
        px: COLUMNS,
        mode: "envelope",
      },
      signal,
    );
    const trend = decodeTrend(answer);
    if (trend.mode !== "envelope") continue;
    trend.pens.forEach((pen, k) => {
      const id = some[k];
      if (id !== undefined) data.set(id, sparkOf(pen, trend.t0Ns, trend.dtNs));
    });
  }
  return data;
}
