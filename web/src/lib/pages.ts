/**
 * The pages that exist, each a chunk that loads when it is opened.
 *
 * A page is a folder `pages/<noun>/` with a component of the same name (`Trend.svelte`). The menu
 * shows only what is here, so an unfinished page is simply not there. Once the first page is shown
 * the others are loaded as well, so that an outage later keeps nobody from any page.
 */
import type { Component } from "svelte";
import { loadCatalogues } from "./i18n.svelte.ts";
import { needsReload, patiently } from "./patience.ts";
import type { RouteName } from "./router.svelte.ts";

type Loader = () => Promise<{ default: Component }>;

const FILES = import.meta.glob<{ default: Component }>([
  "../pages/overview/Overview.svelte",
  "../pages/assets/Assets.svelte",
  "../pages/trend/Trend.svelte",
  "../pages/alarms/Alarms.svelte",
  "../pages/system/System.svelte",
  "../pages/login/Login.svelte",
  "../pages/setup/Setup.svelte",
  "../pages/not-found/NotFound.svelte",
]);

const BY_NAME = new Map<string, Loader>(
  Object.entries(FILES).map(([path, load]) => [path.split("/")[2] ?? "", load]),
);

/** The page, as soon as the server gives it; `late` is called for each try that failed. */
export async function loadPage(
  name: RouteName,
  late: () => void,
  signal: AbortSignal,
): Promise<Component | undefined> {
  const load = pageLoader(name);
  const failed = (_error: unknown, failures: number): void => {
    console.warn("page_not_loaded", name, failures);
    late();
    void reloadIfNeeded(failures, signal);
  };
  return (await patiently(load, failed, signal))?.default;
}

let isLoadingAll = false;

/** Every other page and language, one after the other, while the browser has nothing to do. */
export function loadAllWhenIdle(): void {
  if (isLoadingAll) return;
  isLoadingAll = true;
  void (async () => {
    for (const load of [...BY_NAME.values(), loadCatalogues]) {
      await idle();
      await patiently<unknown>(load);
    }
    document.documentElement.dataset["loaded"] = "all";
  })();
}

/** Safari has no requestIdleCallback. */
function idle(): Promise<void> {
  return new Promise((resolve) => {
    if ("requestIdleCallback" in globalThis) requestIdleCallback(() => resolve(), { timeout: 2_000 });
    else setTimeout(resolve, 200);
  });
}

const RELOADED_AT = "penstock.reloaded_ms";

/** No page is shown here, so a reload costs nobody what they typed. */
async function reloadIfNeeded(failures: number, signal: AbortSignal): Promise<void> {
  const entry = document.querySelector<HTMLScriptElement>("script[type=module]");
  try {
    const answer = await fetch("/", { cache: "no-store", signal });
    const html = await answer.text();
    const since = Date.now() - Number(sessionStorage.getItem(RELOADED_AT) ?? 0);
    const path = entry?.getAttribute("src") ?? "";
    if (signal.aborted || !answer.ok || !needsReload(html, path, failures, since)) return;
    sessionStorage.setItem(RELOADED_AT, String(Date.now()));
    location.reload();
  } catch {
    // The server does not answer: there is nothing to reload from.
  }
}

function pageLoader(name: RouteName): Loader {
  const load = BY_NAME.get(name) ?? BY_NAME.get("not-found");
  if (load === undefined) throw new Error("the page not-found is missing");
  return load;
}

export function hasPage(name: RouteName): boolean {
  return BY_NAME.has(name);
}
