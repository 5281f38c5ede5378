/** How many points of the plant are good right now, asked for again every fifteen seconds. */
import { get } from "../../lib/api.ts";
import { connection } from "../../lib/live.svelte.ts";
import { GOOD, isStale } from "../../lib/quality.ts";
import { nsToMs } from "../../lib/time.ts";
import type { LastValue, Point } from "../../lib/types.ts";

const REFRESH_MS = 15_000;
const IDS_MAX = 100;
/** Above this the count would cost more than it tells; the connections' figures remain. */
const POINTS_MAX = 3_000;

export class QualityCount {
  /** Null until it is known. */
  good = $state<number | null>(null);
  total = $state(0);

  watch(points: readonly Point[]): () => void {
    this.total = points.length;
    if (points.length === 0 || points.length > POINTS_MAX) return () => undefined;
    const ask = (): void => {
      if (!document.hidden && !connection.isLost) this.#count(points).catch(() => (this.good = null));
    };
    ask();
    const timer = setInterval(ask, REFRESH_MS);
    return () => clearInterval(timer);
  }

  async #count(points: readonly Point[]): Promise<void> {
    let good = 0;
    for (let i = 0; i < points.length; i += IDS_MAX) {
      const some = points.slice(i, i + IDS_MAX);
      const ids = some.map((p) => p.id).join(",");
      const answer = await get<{ server_time_ns: string; values: (LastValue | null)[] }>(
        `/points/last?ids=${ids}`,
      );
      const now = nsToMs(answer.server_time_ns ?? String(connection.serverNow() * 1e6));
      answer.values.forEach((v, k) => {
        if (v === null || v.quality < GOOD) return;
        if (!isStale(now - nsToMs(v.time_ns), some[k]?.period_ms ?? null)) good++;
      });
    }
    this.good = good;
  }
}
