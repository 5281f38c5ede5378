/** Where band, limits and pointer of an indicator lie. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { exceeded, isOutermost, overSpan, place, scaleOf } from "./indicator.ts";
import type { Limit } from "./types.ts";

const limit = (side: "high" | "low", level: number, priority: 1 | 2 | 3 | 4): Limit => ({
  rule_id: `${side}${level}`, name: "", side, level, priority,
});
const limits = [limit("low", 1, 1), limit("low", 1.3, 3), limit("high", 4, 2)];
const bare = { low: null, high: null, normal_low: null, normal_high: null, limits: [] };

test("without range, band and limits there is no scale", () => {
  assert.equal(scaleOf(bare), null);
});

test("limits alone make a scale with room at both ends", () => {
  const scale = scaleOf({ ...bare, limits: [limit("low", 0, 1), limit("high", 10, 1)] });

  assert.deepEqual(scale, { low: -1, high: 11 });
});

test("a value outside the range stays at its end", () => {
  assert.equal(place(99, { low: 0, high: 10 }), 1);
  assert.equal(place(-5, { low: 0, high: 10 }), 0);
});

test("of two passed limits the more urgent counts, drawn from the first", () => {
  assert.equal(exceeded(0.8, limits)?.priority, 1);
  assert.deepEqual(overSpan(0.8, limits, { low: 0, high: 10 }), { from: 0.08, to: 0.13, priority: 1 });
});

test("a value at its limit has not passed it", () => {
  assert.equal(exceeded(4, limits), null);
});

test("only the outer of two limits is thick", () => {
  assert.equal(isOutermost(limits[0]!, limits), true);
  assert.equal(isOutermost(limits[1]!, limits), false);
  assert.equal(isOutermost(limits[2]!, limits), false);
});
