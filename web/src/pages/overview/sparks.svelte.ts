/** The mini trends of the overview: one trend request for sixteen points, again each minute. */
import { postBinary } from "../../lib/api.ts";
import { decodeTrend } from "../../lib/frames.ts";
import { connection } from "../../lib/live.svelte.ts";
import { sparkOf, type SparkData } from "../../lib/spark.ts";
import { msToNs } from "../../lib/time.ts";

const SPAN_MS = 3_600_000;
const COLUMNS = 48;
const PENS_MAX = 16;
const REFRESH_MS = 60_000;

export class Sparks {
  data = $state.raw<ReadonlyMap<string, SparkData | null>>(new Map());
  #wanted: readonly string[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;
  #abort: AbortController | undefined;

  /** Call in an effect; the answer stops it. */
  watch(points: readonly string[]): () => void {
    this.#wanted = points;
    void this.#fetch();
    this.#timer = setInterval(() => {
      if (!document.hidden && connection.state === "live") void this.#fetch();
    }, REFRESH_MS);
    return () => {
      clearInterval(this.#timer);
      this.#abort?.abort();
    };
  }

  async #fetch(): Promise<void> {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    const now = connection.serverNow();
    for (let i = 0; i < this.#wanted.length; i += PENS_MAX) {
      const points = this.#wanted.slice(i, i + PENS_MAX);
      try {
        await this.#fetchSome(points, now, abort.signal);
      } catch {
        return; // The row shows its value without the line; the next minute tries again.
      }
    }
  }

  async #fetchSome(points: readonly string[], now: number, signal: AbortSignal): Promise<void> {
    const answer = await postBinary(
      "/trend",
      {
        points,
        from_ns: msToNs(now - SPAN_MS),
        to_ns: msToNs(now),
        px: COLUMNS,
        mode: "envelope",
      },
      signal,
    );
    const trend = decodeTrend(answer);
    if (trend.mode !== "envelope") return;
    const next = new Map(this.data);
    trend.pens.forEach((pen, i) => {
      const id = points[i];
      if (id !== undefined) next.set(id, sparkOf(pen, trend.t0Ns, trend.dtNs));
    });
    this.data = next;
  }
}
