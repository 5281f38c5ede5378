/** Numbers of two languages: what is understood, and what is refused rather than guessed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { format, parse } from "./numbers.ts";
import type { Language } from "./types.ts";

const understood: [Language, string, number][] = [
  ["de", "12,5", 12.5],
  ["de", "1.500,0", 1500],
  ["de", "1 500", 1500],
  ["de", "1\u202f500,25", 1500.25],
  ["de", "1.500.000", 1500000],
  ["de", "\u22127,5", -7.5],
  ["de", "-7", -7],
  ["de", "+3", 3],
  ["de", ",5", 0.5],
  ["de", "1,5e3", 1500],
  ["en", "12.5", 12.5],
  ["en", "1,500.0", 1500],
  ["en", "1,500,000", 1500000],
  ["en", "1 500.5", 1500.5],
  ["en", "1.500", 1.5],
  ["en", "\u22120.25", -0.25],
  ["en", " 42 ", 42],
];

for (const [language, text, expected] of understood) {
  test(`${language}: "${text}" is ${expected}`, () => {
    const got = parse(text, language);

    assert.ok(got.ok);
    assert.equal(got.value, expected);
  });
}

const refused: [Language, string, "ambiguous" | "not_a_number", string][] = [
  ["de", "1.500", "ambiguous", "1,500"],
  ["de", "-1.500", "ambiguous", "\u22121,500"],
  ["en", "1,500", "ambiguous", "1.500"],
  ["de", "12.5", "not_a_number", "12,5"],
  ["en", "12,5", "not_a_number", "12.5"],
  ["en", "0,500", "not_a_number", "0.500"],
  ["de", "1,500.0", "not_a_number", ""],
  ["en", "1.500,0", "not_a_number", ""],
  ["de", "1.5.0", "not_a_number", ""],
  ["de", "15 00", "not_a_number", ""],
  ["en", "", "not_a_number", ""],
  ["en", "abc", "not_a_number", ""],
  ["en", "1e999", "not_a_number", ""],
  ["en", "Infinity", "not_a_number", ""],
  ["en", "0x10", "not_a_number", ""],
  ["en", "--5", "not_a_number", ""],
];

for (const [language, text, error, hint] of refused) {
  test(`${language}: "${text}" is refused as ${error}`, () => {
    const got = parse(text, language);

    assert.ok(!got.ok);
    assert.equal(got.error, error);
    assert.equal(got.params.hint, hint);
  });
}

test("an int64 keeps its digits as text", () => {
  const got = parse("9007199254740993", "en");

  assert.ok(got.ok);
  assert.equal(got.text, "9007199254740993");
});

const shown: [number | bigint | null, number | null, Language, string][] = [
  [2184, 0, "de", "2\u202f184"],
  [Infinity, 1, "en", "∞"],
  [-Infinity, 1, "de", "\u2212∞"],
  [NaN, 1, "en", "–"],
  [12.02, 2, "de", "12,02"],
  [12.02, 2, "en", "12.02"],
  [-7.5, 1, "en", "\u22127.5"],
  [-0.001, 2, "en", "0.00"],
  [1234567.891, 1, "de", "1\u202f234\u202f567,9"],
  [9007199254740993n, null, "en", "9\u202f007\u202f199\u202f254\u202f740\u202f993"],
  [-5n, null, "en", "\u22125"],
  [-7.49e-36, null, "de", "\u22127,49 × 10⁻³⁶"],
  [0.1 + 0.2, null, "en", "0.3"],
  [0, null, "en", "0"],
  [null, 2, "en", "–"],
  [Number.NaN, 2, "en", "–"],
];

for (const [value, decimals, language, expected] of shown) {
  test(`${language}: ${value} with ${decimals} decimals`, () => {
    assert.equal(format(value, decimals, language), expected);
  });
}
