/**
 * Both catalogues have the same keys and placeholders, and every key used in the sources exists.
 *
 * Keys built at run time (t(`prio.${n}`)) are checked by their fixed beginning.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const root = new URL("../", import.meta.url);
const catalogue = (name: string): Record<string, string> =>
  JSON.parse(readFileSync(new URL(`catalogues/${name}.json`, root), "utf8")) as Record<string, string>;
const en = catalogue("en");
const de = catalogue("de");

const sources = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((f) => /\.(svelte|ts)$/.test(f) && !f.endsWith(".test.ts"))
  .map((f) => ({ file: f, text: readFileSync(new URL(f, root), "utf8") }));

const exists = (key: string): boolean => key in en || `${key}.other` in en;

test("English and German have the same keys", () => {
  assert.deepEqual(Object.keys(en).sort(), Object.keys(de).sort());
});

test("both have the same placeholders and none is empty", () => {
  const holes = (text: string): string => [...text.matchAll(/\{\w+\}/g)].map((m) => m[0]).sort().join();
  for (const key of Object.keys(en)) {
    assert.notEqual(de[key], "", key);
    assert.equal(holes(en[key] ?? ""), holes(de[key] ?? ""), key);
  }
});

test("every key in the sources is in the catalogue", () => {
  const missing: string[] = [];
  for (const { file, text } of sources) {
    for (const [, key = ""] of text.matchAll(/\bt\(\s*["']([\w.-]+)["']/g)) {
      if (!exists(key)) missing.push(`${file}: ${key}`);
    }
    for (const [, start = ""] of text.matchAll(/\bt\(\s*`([\w.-]+)\$\{/g)) {
      if (!Object.keys(en).some((k) => k.startsWith(start))) missing.push(`${file}: ${start}*`);
    }
    for (const [, key = ""] of text.matchAll(/\blabel: "((?:keys|nav)\.[\w.-]+)"/g)) {
      if (!exists(key)) missing.push(`${file}: ${key}`);
    }
  }

  assert.deepEqual(missing, []);
});
