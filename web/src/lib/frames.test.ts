/** Live frames and trend answers, decoded from bytes written out by hand. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decodeFrame, decodeTrend, AGE_MAX_MS, type ValuesFrame } from "./frames.ts";

function bytes(hex: string): ArrayBuffer {
  const clean = hex.replace(/\/\/.*$/gm, "").replace(/\s+/g, "");
  const out = new Uint8Array(clean.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = parseInt(clean.slice(2 * i, 2 * i + 2), 16);
  return out.buffer;
}

test("float values of a delta with an index column", () => {
  const frame = decodeFrame(
    bytes(`
    01 01 01 01  03000000            // values, version 1, delta, float64, sid 3
    0700000000000000                 // sequence 7
    0100000000000000                 // server_time_ns 1
    02000000 00000000                // n 2, zero
    0000000000002940                 // 12.5
    000000000000f07f                 // +inf, only to see the bits arrive
    fa000000 ffffffff                // 250 ms, never
    05000000 00000000                // index 5 and 0
    c0 00                            // good, bad
    00 10                            // -, no value
  `),
  ) as ValuesFrame;

  assert.equal(frame.sid, 3);
  assert.equal(frame.sequence, 7);
  assert.equal(frame.serverTimeNs, 1n);
  assert.ok(frame.delta && !frame.snapshot);
  assert.deepEqual([...(frame.values as Float64Array)], [12.5, Infinity]);
  assert.deepEqual([...frame.ageMs], [250, AGE_MAX_MS]);
  assert.deepEqual([...(frame.index ?? [])], [5, 0]);
  assert.deepEqual([...frame.quality], [192, 0]);
  assert.deepEqual([...frame.flags], [0, 16]);
});

test("an int64 above 2^53 stays exact", () => {
  const frame = decodeFrame(
    bytes(`
    01 01 02 02  01000000  0100000000000000  0000000000000000
    01000000 00000000
    0100000000002000                 // 9007199254740993
    00000000 00000000 c0 00
  `),
  ) as ValuesFrame;

  assert.equal((frame.values as BigInt64Array)[0], 9007199254740993n);
  assert.ok(frame.snapshot);
});

test("without both bits there is no index column", () => {
  const frame = decodeFrame(
    bytes(`
    01 01 00 01  01000000  0100000000000000  0000000000000000
    01000000 00000000  000000000000f03f  00000000  c0 00
  `),
  ) as ValuesFrame;

  assert.equal(frame.index, null);
  assert.equal((frame.values as Float64Array)[0], 1);
});

test("text values are cut at their offsets, also behind umlauts", () => {
  const frame = decodeFrame(
    bytes(`
    07 01 02 03  02000000  0200000000000000  0000000000000000
    02000000 06000000                // n 2, 6 bytes
    00000000 0a000000                // ages
    00000000 01000000                // index
    00000000 04000000 06000000       // offsets
    c0 c0 00 00                      // quality, flags
    c3bc 6168 6f6b                   // "üah", "ok"
  `),
  ) as ValuesFrame;

  assert.deepEqual(frame.values, ["üah", "ok"]);
  assert.deepEqual([...frame.ageMs], [0, 10]);
});

test("a heartbeat may be empty, an alarm frame is JSON, type 9 has no payload", () => {
  const head = (type: string): string => `${type} 01 00 00 00000000 0100000000000000 0000000000000000`;

  assert.deepEqual(decodeFrame(bytes(head("00"))), {
    type: 0, kind: 0, delta: false, snapshot: false, sid: 0, sequence: 1, serverTimeNs: 0n, json: {},
  });
  const alarm = decodeFrame(bytes(`${head("02")} 7b7d`));
  assert.deepEqual(alarm !== null && "json" in alarm ? alarm.json : null, {});
  assert.equal(decodeFrame(bytes(head("09")))?.type, 9);
});

test("an unknown type is skipped, a foreign version and a short frame are errors", () => {
  assert.equal(decodeFrame(bytes("0501000000000000 0100000000000000 0000000000000000")), null);
  assert.throws(() => decodeFrame(bytes("0102000000000000 0100000000000000 0000000000000000")), RangeError);
  const short = "01010101 01000000 0100000000000000 0000000000000000 04000000 00000000";
  assert.throws(() => decodeFrame(bytes(short)), RangeError);
});

test("an envelope with a hole and a gap", () => {
  const trend = decodeTrend(
    bytes(`
    50545244 0100 01 00 01000000 02000000
    00ca9a3b00000000                 // t0 1 s
    0065cd1d00000000                 // dt 0.5 s
    0900000000000000                 // sequence 9
    01 00 0000 05000000 01000000 00000000   // float, ok, 5 rows, 1 gap
    0000000000000840 0000000000000000       // before 3
    000000000000f03f 000000000000f87f       // min 1, NaN
    0000000000000040 000000000000f87f       // max 2, NaN
    c0 ff 000000000000                      // good, none, padding
    0100000000000000 0200000000000000       // gap 1..2
  `),
  );

  assert.equal(trend.mode, "envelope");
  assert.equal(trend.t0Ns, 1_000_000_000n);
  assert.equal(trend.dtNs, 500_000_000n);
  assert.equal(trend.sequence, 9n);
  const pen = trend.pens[0];
  assert.ok(pen !== undefined && "min" in pen);
  assert.equal(pen.rows, 5);
  assert.equal(pen.before, 3);
  assert.deepEqual([...pen.min], [1, Number.NaN]);
  assert.deepEqual([...pen.max], [2, Number.NaN]);
  assert.deepEqual([...pen.quality], [192, 255]);
  assert.deepEqual(pen.gaps, [{ beginNs: 1n, endNs: 2n }]);
});

test("raw pens follow each other, the first of them without a point", () => {
  const trend = decodeTrend(
    bytes(`
    50545244 0100 02 00 02000000 00000000
    0000000000000000 0000000000000000 0000000000000000
    00 01 0000 00000000 00000000 00000000  000000000000f87f 0000000000000000
    02 00 0000 01000000 00000000 00000000  000000000000f87f 0000000000000000
    000000000000e03f                 // 0.5 s
    0000000000001440                 // 5
    c0 00000000000000
  `),
  );

  assert.equal(trend.mode, "raw");
  const [none, pen] = trend.pens;
  assert.equal(none?.state, 1);
  assert.equal(none?.rows, 0);
  assert.ok(pen !== undefined && "seconds" in pen);
  assert.deepEqual([...pen.seconds], [0.5]);
  assert.deepEqual([...pen.value], [5]);
  assert.ok(Number.isNaN(pen.before));
});

test("what is not a trend is refused", () => {
  assert.throws(() => decodeTrend(bytes("7b7d000000000000")), RangeError);
});

/* ---- the bytes that the server's own tests hold fast ---- */

