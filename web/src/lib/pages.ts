/**
 * The pages that exist, each a chunk that loads when it is opened.
 *
 * A page is a folder `pages/<noun>/` with a component of the same name (`Trend.svelte`). The menu
 * shows only what is here, so an unfinished page is simply not there.
 */
import type { Component } from "svelte";
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

export function pageLoader(name: RouteName): Loader {
  const load = BY_NAME.get(name) ?? BY_NAME.get("not-found");
  if (load === undefined) throw new Error("the page not-found is missing");
  return load;
}

export function hasPage(name: RouteName): boolean {
  return BY_NAME.has(name);
}
