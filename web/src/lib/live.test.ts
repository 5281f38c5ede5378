/**
 * The live store against a socket of our own: what it asks for, what it believes, how it recovers.
 *
 * The runes need the compiler, so the module is compiled here and loaded from a data URL.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { after, beforeEach, test } from "node:test";
import { compileModule } from "svelte/compiler";

type Live = typeof import("./live.svelte.ts");

class FakeSocket {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  readyState = 0;
  binaryType = "";
  sent: Record<string, unknown>[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  sequence = 0;

  constructor() {
    FakeSocket.all.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }

  close(): void {
    this.readyState = 3;
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  receive(buffer: ArrayBuffer): void {
    this.onmessage?.({ data: buffer });
  }

  take(op: string): Record<string, unknown>[] {
    const hits = this.sent.filter((m) => m["op"] === op);
    this.sent = this.sent.filter((m) => m["op"] !== op);
    return hits;
  }
}

const SERVER_MS = 1_795_617_125_000;
const frames: (() => void)[] = [];
const page = { hidden: false, listeners: new Map<string, () => void>() };

Object.assign(globalThis, {
  WebSocket: FakeSocket,
  location: { protocol: "http:", host: "plant" },
  document: {
    get hidden() {
      return page.hidden;
    },
    addEventListener: (name: string, fn: () => void) => page.listeners.set(name, fn),
    removeEventListener: () => undefined,
  },
  addEventListener: () => undefined,
  removeEventListener: () => undefined,
  requestAnimationFrame: (fn: () => void) => frames.push(fn),
  fetch: () => Promise.reject(new Error("no server")),
});

let live: Live;
let loads = 0;

async function load(): Promise<Live> {
  const source = readFileSync(new URL("live.svelte.ts", import.meta.url), "utf8");
  const { js } = compileModule(stripTypeScriptTypes(source, { mode: "strip" }), {
    filename: "live.svelte.js",
    generate: "client",
  });
  const code = js.code
    .replace(/from (["'])(\.\/[\w.]+)\1/g, (_, q: string, f: string) => `from ${q}${new URL(f, import.meta.url).href}${q}`)
    .replace(/(from|import) (["'])(svelte\/[\w/-]+)\2/g, (_, w: string, q: string, m: string) => `${w} ${q}${import.meta.resolve(m)}${q}`);
  return (await import(`data:text/javascript,${encodeURIComponent(`${code}\n// ${loads++}`)}`)) as Live;
}

beforeEach(async () => {
  FakeSocket.all = [];
  frames.length = 0;
  page.hidden = false;
  live?.stop();
  live = await load();
  live.start();
});

// The heartbeat of the store would keep this process alive.
after(() => live.stop());

function socket(): FakeSocket {
  const s = FakeSocket.all.at(-1);
  assert.ok(s !== undefined);
  return s;
}

function header(type: number, s: FakeSocket, more: { sid?: number; flags?: number; kind?: number; bytes?: number }): DataView {
  const view = new DataView(new ArrayBuffer(24 + (more.bytes ?? 0)));
  view.setUint8(0, type);
  view.setUint8(1, 1);
  view.setUint8(2, more.flags ?? 0);
  view.setUint8(3, more.kind ?? 0);
  view.setUint32(4, more.sid ?? 0, true);
  view.setBigUint64(8, BigInt(++s.sequence), true);
  view.setBigInt64(16, BigInt(SERVER_MS) * 1_000_000n, true);
  return view;
}

/** Rows of [index, value, age_ms, quality]. */
function values(s: FakeSocket, sid: number, rows: [number, number, number, number][], flags = 1): ArrayBuffer {
  const n = rows.length;
  const view = header(1, s, { sid, flags, kind: 1, bytes: 8 + 18 * n });
  view.setUint32(24, n, true);
  rows.forEach(([index, value, age, quality], i) => {
    view.setFloat64(32 + 8 * i, value, true);
    view.setUint32(32 + 8 * n + 4 * i, age, true);
    view.setUint32(32 + 12 * n + 4 * i, index, true);
    view.setUint8(32 + 16 * n + i, quality);
  });
  return view.buffer as ArrayBuffer;
}