function golden(name: string): ArrayBuffer {
  const raw = readFileSync(new URL(`../../../tests/golden/${name}.bin`, import.meta.url));
  const buffer = new ArrayBuffer(raw.length);
  new Uint8Array(buffer).set(raw);
  return buffer;
}

test("golden: a snapshot of floats, one of them without a value", () => {
  const frame = decodeFrame(golden("live-values-float")) as ValuesFrame;

  assert.equal(frame.sid, 17);
  assert.equal(frame.serverTimeNs, 1790000002500000000n);
  assert.deepEqual([...(frame.values as Float64Array)], [21.5, Number.NaN, -0]);
  assert.deepEqual([...(frame.index ?? [])], [0, 3, 6]);
  assert.deepEqual([...frame.quality], [192, 2, 69]);
  assert.deepEqual([...frame.flags], [0, 17, 6]);
});

test("golden: int64 to its very end", () => {
  const frame = decodeFrame(golden("live-values-int")) as ValuesFrame;

  assert.deepEqual(
    [...(frame.values as BigInt64Array)],
    [4611686018427387905n, -9223372036854775808n],
  );
});

test("golden: texts, one of them empty", () => {
  const frame = decodeFrame(golden("live-values-text")) as ValuesFrame;

  assert.deepEqual(frame.values, ["RUN", "", "Störung"]);
  assert.deepEqual([...frame.flags], [0, 16, 2]);
});

test("golden: an envelope, its second pen without any sample", () => {
  const trend = decodeTrend(golden("trend-envelope"));

  assert.equal(trend.mode, "envelope");
  assert.ok(trend.mode === "envelope");
  const [pen, empty] = trend.pens;
  assert.deepEqual([...(pen?.max ?? [])], [1.5, Number.NaN, 4]);
  assert.deepEqual([...(pen?.quality ?? [])], [192, 255, 64]);
  assert.equal(pen?.before, 0.75);
  assert.equal(pen?.gaps.length, 1);
  assert.equal(empty?.state, 2);
});

test("golden: raw samples, a bad one is no number, an unknown point is empty", () => {
  const trend = decodeTrend(golden("trend-raw"));

  assert.ok(trend.mode === "raw");
  assert.deepEqual([...(trend.pens[0]?.seconds ?? [])], [0, 1.5]);
  assert.deepEqual([...(trend.pens[0]?.value ?? [])], [7.25, Number.NaN]);
  assert.equal(trend.pens[1]?.state, 1);
  assert.equal(trend.pens[1]?.rows, 0);
});
