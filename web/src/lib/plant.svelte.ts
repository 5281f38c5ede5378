/**
 * Assets and points of the plant, loaded once and kept: names, units and limits change seldom.
 *
 * When they have, the server says so on the live socket and everything is fetched again.
 */
import { get } from "./api.ts";
import { t } from "./i18n.svelte.ts";
import { expectFrom, onResync } from "./live.svelte.ts";
import { simulationOfPlant, type Simulation } from "./simulated.ts";
import { isSystemPath } from "./system.ts";
import type { Fed } from "./alarm.ts";
import type { Asset, Point } from "./types.ts";

const PAGES_MAX = 50;

class Plant {
  assets = $state.raw<readonly Asset[]>([]);
  /** False before the first answer. */
  loaded = $state(false);
  #answered = $state.raw<readonly Point[]>([]);
  /** In the words of the reader: they change with the language. */
  readonly points: readonly Point[] = $derived(this.#answered.map(inWords));
  #byId = $derived(new Map(this.points.map((p) => [p.id, p])));
  #byAsset = $derived(byAsset(this.points));
  #assetById = $derived(new Map(this.assets.map((a) => [a.id, a])));
  /** Assets by the device that feeds them. */
  #byDevice = $derived.by(() => {
    const found = new Map<string, Set<string>>();
    for (const p of this.points) {
      const path = this.#assetById.get(p.asset_id)?.path;
      if (path === undefined || isSystemPath(path)) continue;
      const key = deviceKey(p);
      found.set(key, (found.get(key) ?? new Set()).add(path));
    }
    return found;
  });
  readonly simulation: Simulation = $derived(simulationOfPlant(this.points));
  /** Connectors that are simulators. */
  readonly simulators: ReadonlySet<string> = $derived(
    new Set(this.points.flatMap((p) => (p.simulated && p.connector !== null ? [p.connector] : []))),
  );
  #running: Promise<void> | undefined;

  point(id: string): Point | undefined {
    return this.#byId.get(id);
  }

  pointsOf(assetId: string): readonly Point[] {
    return this.#byAsset.get(assetId) ?? [];
  }

  asset(path: string): Asset | undefined {
    return this.assets.find((a) => a.path === path);
  }

  assetById(id: string): Asset | undefined {
    return this.#assetById.get(id);
  }

  /** The points of an asset and of everything below it. */
  pointsBelow(asset: Asset): Point[] {
    const prefix = `${asset.path}/`;
    return this.assets
      .filter((a) => a.id === asset.id || a.path.startsWith(prefix))
      .flatMap((a) => this.pointsOf(a.id));
  }

  /** Paths of the assets that a lost device feeds; of any other alarm none. */
  fed: Fed = (alarm) => {
    const point = alarm.kind === "communication" ? this.point(alarm.point_id ?? "") : undefined;
    return point === undefined ? [] : [...(this.#byDevice.get(deviceKey(point)) ?? [])];
  };

  async load(again = false): Promise<void> {
    if (this.loaded && !again) return;
    this.#running ??= this.#fetch().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #fetch(): Promise<void> {
    const [assets, points] = await Promise.all([
      get<{ assets: Asset[] }>("/assets"),
      allPoints(),
    ]);
    this.assets = assets.assets;
    this.#answered = points;
    this.loaded = true;
  }
}

function byAsset(points: readonly Point[]): Map<string, Point[]> {
  const found = new Map<string, Point[]>();
  for (const p of points) {
    const list = found.get(p.asset_id);
    if (list === undefined) found.set(p.asset_id, [p]);
    else list.push(p);
  }
  return found;
}

function deviceKey(point: Point): string {
  return JSON.stringify([point.connector, point.device]);
}

/** A point that the node adds itself has no words of its own: they are the reader's. */
function inWords(point: Point): Point {
  if (!isSystemPath(point.path) || point.name !== "connected") return point;
  const name = point.device ?? point.connector ?? "";
  const labels = { "0": t("point.no"), "1": t("point.yes") };
  return { ...point, label: t("point.answers", { name }), labels };
}

async function allPoints(): Promise<Point[]> {
  const out: Point[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < PAGES_MAX; page++) {
    const query: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const answer: { points: Point[]; cursor: string | null } = await get(`/points?limit=1000${query}`);
    out.push(...answer.points);
    cursor = answer.cursor;
    if (cursor === null) break;
  }
  return out;
}

export const plant = new Plant();

expectFrom((id) => (plant.point(id)?.period_ms ?? null) !== null);

onResync(() => {
  if (plant.loaded) plant.load(true).catch(() => undefined);
});
