/** Back-off, the early try, and when a page may reload itself. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { needsReload, patiently, pauseMs, tryNow } from "./patience.ts";

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("the pauses grow to five seconds and stay there", () => {
  assert.deepEqual([1, 2, 3, 4, 5, 99].map(pauseMs), [1_000, 2_000, 4_000, 5_000, 5_000, 5_000]);
});

test("it tries until it works, each time after its pause", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  let tries = 0;
  const seen: number[] = [];
  const work = (): Promise<string> =>
    ++tries < 3 ? Promise.reject(new Error("no")) : Promise.resolve("here");
  const result = patiently(work, (_error, failures) => seen.push(failures));
  await settle();
  mock.timers.tick(999);
  await settle();
  assert.equal(tries, 1);
  mock.timers.tick(1);
  await settle();
  assert.equal(tries, 2);
  mock.timers.tick(2_000);
  assert.equal(await result, "here");
  assert.deepEqual(seen, [1, 2]);
  mock.timers.reset();
});

test("a server that is back ends the pause", async () => {
  let tries = 0;
  const work = (): Promise<number> => (++tries === 1 ? Promise.reject(new Error("no")) : Promise.resolve(7));
  const result = patiently(work);
  await settle();
  tryNow();
  assert.equal(await result, 7);
});

test("what nobody wants any more is not tried again", async () => {
  const abort = new AbortController();
  let tries = 0;
  const result = patiently(
    () => (tries++, Promise.reject(new Error("no"))),
    () => undefined,
    abort.signal,
  );
  await settle();
  abort.abort();
  assert.equal(await result, undefined);
  tryNow();
  assert.equal(tries, 1);
});

test("a page reloads itself only when the server answers and nothing else can help", () => {
  const mine = '<script src="/assets/index-1.js"></script><div id="app"></div>';
  const newer = mine.replace("index-1", "index-2");
  const never = Number.POSITIVE_INFINITY;
  const entry = "/assets/index-1.js";

  assert.equal(needsReload(mine, entry, 1, never), false);
  assert.equal(needsReload(mine, entry, 4, never), true, "the engine remembers the failure");
  assert.equal(needsReload(newer, entry, 1, never), true, "the chunk was replaced");
  assert.equal(needsReload(newer, entry, 9, 59_999), false, "no second time within a minute");
  assert.equal(needsReload("<h1>Bad gateway</h1>", entry, 9, never), false, "not our server");
});
