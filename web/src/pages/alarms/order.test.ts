import assert from "node:assert/strict";
import { test } from "node:test";
import { mark } from "../../lib/alarm.ts";
import { click, keep, matches, NOTHING, ordered, range, step, timeLeft, toggle, visible } from "./order.ts";
import type { Priority } from "../../lib/types.ts";

const row = (id: string, acknowledged: boolean, priority: Priority, raised_ns: string) => ({ id, acknowledged, priority, raised_ns });

test("unacknowledged first, then priority, then the newest", () => {
  const rows = [row("a", true, 1, "900"), row("b", false, 3, "100"), row("c", false, 2, "100"), row("d", false, 2, "1000")];
  assert.deepEqual(ordered(rows).map((r) => r.id), ["d", "c", "b", "a"]);
});

test("equal rows keep their places", () => {
  const rows = [row("b", false, 1, "5"), row("a", false, 1, "5")];
  assert.deepEqual(ordered(rows).map((r) => r.id), ["a", "b"]);
  assert.deepEqual(ordered([...rows].reverse()).map((r) => r.id), ["a", "b"]);
});

test("a filter finds words and priorities", () => {
  const alarm = { name: "Suction pressure low", asset_path: "works/booster/b-301", point_path: "works/booster/b-301/pt", priority: 1 as Priority };
  assert.ok(matches(alarm, "b-301 pressure"));
  assert.ok(matches(alarm, "P1 low"));
  assert.ok(!matches(alarm, "p2"));
  assert.ok(matches(alarm, "  "));
});

test("a returned alarm is hollow even when nobody acknowledged it", () => {
  assert.equal(mark({ active: false, acknowledged: false, shelved: false }), "rtn");
  assert.equal(mark({ active: true, acknowledged: false, shelved: false }), "unack");
});

test("Shift selects from the anchor in both directions", () => {
  const order = ["a", "b", "c", "d"];
  let s = click(order, NOTHING, "c", { shift: false, toggle: false });
  s = range(order, s, "a");
  assert.deepEqual([...s.ids], ["a", "b", "c"]);
  s = range(order, s, "d");
  assert.deepEqual([...s.ids], ["c", "d"]);
});

test("Space toggles one row", () => {
  const s = toggle(toggle(NOTHING, "a"), "b");
  assert.deepEqual([...s.ids], ["a", "b"]);
  assert.deepEqual([...toggle(s, "a").ids], ["b"]);
});

test("a row that left the list is not acknowledged by accident", () => {
  assert.deepEqual([...keep({ ids: new Set(["a", "b"]), anchor: "a" }, ["b"]).ids], ["b"]);
});

test("J and K hold at the ends", () => {
  assert.equal(step(["a", "b"], "b", 1), "b");
  assert.equal(step(["a", "b"], null, 1), "a");
  assert.equal(step(["a", "b"], "b", -1), "a");
  assert.equal(step([], "b", 1), null);
});

test("time to respond runs from the raise and ends with the alarm", () => {
  const alarm = { time_to_respond_s: 300, raised_ns: "1000000000", active: true };
  assert.equal(timeLeft(alarm, 61_000), 240_000);
  assert.equal(timeLeft({ ...alarm, active: false }, 61_000), null);
});

test("only rows near the view are drawn", () => {
  assert.deepEqual(visible(10_000, 30, 3000, 600, 5), { first: 95, last: 125 });
  assert.deepEqual(visible(3, 30, 0, 600), { first: 0, last: 3 });
});
