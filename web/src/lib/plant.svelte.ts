/**
 * Assets and points of the plant, loaded once and kept: names, units and limits change seldom.
 *
 * When they have, the server says so on the live socket and everything is fetched again.
 */
import { get } from "./api.ts";
import { onResync } from "./live.svelte.ts";
import type { Asset, Point } from "./types.ts";

const PAGES_MAX = 50;

class Plant {
  assets = $state.raw<readonly Asset[]>([]);
  points = $state.raw<readonly Point[]>([]);
  /** False before the first answer. */
  loaded = $state(false);
  #byId = new Map<string, Point>();
  #byAsset = new Map<string, Point[]>();
  #assetById = new Map<string, Asset>();
  #running: Promise<void> | undefined;

  point(id: string): Point | undefined {
    void this.points;
    return this.#byId.get(id);
  }

  pointsOf(assetId: string): readonly Point[] {
    void this.points;
    return this.#byAsset.get(assetId) ?? [];
  }

  asset(path: string): Asset | undefined {
    return this.assets.find((a) => a.path === path);
  }

  assetById(id: string): Asset | undefined {
    void this.assets;
    return this.#assetById.get(id);
  }

  /** The points of an asset and of everything below it. */
  pointsBelow(asset: Asset): Point[] {
    const prefix = `${asset.path}/`;
    return this.assets
      .filter((a) => a.id === asset.id || a.path.startsWith(prefix))
      .flatMap((a) => this.pointsOf(a.id));
  }

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
    this.#byId = new Map(points.map((p) => [p.id, p]));
    this.#byAsset = new Map();
    for (const p of points) {
      const list = this.#byAsset.get(p.asset_id);
      if (list === undefined) this.#byAsset.set(p.asset_id, [p]);
      else list.push(p);
    }
    this.#assetById = new Map(assets.assets.map((a) => [a.id, a]));
    this.assets = assets.assets;
    this.points = points;
    this.loaded = true;
  }
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

onResync(() => {
  if (plant.loaded) plant.load(true).catch(() => undefined);
});
