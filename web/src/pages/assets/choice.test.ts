/** Which point stands for an asset. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Point } from "../../lib/types.ts";
import { headlinePoint } from "./choice.ts";

const point = (id: string, kind: Point["kind"], writable: boolean): Point => ({ id, kind, writable }) as Point;

test("what is measured stands before what is set, and a number before a word", () => {
  const all = [point("set", "float", true), point("state", "int", false), point("temperature", "float", false)];

  assert.equal(headlinePoint(all)?.id, "temperature");
  assert.equal(headlinePoint(all.slice(0, 2))?.id, "set");
  assert.equal(headlinePoint([point("mode", "int", true), point("state", "int", false)])?.id, "state");
  assert.equal(headlinePoint([]), undefined);
});
