/** The hint beside a new password. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { strength, type Strength } from "./strength.ts";

const cases: [string, Strength][] = [
  ["", "short"],
  ["123456789", "short"],
  ["aaaaaaaaaaaa", "weak"],
  ["abcabcabcabc", "weak"],
  ["123456789012", "weak"],
  ["pump-water-9x", "fair"],
  ["the pump drinks from the lake", "good"],
  ["ÄÖÜ-Wasser läuft 7 Jahre", "good"],
];

for (const [password, expected] of cases) {
  test(`"${password}" is ${expected}`, () => {
    assert.equal(strength(password), expected);
  });
}
