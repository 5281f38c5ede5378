import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "../../lib/numbers.ts";
import { canCancel, check, exactDecimals, newer, stepOf } from "./command.ts";
import type { Command, CommandState } from "../../lib/types.ts";

const POINT = { kind: "float" as const, labels: null, command_low: 10.5, command_high: 13.2 };
const command = (state: CommandState, id = "c"): Command => ({ id, state }) as Command;

test("12,5 typed in German is 12.5", () => {
  assert.deepEqual(check(POINT, parse("12,5", "de")), { value: 12.5 });
});

test("1.500 typed in German is refused and explained, never guessed", () => {
  const answer = check({ ...POINT, command_low: null, command_high: null }, parse("1.500", "de"));
  assert.ok("key" in answer && answer.key === "command.ambiguous");
});

test("above the allowed range nothing is sent", () => {
  const answer = check(POINT, parse("14.2", "en"));
  assert.ok("key" in answer && answer.key === "command.out_of_range");
});

test("a whole number is asked for where the point counts", () => {
  const answer = check({ ...POINT, kind: "int" }, parse("12.5", "en"));
  assert.ok("key" in answer && answer.key === "command.whole");
});

test("a late poll does not take a state back", () => {
  assert.equal(newer(command("accepted"), command("sent")).state, "accepted");
  assert.equal(newer(command("confirmed"), command("unconfirmed")).state, "confirmed");
  assert.equal(newer(command("sent"), command("failed")).state, "failed");
  assert.equal(newer(command("sent"), command("confirmed", "other")).state, "sent");
  assert.equal(newer(command("unconfirmed"), command("confirmed")).state, "confirmed");
});

test("cancelling ends when the command has left", () => {
  assert.ok(canCancel("selected"));
  assert.ok(!canCancel("sent"));
  assert.deepEqual([stepOf(null), stepOf("selected"), stepOf("sent")], [1, 2, 3]);
});

test("a wanted value is shown as it will be sent, never rounded", () => {
  assert.equal(exactDecimals(11.75, 1), 2);
  assert.equal(exactDecimals(12, 1), 1);
  assert.equal(exactDecimals("9007199254740993", 0), 0);
  assert.equal(exactDecimals(1e-9, 1), null);
});