function json(s: FakeSocket, type: number, body: object): ArrayBuffer {
  const text = new TextEncoder().encode(JSON.stringify(body));
  const view = header(type, s, { bytes: text.length });
  new Uint8Array(view.buffer, 24).set(text);
  return view.buffer as ArrayBuffer;
}

function draw(): void {
  for (const fn of frames.splice(0)) fn();
}

const alarm = (id: string, more: object = {}): object => ({
  id, priority: 2, state: "unacknowledged", active: true, acknowledged: false, shelved: false,
  suppressed: false, out_of_service: false, raised_ns: "1795617125000000000", ...more,
});

test("points are asked for when the socket opens, and known only after an answer", () => {
  const sub = live.subscribe(["a", "b"], 5);
  assert.equal(sub.live[0]?.known, false);
  socket().open();
  const [sent] = socket().take("sub");
  assert.deepEqual(sent?.["points"], ["a", "b"]);
  socket().receive(values(socket(), Number(sent?.["sid"]), [[1, 12.5, 250, 192]], 2));
  draw();

  assert.equal(sub.live[0]?.known, false);
  assert.equal(sub.get("b")?.value, 12.5);
  assert.equal(sub.get("b")?.timeMs, SERVER_MS - 250);
  assert.equal(live.connection.state, "live");
});

test("of two values before a frame only the newer is announced", () => {
  const seen: number[] = [];
  const sub = live.subscribe(["a"], 5, () => seen.push(Number(sub.get("a")?.value)));
  socket().open();
  const sid = Number(socket().take("sub")[0]?.["sid"]);
  socket().receive(values(socket(), sid, [[0, 1, 0, 192]]));
  socket().receive(values(socket(), sid, [[0, 2, 0, 192]]));
  draw();

  assert.deepEqual(seen, [2]);
});

test("a point that is on screen already is not asked for twice", async () => {
  socket().open();
  const first = live.subscribe(["a", "b"], 5);
  const second = live.subscribe(["b", "c"], 2);
  const sent = socket().take("sub");
  assert.deepEqual(sent.map((m) => m["points"]), [["a", "b"], ["c"]]);
  first.close();
  await Promise.resolve();
  assert.deepEqual(socket().take("unsub"), []);
  second.close();
  await Promise.resolve();

  assert.deepEqual(socket().take("unsub").map((m) => m["sid"]), sent.map((m) => m["sid"]));
});

test("a point that comes back is asked for again, since its old value is gone", async () => {
  socket().open();
  const keep = live.subscribe(["a", "b"], 5);
  const other = live.subscribe(["a"], 5);
  keep.close();
  await Promise.resolve();
  socket().take("sub");
  const again = live.subscribe(["b"], 5);

  assert.deepEqual(socket().take("sub").map((m) => m["points"]), [["b"]]);
  assert.equal(again.live[0]?.known, false);
  other.close();
});

test("a hole in the sequence asks for everything again", () => {
  live.subscribe(["a"], 5);
  socket().open();
  const sid = Number(socket().take("sub")[0]?.["sid"]);
  socket().receive(values(socket(), sid, [[0, 1, 0, 192]]));
  socket().sequence++;
  socket().receive(values(socket(), sid, [[0, 2, 0, 192]]));

  assert.equal(socket().take("unsub").length, 1);
  assert.deepEqual(socket().take("sub")[0]?.["points"], ["a"]);
});

test("a hidden tab takes its subscriptions back, and asks again when it is seen", () => {
  live.subscribe(["a"], 5);
  socket().open();
  socket().take("sub");
  page.hidden = true;
  page.listeners.get("visibilitychange")?.();
  assert.equal(socket().take("unsub").length, 1);
  page.hidden = false;
  page.listeners.get("visibilitychange")?.();

  assert.deepEqual(socket().take("sub")[0]?.["points"], ["a"]);
});

test("a closed socket is lost at once, and an unreadable frame closes it", (context) => {
  context.mock.method(console, "error", () => undefined);
  socket().open();
  socket().receive(json(socket(), 0, {}));
  socket().receive(new ArrayBuffer(3));
  assert.equal(live.connection.state, "lost");
  live.retryNow();
  const second = socket();
  second.open();
  second.receive(json(second, 0, { ui_build: "b2" }));
  assert.equal(live.connection.state, "live");
  assert.equal(live.connection.uiBuild, "b2");
  second.onclose?.({ code: 1006 });

  assert.equal(live.connection.state, "lost");
});

