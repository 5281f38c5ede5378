/** How a value may be shown: nothing old, bad or absent ever looks like a fresh good number. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_VALUE } from "./frames.ts";
import { isStale, qualityKey, severity, shownAs } from "./quality.ts";

const GOOD = { known: true, quality: 192, flags: 0, value: 7 };

test("stale begins behind three periods, not at them", () => {
  assert.equal(isStale(3_000, 1_000), false);
  assert.equal(isStale(3_001, 1_000), true);
  assert.equal(isStale(Number.POSITIVE_INFINITY, 1_000), true);
});

test("a quick point has at least three half seconds", () => {
  assert.equal(isStale(1_500, 20), false);
  assert.equal(isStale(1_501, 20), true);
  assert.equal(isStale(1_501, 500), true);
  assert.equal(isStale(1_503, 501), false);
});

test("a point without a period never goes stale by itself", () => {
  assert.equal(isStale(1e12, null), false);
  assert.equal(shownAs(GOOD, 1e12, null, true), "good");
});

test("a point whose period is 0 still goes stale", () => {
  assert.equal(isStale(1_501, 0), true);
});

test("severity changes at 64 and 192", () => {
  assert.deepEqual([0, 63, 64, 191, 192, 255].map(severity), ["bad", "bad", "uncertain", "uncertain", "good", "good"]);
});

test("an unknown reason has the words of its severity", () => {
  assert.deepEqual([2, 63, 65, 100, 192, 200].map(qualityKey), [
    "quality.bad_no_communication",
    "quality.bad",
    "quality.uncertain_engineering_units_exceeded",
    "quality.uncertain",
    "quality.good",
    "quality.good",
  ]);
});

test("fresh and connected, a value is shown by its quality", () => {
  assert.equal(shownAs(GOOD, 0, 1_000, true), "good");
  assert.equal(shownAs({ ...GOOD, quality: 191 }, 0, 1_000, true), "uncertain");
  assert.equal(shownAs({ ...GOOD, quality: 64 }, 0, 1_000, true), "uncertain");
  assert.equal(shownAs({ ...GOOD, quality: 63 }, 0, 1_000, true), "bad");
});

test("nothing has arrived: nothing is claimed, whatever the rest says", () => {
  assert.equal(shownAs({ ...GOOD, known: false }, 0, 1_000, true), "waiting");
  assert.equal(shownAs({ known: false, quality: 0, flags: NO_VALUE, value: null }, 1e9, 1_000, false), "waiting");
});

test("no value is bad, even with a good quality", () => {
  assert.equal(shownAs({ ...GOOD, flags: NO_VALUE }, 0, 1_000, true), "bad");
  assert.equal(shownAs({ ...GOOD, value: null }, 0, 1_000, true), "bad");
  assert.equal(shownAs({ ...GOOD, value: 0 }, 0, 1_000, true), "good");
  assert.equal(shownAs({ ...GOOD, flags: 0xff & ~NO_VALUE }, 0, 1_000, true), "good");
});

test("bad wins over stale, stale over good and uncertain", () => {
  assert.equal(shownAs({ ...GOOD, quality: 0 }, 1e9, 1_000, false), "bad");
  assert.equal(shownAs(GOOD, 3_001, 1_000, true), "stale");
  assert.equal(shownAs({ ...GOOD, quality: 64 }, 3_001, 1_000, true), "stale");
});

test("without a connection no value looks fresh, not even one without a period", () => {
  assert.equal(shownAs(GOOD, 0, 1_000, false), "stale");
  assert.equal(shownAs(GOOD, 0, null, false), "stale");
});
