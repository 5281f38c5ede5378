/** Priority colours belong to alarms: `--prio-*` only in .prio, .limit-* and .over-*; no CSP traps. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const root = new URL("../", import.meta.url);
const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((f) => /\.(css|svelte|ts)$/.test(f) && !f.endsWith(".test.ts"))
  .map((f) => ({ file: f, text: readFileSync(new URL(f, root), "utf8") }));

const ALLOWED = /\.(prio|limit|over-\d)|^\s*:root|^\s*--/;

test("--prio-* is used by alarm symbols and limits only", () => {
  const faults: string[] = [];
  for (const { file, text } of files) {
    const plain = text.replace(/\/\*[^]*?\*\/|\/\/.*$/gm, "");
    for (const use of plain.matchAll(/var\(--prio-[\w-]+/g)) {
      const before = plain.slice(0, use.index);
      const open = before.lastIndexOf("{");
      const selector = before.slice(Math.max(before.lastIndexOf("}", open), before.lastIndexOf("{", open - 1)) + 1, open);
      if (!ALLOWED.test(selector)) faults.push(`${file}: ${selector.trim()}`);
    }
  }

  assert.deepEqual(faults, []);
});

test("nothing that a strict policy refuses: style attributes, {@html}, innerHTML", () => {
  const faults: string[] = [];
  for (const { file, text } of files) {
    if (/\{@html|\.innerHTML|insertAdjacentHTML/.test(text)) faults.push(`${file}: HTML from text`);
    if (/<[a-z][^>]*\sstyle="[^"]*"/.test(text)) faults.push(`${file}: style attribute`);
    if (/\b(?:https?|wss?):\/\/(?!www\.w3\.org|\$\{)[a-z]/.test(text)) faults.push(`${file}: address`);
  }

  assert.deepEqual(faults, []);
});
