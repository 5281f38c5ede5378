/** When a mini trend covers a shorter span. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isMostlyEmpty } from "./sparks.ts";

const line = (filled: number, before = Number.NaN) => {
  const min = Array.from({ length: 48 }, (_, i) => (i >= 48 - filled ? 1 : Number.NaN));
  return { min, max: min, gap: min.map(() => false), before };
};

test("a plant that is a minute old has mostly empty lines", () => {
  assert.equal(isMostlyEmpty([line(1), line(2), null]), true);
});

test("one line that is long enough keeps the span", () => {
  assert.equal(isMostlyEmpty([line(1), line(30)]), false);
});

test("a slow point that comes in from the left counts as a line", () => {
  assert.equal(isMostlyEmpty([line(1, 5)]), false);
});
