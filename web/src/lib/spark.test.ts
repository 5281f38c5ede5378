/** Mini trends: peaks stay, gaps are not bridged, slow points start at the left edge. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sparkPath } from "./spark.ts";

const nan = Number.NaN;
const parts = (line: string): number => line.split("M").length - 1;

test("a peak inside one column is drawn", () => {
  const path = sparkPath({ min: [1, 1, 1], max: [1, 9, 1], gap: [false, false, false], before: nan }, 52, 24);

  assert.match(path.line, / 3(L|$)/);
  assert.equal(parts(path.line), 1);
});

test("no line crosses a gap, and the gap is hatched", () => {
  const path = sparkPath(
    { min: [1, nan, nan, 2], max: [1, nan, nan, 2], gap: [false, true, true, false], before: nan }, 52, 24,
  );

  assert.equal(parts(path.line), 2);
  assert.equal(path.gaps.length, 1);
});

test("a slow point without a gap is joined, from its last value before the span", () => {
  const path = sparkPath({ min: [nan, nan, 2], max: [nan, nan, 2], gap: [false, false, false], before: 1 }, 52, 24);

  assert.equal(parts(path.line), 1);
  assert.match(path.line, /^M1 /);
});

test("nothing at all is no line", () => {
  const path = sparkPath({ min: [nan], max: [nan], gap: [false], before: nan }, 52, 24);

  assert.deepEqual(path, { line: "", gaps: [], end: null });
});

test("small noise stays small", () => {
  const data = { min: [5, 5.01], max: [5, 5.01], gap: [false, false], before: nan };

  assert.match(sparkPath(data, 52, 24, 1).line, /^M1 12.1L48 11.9$/);
});
