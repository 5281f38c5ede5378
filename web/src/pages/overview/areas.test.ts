/** What the overview chooses to show. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Alarm, Asset, Point } from "../../lib/types.ts";
import { areasOf, choosePoints, nameInArea } from "./areas.ts";

const asset = (path: string, level: string, parent: string | null): Asset => ({
  id: path, path, name: path.split("/").at(-1) ?? "", parent_id: parent, level, type: null, description: "", simulated: false,
});

const point = (id: string, more: Partial<Point> = {}): Point => ({
  id, path: id, asset_id: "site/a", name: id, label: id, description: "", kind: "float", unit: "bar",
  unit_label: "bar", low: null, high: null, decimals: 1, normal_low: null, normal_high: null,
  writable: false, command_low: null, command_high: null, labels: null, connector: null, device: null,
  period_ms: 1000, simulated: true, limits: [], ...more,
});

const limit = { rule_id: "r", name: "H", side: "high", level: 1, priority: 2 } as const;

test("areas are the assets of that level", () => {
  const assets = [asset("site", "site", null), asset("site/a", "area", "site"), asset("site/a/p", "unit", "site/a")];

  assert.deepEqual(areasOf(assets).map((a) => a.path), ["site/a"]);
});

test("a plant without areas shows what lies below its roots", () => {
  const assets = [asset("site", "enterprise", null), asset("site/x", "unit", "site")];

  assert.deepEqual(areasOf(assets).map((a) => a.path), ["site/x"]);
});

test("points with limits come first but keep the order of the plant", () => {
  const points = [point("p1"), point("p2", { limits: [limit] }), point("p3", { limits: [limit] }), point("t", { kind: "text" })];

  assert.deepEqual(choosePoints(points, [], 2).map((p) => p.id), ["p2", "p3"]);
});

test("a point in alarm is always there", () => {
  const points = [point("p1", { limits: [limit] }), point("p2")];
  const alarm = { point_id: "p2", priority: 3 } as Alarm;

  assert.deepEqual(choosePoints(points, [alarm], 1).map((p) => p.id), ["p2"]);
});

test("a point of an asset below is named with it, once", () => {
  const area = asset("site/a", "area", "site");
  const pump = asset("site/a/P-1", "unit", "site/a");

  assert.equal(nameInArea(point("x", { label: "Flow" }), pump, area), "P-1 Flow");
  assert.equal(nameInArea(point("x", { label: "P-1 flow" }), pump, area), "P-1 flow");
  assert.equal(nameInArea(point("x", { label: "Level" }), area, area), "Level");
});