test("the first alarm frame is the list, later ones are changes", () => {
  socket().open();
  assert.equal(live.alarms.known, false);
  socket().receive(json(socket(), 2, { alarms: [alarm("x"), alarm("y", { priority: 1 })], removed: [] }));
  assert.deepEqual(live.alarms.list.map((a) => a.id), ["y", "x"]);
  assert.equal(live.newestUnacknowledged()?.id, "y");
  socket().receive(json(socket(), 2, { alarms: [alarm("x", { acknowledged: true })], removed: ["y"] }));

  assert.deepEqual(live.alarms.list.map((a) => a.id), ["x"]);
  assert.deepEqual(live.alarms.counts["2"], { active: 1, unacknowledged: 0 });
  assert.equal(live.newestUnacknowledged(), undefined);
});

test("a change right after a hole is no list: what it does not name stays", async () => {
  const answer = { ok: true, status: 200, text: () => Promise.resolve(JSON.stringify({ alarms: [alarm("z")] })) };
  Object.assign(globalThis, { fetch: () => Promise.resolve(answer) });
  socket().open();
  socket().receive(json(socket(), 2, { alarms: [alarm("x")], removed: [] }));
  socket().sequence++;
  socket().receive(json(socket(), 0, {}));
  socket().receive(json(socket(), 2, { alarms: [alarm("y")], removed: [] }));
  assert.deepEqual(live.alarms.list.map((a) => a.id).sort(), ["x", "y"]);
  await new Promise((resolve) => setTimeout(resolve, 0));

  assert.deepEqual(live.alarms.list.map((a) => a.id).sort(), ["y", "z"]);
});

test("type 9 tells those who keep lists, and a session that ended is reported", () => {
  let resyncs = 0;
  let refusals = 0;
  live.onResync(() => resyncs++);
  live.onRefused(() => refusals++);
  socket().open();
  const view = header(9, socket(), {});
  socket().receive(view.buffer as ArrayBuffer);
  socket().onclose?.({ code: 4401 });

  assert.equal(resyncs, 1);
  assert.equal(refusals, 1);
});

test("an event reaches those who asked for its topic", () => {
  const seen: unknown[] = [];
  const stop = live.onEvent("command", (event) => seen.push(event["command"]));
  socket().open();
  socket().receive(json(socket(), 6, { topic: "command", command: 1 }));
  socket().receive(json(socket(), 6, { topic: "toast", command: 2 }));
  stop();
  socket().receive(json(socket(), 6, { topic: "command", command: 3 }));

  assert.deepEqual(seen, [1]);
});

test("the store holds more points than it began with", () => {
  const ids = Array.from({ length: 1000 }, (_, i) => `p${i}`);
  const sub = live.subscribe(ids, 1);
  socket().open();
  const sid = Number(socket().take("sub")[0]?.["sid"]);
  socket().receive(values(socket(), sid, ids.map((_, i) => [i, i, 0, 192]), 2));
  draw();

  assert.equal(sub.get("p0")?.value, 0);
  assert.equal(sub.get("p999")?.value, 999);
});

test("the age of the data is that of what is read again and again, and of what is still shown", (context) => {
  live.stop();
  context.mock.timers.enable({ apis: ["setInterval"] });
  live.start();
  live.expectFrom((id) => id !== "answers");
  const page = live.subscribe(["temperature"], 1);
  const alarm = live.subscribe(["answers"], 1);
  socket().open();
  for (const { sid, points } of socket().take("sub") as { sid: number; points: string[] }[]) {
    socket().receive(values(socket(), sid, points.map((p, i) => [i, 1, p === "answers" ? 400_000 : 2_000, 192]), 2));
  }
  context.mock.timers.tick(1_000);
  assert.equal(Math.round((live.connection.dataAgeMs ?? 0) / 1000), 2);

  page.close();
  context.mock.timers.tick(1_000);
  assert.equal(live.connection.dataAgeMs, null, "a device that answers says so once, and is not late");
  alarm.close();
});
