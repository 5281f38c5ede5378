/** Times: no nanosecond is lost, and both hours of the clock change can be told apart. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { age, clock, day, msToNs, nsToMs, nsToRfc3339, rfc3339ToNs, span, zoneName } from "./time.ts";

const AT = "1795617125250000001"; // 2026-11-25T14:32:05.250000001Z

test("nanoseconds survive the way through RFC 3339", () => {
  const text = nsToRfc3339(AT);

  assert.equal(text, "2026-11-25T14:32:05.250000001Z");
  assert.equal(rfc3339ToNs(text), BigInt(AT));
});

test("a time before 1970 keeps its fraction positive", () => {
  assert.equal(nsToRfc3339(-1n), "1969-12-31T23:59:59.999999999Z");
  assert.equal(rfc3339ToNs("1969-12-31T23:59:59.999999999Z"), -1n);
});

test("an offset is taken into account, and rubbish is null", () => {
  assert.equal(rfc3339ToNs("1970-01-01T01:00:00+01:00"), 0n);
  assert.equal(rfc3339ToNs("yesterday"), null);
});

test("milliseconds and nanoseconds agree", () => {
  assert.equal(nsToMs("1795617125250000000"), 1795617125250);
  assert.equal(msToNs(1795617125250), "1795617125250000000");
  assert.equal(msToNs(1_764_000_000_000.5), "1764000000000500000");
});

test("plant time follows the zone", () => {
  const ms = nsToMs(AT);

  assert.equal(clock(ms, "Europe/Berlin", "en"), "15:32:05");
  assert.equal(day(ms, "Europe/Berlin", "en"), "Wed 25 Nov");
});

test("the doubled hour in October has two zone names", () => {
  const first = Date.UTC(2026, 9, 25, 0, 30);
  const second = Date.UTC(2026, 9, 25, 1, 30);

  assert.equal(clock(first, "Europe/Berlin", "en"), clock(second, "Europe/Berlin", "en"));
  assert.notEqual(
    zoneName(first, "Europe/Berlin", "en"),
    zoneName(second, "Europe/Berlin", "en"),
  );
});

test("spans have at most two parts", () => {
  assert.equal(span(250, "de"), "0,2 s");
  assert.equal(span(13_400, "en"), "13 s");
  assert.equal(span(180_000, "en"), "3 min");
  assert.equal(span(8_760_000, "en"), "2 h 26");
  assert.equal(span((41 * 24 + 6) * 3_600_000, "en"), "41 d 6 h");
  assert.equal(age(2_900, "en"), "2 s");
});
