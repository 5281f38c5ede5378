/**
 * Routes with the history API. All state of a page is in the URL, so a link shows what I see.
 *
 * A plain `<a href="/alarms">` is enough: clicks on links inside the site are caught here.
 */

export type RouteName =
  | "overview" | "assets" | "trend" | "alarms" | "system" | "login" | "setup" | "not-found";

export interface Route {
  name: RouteName;
  path: string;
  /** Below `/assets/`: the asset path, decoded; else "". */
  rest: string;
}

const NAMES: Record<string, RouteName> = {
  "": "overview",
  assets: "assets",
  trend: "trend",
  alarms: "alarms",
  system: "system",
  login: "login",
  setup: "setup",
};

export function match(path: string): Route {
  const [first = "", ...more] = path.replace(/^\/+|\/+$/g, "").split("/");
  const name = NAMES[first];
  if (name === undefined || (more.length > 0 && name !== "assets")) {
    return { name: "not-found", path, rest: "" };
  }
  return { name, path, rest: more.map(decode).join("/") };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** `/assets/…` for an asset path, each part encoded. */
export function assetHref(assetPath: string): string {
  return `/assets/${assetPath.split("/").map(encodeURIComponent).join("/")}`;
}

/** `/trend?points=…` */
export function trendHref(points: readonly string[], more: Record<string, string> = {}): string {
  return `/trend?${new URLSearchParams({ points: points.join(","), ...more })}`;
}

class Router {
  route = $state.raw<Route>(match(location.pathname));
  query = $state.raw(new URLSearchParams(location.search));
  hash = $state(location.hash);

  /** Change a part of the query; null removes a key. Typing and zooming replace, acts push. */
  setQuery(change: Record<string, string | null>, { push = false } = {}): void {
    const query = new URLSearchParams(location.search);
    for (const [key, value] of Object.entries(change)) {
      if (value === null) query.delete(key);
      else query.set(key, value);
    }
    const text = query.toString();
    navigate(location.pathname + (text === "" ? "" : `?${text}`), { replace: !push });
  }
}

export const router = new Router();

export function navigate(href: string, { replace = false } = {}): void {
  const before = location.pathname;
  if (replace) history.replaceState(null, "", href);
  else history.pushState(null, "", href);
  read();
  if (location.pathname !== before) document.getElementById("main")?.scrollTo(0, 0);
}

function read(): void {
  if (location.pathname !== router.route.path) router.route = match(location.pathname);
  router.query = new URLSearchParams(location.search);
  router.hash = location.hash;
}

function onClick(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element | null)?.closest("a");
  if (!link || link.target !== "" || link.hasAttribute("download")) return;
  const to = new URL(link.href, location.href);
  if (to.origin !== location.origin || to.pathname.startsWith("/api/")) return;
  if (to.pathname === location.pathname && to.search === location.search && to.hash !== "") return;
  event.preventDefault();
  navigate(to.pathname + to.search + to.hash);
}

export function startRouter(): void {
  addEventListener("popstate", read);
  addEventListener("hashchange", read);
  document.addEventListener("click", onClick);
}
