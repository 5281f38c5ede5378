import assert from "node:assert/strict";
import { test } from "node:test";
import { commonSpans, gapSpans, inkSpans, runs } from "./gaps.ts";
import { calmRange, lanes, spread, valueRange, valueTicks } from "./lanes.ts";
import { append, drawnGaps, emptySeries, fromDecoded, readAt } from "./series.ts";
import { askFor, pan, rangeMs, serves, timeTicks, zoom } from "./window.ts";

test("a gap becomes the pixels it covers", () => {
  assert.deepEqual(gapSpans([{ begin: 25, end: 50 }], 0, 100, 400), [[100, 200]]);
});

test("a gap that ends outside the window is cut at its edge", () => {
  assert.deepEqual(gapSpans([{ begin: -10, end: 10 }, { begin: 90, end: 1e9 }], 0, 100, 100), [[0, 10], [90, 100]]);
});

test("a gap shorter than a pixel is still one pixel wide", () => {
  assert.deepEqual(gapSpans([{ begin: 50, end: 50.001 }], 0, 100, 100), [[50, 51]]);
});

test("overlapping gaps merge and ink is exactly the rest", () => {
  const spans = gapSpans([{ begin: 30, end: 60 }, { begin: 20, end: 40 }], 0, 100, 100);
  assert.deepEqual(spans, [[20, 60]]);
  assert.deepEqual(inkSpans(spans, 100), [[0, 20], [60, 100]]);
});

test("only where all pens are unknown is the whole lane hatched", () => {
  assert.deepEqual(commonSpans([[[0, 10], [20, 30]], [[5, 25]]]), [[5, 10], [20, 25]]);
  assert.deepEqual(commonSpans([[[0, 10]], []]), []);
  assert.deepEqual(commonSpans([[[0, 10]]]), [[0, 10]]);
});

test("no run of a line crosses a gap, however short", () => {
  assert.deepEqual(runs([0, 1, 2, 3, 4], [{ begin: 1.5, end: 1.6 }]), [[0, 1], [2, 4]]);
  assert.deepEqual(runs([0, 1, 2, 3], [{ begin: 1, end: 3 }]), [[0, 1], [2, 2], [3, 3]]);
  assert.deepEqual(runs([0, 1, 2], []), [[0, 2]]);
  assert.deepEqual(runs([], []), []);
});

test("many gaps are found in one walk", () => {
  const t = Array.from({ length: 1000 }, (_, i) => i);
  const gaps = Array.from({ length: 99 }, (_, i) => ({ begin: i * 10 + 9.2, end: i * 10 + 9.8 }));
  assert.equal(runs(t, gaps).length, 100);
});

test("columns without a sample are left out and the value before the span opens the line", () => {
  const s = fromDecoded({ min: [Number.NaN, 2, 3], max: [Number.NaN, 2, 4], time: (i) => 10 + i, gaps: [], before: 1 }, 9, 13, 1);
  assert.deepEqual(s.t, [9, 11, 12]);
  assert.deepEqual(s.hi, [1, 2, 4]);
});

test("a bad sample opens a gap, the next one that is not bad closes it", () => {
  const s = emptySeries();
  append(s, 1, 5, false);
  append(s, 2, 5, true);
  append(s, 3, 5, true);
  assert.deepEqual(drawnGaps(s, 3.5, null), [{ begin: 2, end: 3.5 }]);
  append(s, 4, 6, false);
  assert.deepEqual(drawnGaps(s, 9, null), [{ begin: 2, end: 4 }]);
  assert.deepEqual(s.t, [1, 4]);
});

test("a gap that reaches the end of the answer goes on until a good sample comes", () => {
  const s = fromDecoded({ min: [1], max: [1], time: () => 0.5, gaps: [{ begin: 2, end: 10 }], before: Number.NaN }, 0, 10, 1);
  assert.deepEqual(drawnGaps(s, 25, null), [{ begin: 2, end: 25 }]);
  append(s, 26, 1, false);
  assert.deepEqual(drawnGaps(s, 30, null), [{ begin: 2, end: 26 }]);
});

test("a sample that is not newer is not drawn twice", () => {
  const s = emptySeries();
  append(s, 2, 1, false);
  assert.equal(append(s, 2, 9, false), false);
  assert.equal(append(s, 1, 9, false), false);
});

