import assert from "node:assert/strict";
import { test } from "node:test";
import { ancestors, index, onKey, rows, search } from "./tree.ts";
import type { Asset } from "../../lib/types.ts";

const asset = (path: string, parent: string | null): Asset => ({ id: path, path, name: path.split("/").at(-1) ?? path, parent_id: parent, level: "unit", type: null, description: "", simulated: false });
const ASSETS = [asset("w", null), asset("w/a", "w"), asset("w/a/p1", "w/a"), asset("w/a/p2", "w/a"), asset("w/b", "w")];
const IX = index(ASSETS);

test("closed branches are not in the list", () => {
  assert.deepEqual(rows(IX, new Set(["w"])).map((r) => [r.asset.id, r.level, r.children]), [["w", 1, 2], ["w/a", 2, 2], ["w/b", 2, 0]]);
});

test("an asset without a visible parent is a root", () => {
  assert.deepEqual(rows(index([asset("x/y", "x")]), new Set()).map((r) => r.level), [1]);
});

test("the way to an asset", () => {
  assert.deepEqual(ancestors(IX, "w/a/p2"), ["w", "w/a"]);
});

test("search opens what leads to a hit", () => {
  const { open, hits } = search(IX, "p2", 10);
  assert.deepEqual([[...open], [...hits]], [["w", "w/a"], ["w/a/p2"]]);
});

test("arrows follow the tree pattern", () => {
  const list = rows(IX, new Set(["w", "w/a"]));
  assert.deepEqual(onKey(list, "w/a", "ArrowRight"), { focus: "w/a/p1" });
  assert.deepEqual(onKey(list, "w/a/p2", "ArrowLeft"), { focus: "w/a" });
  assert.deepEqual(onKey(list, "w/a", "ArrowLeft"), { close: "w/a" });
  assert.deepEqual(onKey(list, "w/b", "ArrowDown"), { focus: "w/b" });
  assert.deepEqual(onKey(list, "w/b", "Enter"), { choose: "w/b" });
  assert.equal(onKey(list, "w/b", "x"), null);
});

test("ten thousand nodes are listed in a blink", () => {
  const many = [asset("r", null), ...Array.from({ length: 10_000 }, (_, i) => asset(`r/${i}`, "r"))];
  const started = performance.now();
  assert.equal(rows(index(many), new Set(["r"])).length, 10_001);
  assert.ok(performance.now() - started < 500);
});
