/**
 * Tries again until it works: an outage while something loads must end by itself.
 *
 * Chromium asks again for a module whose request has failed. Other engines may remember the
 * failure as long as the document lives, and a chunk that a newer build has replaced never comes:
 * then only a reload helps (`needsReload`). An address with "?again" is no way out, because a
 * module loaded under two addresses is two modules, each with a state of its own.
 */
const RETRY_MS = [1_000, 2_000, 4_000, 5_000] as const;
/** So often an answering server may fail to deliver before the engine itself is blamed. */
const FAILURES_MAX = 4;
const RELOAD_PAUSE_MS = 60_000;

const waiting = new Set<() => void>();

/** All that wait for their next try do it now: the server was heard of, or a person asked. */
export function tryNow(): void {
  for (const go of [...waiting]) go();
}

/** How long to wait after the n-th failure; the first is 1. */
export function pauseMs(failures: number): number {
  return RETRY_MS[Math.min(failures, RETRY_MS.length) - 1] ?? 5_000;
}

/** The result of the first try that works; undefined when `signal` ended it before. */
export async function patiently<T>(
  work: () => Promise<T>,
  failed: (error: unknown, failures: number) => void = () => undefined,
  signal: AbortSignal = new AbortController().signal,
): Promise<T | undefined> {
  for (let failures = 1; !signal.aborted; failures++) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) return undefined;
      failed(error, failures);
      await pause(pauseMs(failures), signal);
    }
  }
  return undefined;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      waiting.delete(done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    waiting.add(done);
    signal.addEventListener("abort", done);
  });
}

/**
 * Whether only a reload brings the chunk. `html` is the server's page of this moment, so it answers
 * and the reload cannot end on the browser's own error page.
 */
export function needsReload(
  html: string,
  entry: string,
  failures: number,
  sinceReloadMs: number,
): boolean {
  if (sinceReloadMs < RELOAD_PAUSE_MS) return false;
  const isReplaced = html.includes('<div id="app">') && !html.includes(entry);
  return isReplaced || (html.includes(entry) && failures >= FAILURES_MAX);
}
