/** The alarm rate: ten-minute columns, the newest at the right. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ratesOf } from "./rate.ts";

const END = 1_795_617_125_000_000_000n;
const ago = (minutes: number, point: string, type = "alarm.raised") => ({
  type,
  time_ns: String(END - BigInt(minutes) * 60_000_000_000n),
  point_id: point,
});
const areaOf = (id: string): string | undefined => (id === "p" ? "A" : undefined);

test("the newest column is the last ten minutes", () => {
  const rates = ratesOf([ago(0, "p"), ago(9, "p"), ago(10, "p")], END, areaOf);

  assert.deepEqual(rates.byArea.get("A")?.slice(-2), [1, 2]);
});

test("only raised alarms inside four hours count", () => {
  const rates = ratesOf([ago(1, "p", "alarm.returned"), ago(241, "p"), ago(-1, "p")], END, areaOf);

  assert.equal(rates.byArea.size, 0);
  assert.equal(rates.mean, 0);
});

test("an alarm of no known area counts for the plant", () => {
  const rates = ratesOf([ago(30, "x"), ago(100, "p")], END, areaOf);

  assert.equal(rates.lastHour, 1 / 6);
  assert.equal(rates.mean, 2 / 24);
});
