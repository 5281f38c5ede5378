/** Fetches the journal of the last four hours, again each minute, and counts it. */
import { get } from "../../lib/api.ts";
import { connection } from "../../lib/live.svelte.ts";
import { msToNs, nsToRfc3339, toNs } from "../../lib/time.ts";
import { ratesOf, SPAN_MS, type Raised, type Rates } from "./rate.ts";

const REFRESH_MS = 60_000;
const PAGES_MAX = 20;

export class AlarmRates {
  /** Null until it is known; the page then leaves the figure out. */
  current = $state.raw<Rates | null>(null);

  watch(areaOf: (pointId: string) => string | undefined): () => void {
    const ask = (): void => {
      if (!document.hidden && !connection.isLost) this.#fetch(areaOf).catch(() => (this.current = null));
    };
    ask();
    const timer = setInterval(ask, REFRESH_MS);
    return () => clearInterval(timer);
  }

  async #fetch(areaOf: (pointId: string) => string | undefined): Promise<void> {
    const now = connection.serverNow();
    const from = nsToRfc3339(msToNs(now - SPAN_MS));
    const to = nsToRfc3339(msToNs(now));
    const events: Raised[] = [];
    let cursor: string | null = null;
    for (let page = 0; page < PAGES_MAX; page++) {
      const query = new URLSearchParams({ from, to });
      if (cursor !== null) query.set("cursor", cursor);
      const answer: { events: Raised[]; cursor?: string | null } = await get(`/alarms/journal?${query}`);
      events.push(...answer.events);
      cursor = answer.cursor ?? null;
      if (cursor === null) break;
    }
    this.current = ratesOf(events, toNs(msToNs(now)), areaOf);
  }
}
