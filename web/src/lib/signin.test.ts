/** Names as people write them become names that the server knows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { signInName } from "./signin.ts";

for (const [written, expected] of [
  ["M. Keller", "m.keller"],
  ["  anna  ", "anna"],
  ["Jörg Müller-Lüdenscheidt", "jörg.müller-lüdenscheidt"],
  ["a@plant.example", "a@plant.example"],
  ["???", ""],
] as const) {
  test(`"${written}" signs in as "${expected}"`, () => {
    assert.equal(signInName(written), expected);
  });
}
