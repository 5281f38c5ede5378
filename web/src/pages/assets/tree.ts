/** The asset tree as a flat list of the rows that are open, for 10,000 nodes and more. Pure. */
import type { Asset } from "../../lib/types.ts";

export interface Row {
  asset: Asset;
  level: number;
  children: number;
  open: boolean;
  /** Place among the siblings, from 1, and their number: what a screen reader says. */
  place: number;
  of: number;
}

export interface Index {
  byId: Map<string, Asset>;
  byPath: Map<string, Asset>;
  children: Map<string | null, Asset[]>;
}

export function index(assets: readonly Asset[]): Index {
  const byId = new Map(assets.map((a) => [a.id, a]));
  const byPath = new Map(assets.map((a) => [a.path, a]));
  const children = new Map<string | null, Asset[]>();
  for (const asset of assets) {
    // An asset whose parent is not visible to this user is a root here.
    const parent = asset.parent_id !== null && byId.has(asset.parent_id) ? asset.parent_id : null;
    const list = children.get(parent);
    if (list === undefined) children.set(parent, [asset]);
    else list.push(asset);
  }
  return { byId, byPath, children };
}

export function rows(ix: Index, open: ReadonlySet<string>): Row[] {
  const result: Row[] = [];
  const walk = (parent: string | null, level: number): void => {
    const list = ix.children.get(parent) ?? [];
    list.forEach((asset, i) => {
      const children = ix.children.get(asset.id)?.length ?? 0;
      const isOpen = children > 0 && open.has(asset.id);
      result.push({ asset, level, children, open: isOpen, place: i + 1, of: list.length });
      if (isOpen) walk(asset.id, level + 1);
    });
  };
  walk(null, 1);
  return result;
}

/** Ids from the root down to the parent of `id`: what must be open to see it. */
export function ancestors(ix: Index, id: string): string[] {
  const result: string[] = [];
  let at = ix.byId.get(id)?.parent_id ?? null;
  while (at !== null && ix.byId.has(at) && !result.includes(at)) {
    result.unshift(at);
    at = ix.byId.get(at)?.parent_id ?? null;
  }
  return result;
}

/** Rows whose name or path has every word, with all that leads to them; at most `most` hits. */
export function search(ix: Index, text: string, most: number): { open: Set<string>; hits: Set<string> } {
  const words = text.toLowerCase().split(/\s+/).filter((w) => w !== "");
  const open = new Set<string>();
  const hits = new Set<string>();
  for (const asset of ix.byId.values()) {
    const name = `${asset.name} ${asset.path}`.toLowerCase();
    if (!words.every((w) => name.includes(w))) continue;
    hits.add(asset.id);
    for (const id of ancestors(ix, asset.id)) open.add(id);
    if (hits.size >= most) break;
  }
  return { open, hits };
}

export type TreeKey = { focus?: string; open?: string; close?: string; choose?: string };

/** What a key does in the tree (WAI-ARIA tree pattern), `null` for any other key. */
export function onKey(list: readonly Row[], focused: string | null, key: string): TreeKey | null {
  const at = Math.max(0, list.findIndex((r) => r.asset.id === focused));
  const row = list[at];
  if (row === undefined) return null;
  const id = (i: number): TreeKey => ({ focus: (list[Math.max(0, Math.min(list.length - 1, i))] as Row).asset.id });
  switch (key) {
    case "ArrowDown":
      return id(at + 1);
    case "ArrowUp":
      return id(at - 1);
    case "Home":
      return id(0);
    case "End":
      return id(list.length - 1);
    case "ArrowRight":
      if (row.children === 0) return {};
      return row.open ? id(at + 1) : { open: row.asset.id };
    case "ArrowLeft": {
      if (row.open) return { close: row.asset.id };
      for (let i = at - 1; i >= 0; i--) if ((list[i] as Row).level < row.level) return id(i);
      return {};
    }
    case "Enter":
    case " ":
      return { choose: row.asset.id };
    default:
      return null;
  }
}
