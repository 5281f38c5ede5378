/** Figures of the System page. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, figure, longSpan, readerCounter, upTime } from "./figures.ts";

test("bytes in the unit a person would choose", () => {
  assert.equal(bytes(0, "en"), "0\u00a0B");
  assert.equal(bytes(38_000_000, "de"), "38,0\u00a0MB");
  assert.equal(bytes(1_420_000_000, "en"), "1.42\u00a0GB");
});

test("up time has two parts at most", () => {
  assert.equal(upTime(8, "en"), "8 s");
  assert.equal(upTime(187_860, "en"), "2 d 04:11");
  assert.equal(upTime(15_060, "de"), "04:11 h");
});

test("small figures keep a digit, large ones none", () => {
  assert.equal(figure(0.834, "en"), "0.83");
  assert.equal(figure(3.14, "en"), "3.1");
  assert.equal(figure(27.4, "en"), "27");
});

test("a span is days, and years when it is long", () => {
  assert.equal(longSpan(0.42, "en"), "0.4\u00a0d");
  assert.equal(longSpan(45.6, "de"), "46\u00a0Tg");
  assert.equal(longSpan(800, "en"), "2.2\u00a0y");
  assert.equal(longSpan(9000, "de"), "25\u00a0J");
});

test("a counter of a reader names who reads", () => {
  assert.deepEqual(readerCounter("log_reader_historian_behind_records"), { reader: "historian", what: "behind" });
  assert.deepEqual(readerCounter("log_reader_my_own_reader_dropped_records"), { reader: "my_own_reader", what: "dropped" });
  assert.equal(readerCounter("rules_behind_records"), null);
});