test("live samples fill the columns of the envelope", () => {
  const s = { ...emptySeries(), dt: 10 };
  append(s, 101, 5, false);
  append(s, 105, 7, false);
  append(s, 111, 6, false);
  assert.deepEqual([s.t, s.lo, s.hi], [[101, 111], [5, 6], [7, 6]]);
});

test("a silent tail is a gap once it is stale", () => {
  const s = emptySeries();
  append(s, 10, 1, false);
  assert.deepEqual(drawnGaps(s, 12, 3), []);
  assert.deepEqual(drawnGaps(s, 20, 3), [{ begin: 10, end: 20 }]);
});

test("the crosshair reads nothing inside a gap", () => {
  const s = emptySeries();
  append(s, 1, 5, false);
  assert.equal(readAt(s, 2, [{ begin: 1.5, end: 3 }]), null);
  assert.deepEqual(readAt(s, 1.2, []), { t: 1, lo: 5, hi: 5 });
  assert.equal(readAt(s, 0.5, []), null);
});

test("zoom keeps the moment under the cursor, pan keeps the span", () => {
  const w = { from: 0, to: 100_000 };
  assert.deepEqual(zoom(w, 0.5, 25_000), { from: 12_500, to: 62_500 });
  assert.deepEqual(pan(w, 10), { from: 10, to: 100_010 });
  assert.equal(zoom(w, 1e-9, 0).to, 1000);
});

test("three times the window is asked for, but nothing of the future", () => {
  assert.deepEqual(askFor({ from: 100_000, to: 200_000 }, 1e9), { from: 0, to: 300_000 });
  assert.deepEqual(askFor({ from: 100_000, to: 200_000 }, 210_000), { from: 0, to: 210_000 });
});

test("cached columns serve until they are too coarse, too fine or too far", () => {
  const have = { from: 0, to: 300_000 };
  assert.ok(serves(have, 100, { from: 100_000, to: 200_000 }, 1e9, 1000));
  assert.ok(!serves(have, 100, { from: 250_000, to: 350_000 }, 1e9, 1000));
  assert.ok(!serves(have, 100, { from: 100_000, to: 120_000 }, 1e9, 1000));
  assert.ok(serves(have, 0, { from: 100_000, to: 100_100 }, 1e9, 1000));
});

test("ranges are read strictly", () => {
  assert.equal(rangeMs("6h"), 21_600_000);
  assert.equal(rangeMs("6 hours"), null);
  assert.equal(rangeMs(null), null);
});

test("ticks lie on round local hours also across a clock change", () => {
  // 25 October 2026, 03:00 CEST -> 02:00 CET
  const from = Date.UTC(2026, 9, 24, 22) / 1000;
  const { ticks, step } = timeTicks(from, from + 86_400, 6, "Europe/Berlin");
  assert.equal(step, 14_400);
  const hour = new Intl.DateTimeFormat("en-GB", { timeZone: "Europe/Berlin", hour: "2-digit", minute: "2-digit" });
  for (const t of ticks) assert.match(hour.format(t * 1000), /^(00|04|08|12|16|20):00$/);
});

test("one lane a unit, in order", () => {
  assert.deepEqual(lanes([{ unit: "bar" }, { unit: "m3/h" }, { unit: "bar" }]).map((l) => [l.unit, l.pens.length]), [["bar", 2], ["m3/h", 1]]);
});

test("a near limit is on the axis, a far one does not flatten the curve", () => {
  const [, near] = valueRange([11, 12], [13], 0.1);
  assert.ok(near >= 13);
  const [, far] = valueRange([11, 12], [100], 0.1);
  assert.ok(far < 13);
});

test("a live axis holds still while the data fit", () => {
  assert.deepEqual(calmRange([0, 10], [1, 9]), [0, 10]);
  assert.deepEqual(calmRange([0, 10], [4, 6]), [4, 6]);
  assert.deepEqual(calmRange([0, 10], [1, 11]), [1, 11]);
});

test("value ticks are round", () => {
  assert.deepEqual(valueTicks(11, 13, 4), [11, 11.5, 12, 12.5, 13]);
  assert.deepEqual(valueTicks(5, 5, 4), []);
});

test("labels that would overlap move apart and stay inside", () => {
  assert.deepEqual(spread([10, 12, 95], 20, 0, 100), [10, 30, 95]);
  assert.deepEqual(spread([99, 99], 20, 0, 100), [100, 80].sort((a, b) => a - b));
});
