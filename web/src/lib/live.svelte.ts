/**
 * The live socket: one per tab, shared by everything on screen.
 *
 * Values land in typed arrays as frames arrive and reach the screen once per animation frame:
 * of two values in between only the newer is drawn. A point is asked for once, however many parts
 * of the page show it; a "batch" is one `sub` on the wire and lives until nobody needs its points.
 */
import { shownAlarms } from "./alarm.ts";
import { get } from "./api.ts";
import { decodeFrame, FRAME, KIND, AGE_MAX_MS, NO_VALUE, type ValuesFrame } from "./frames.ts";
import type { Alarm, AlarmCounts } from "./types.ts";

/** The server's close code for a session that has ended. */
const CLOSE_LOGGED_OUT = 4401;
/** The server sends a heartbeat each second; after this silence the screen says so. */
const SILENCE_MS = 2_500;
/** How long a new socket may take to its first frame. */
const OPENING_MS = 8_000;
const RETRY_MS = [500, 1_000, 2_000, 3_000, 5_000] as const;
const SLOTS_MIN = 256;

/** Columns of all points in use; a slot is a row. They double when full. */
let numbers = new Float64Array(SLOTS_MIN);
let integers = new BigInt64Array(SLOTS_MIN);
let texts: (string | undefined)[] = [];
let times = new Float64Array(SLOTS_MIN).fill(Number.NaN);
let kinds = new Uint8Array(SLOTS_MIN);
let qualities = new Uint8Array(SLOTS_MIN);
let flagBits = new Uint8Array(SLOTS_MIN);
let slots = 0;
const freeSlots: number[] = [];

/** The newest sample of one point. Every property is reactive. */
export class Live {
  readonly slot: number;
  #tick = $state(0);

  constructor(slot: number) {
    this.slot = slot;
  }

  /** False until the first answer of the server, also for "this point never had a sample". */
  get known(): boolean {
    void this.#tick;
    return kinds[this.slot] !== KIND.none || this.flags !== 0;
  }

  get value(): number | bigint | string | null {
    void this.#tick;
    if ((this.flags & NO_VALUE) !== 0) return null;
    switch (kinds[this.slot]) {
      case KIND.float: {
        const v = numbers[this.slot] ?? Number.NaN;
        return Number.isNaN(v) ? null : v;
      }
      case KIND.int:
        return integers[this.slot] ?? null;
      case KIND.text:
        return texts[this.slot] ?? null;
      default:
        return null;
    }
  }

  get quality(): number {
    void this.#tick;
    return qualities[this.slot] ?? 0;
  }

  get flags(): number {
    void this.#tick;
    return flagBits[this.slot] ?? 0;
  }

  /** Time of the sample in server time; NaN when there never was one. */
  get timeMs(): number {
    void this.#tick;
    return times[this.slot] ?? Number.NaN;
  }

  /** Grows by itself twice a second. Infinity when there never was a sample. */
  ageMs(): number {
    const at = this.timeMs;
    return Number.isNaN(at) ? Number.POSITIVE_INFINITY : Math.max(0, connection.nowMs - at);
  }

  /** For a caller that reads only on change (a chart): called by the store, not by pages. */
  touch(): void {
    this.#tick++;
  }
}

interface Entry {
  live: Live;
  refs: number;
}

interface Batch {
  sid: number;
  hz: number;
  points: string[];
  /** Points nobody shows any more: their frames are ignored, and asking again means a new batch. */
  released: Set<string>;
}

export interface Subscription {
  /** The points in the order of the call. */
  readonly live: readonly Live[];
  get(point: string): Live | undefined;
  close(): void;
}

interface Listener {
  slots: Set<number>;
  fn: (changed: readonly number[]) => void;
}

const entries = new Map<string, Entry>();
const listeners = new Set<Listener>();
const batches = new Map<number, Batch>();
const topics = new Map<string, Set<(event: Record<string, unknown>) => void>>();
const resyncs = new Set<() => void>();
let refused: () => void = () => undefined;
let isExpected: (point: string) => boolean = () => true;
const dirty = new Set<number>();
const bySlot: (Live | undefined)[] = [];
let nextSid = 1;
let frameWanted = false;

class Connection {
  state = $state<"off" | "connecting" | "live" | "lost">("off");
  /** For effects that fetch: they run again when the connection is back. */
  readonly isLost = $derived(this.state === "lost");
  /** Local time at which the connection was lost, in server time. */
  lostSinceMs = $state(0);
  nextTryMs = $state(0);
  /** The server's clock, estimated from the frames; moves twice a second. */
  nowMs = $state(Date.now());
  /** Age of the newest value on this page that is read again and again; null without one. */
  dataAgeMs = $state<number | null>(null);
  uiBuild = $state("");

  /** The server's clock at this moment, not reactive. */
  serverNow(): number {
    return Date.now() + offsetMs;
  }
}

export const connection = new Connection();

class Alarms {
  /** Every alarm that is not normal, newest first inside its priority. */
  list = $state.raw<readonly Alarm[]>([]);
  counts = $state.raw<AlarmCounts>({});
  /** False until the server has said what is active: until then "no alarms" is not known. */
  known = $state(false);

  /** Rows that came back from an acknowledge: shown at once, the socket repeats them. */
  merge(rows: readonly Alarm[], removed: readonly string[] = []): void {
    const map = new Map(this.list.map((a) => [a.id, a]));
    for (const id of removed) map.delete(id);
    for (const row of rows) {
      if (row.state === "normal") map.delete(row.id);
      else map.set(row.id, row);
    }
    this.#set([...map.values()]);
  }

  replace(rows: readonly Alarm[]): void {
    this.#set(rows.filter((a) => a.state !== "normal"));
    this.known = true;
  }

  #set(rows: Alarm[]): void {
    rows.sort((a, b) => a.priority - b.priority || compareNs(b.raised_ns, a.raised_ns));
    this.list = rows;
    this.counts = count(rows);
  }
}

function compareNs(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

/** Counted here and not taken from the frame, so that list and banner can never differ. */
function count(rows: readonly Alarm[]): AlarmCounts {
  const counts: Required<AlarmCounts> = {
    "1": { active: 0, unacknowledged: 0 },
    "2": { active: 0, unacknowledged: 0 },
    "3": { active: 0, unacknowledged: 0 },
    "4": { active: 0, unacknowledged: 0 },
  };
  for (const a of shownAlarms(rows)) {
    const c = counts[String(a.priority) as "1"];
    c.active++;
    if (!a.acknowledged) c.unacknowledged++;
  }
  return counts;
}

export const alarms = new Alarms();

/** The newest alarm that waits for a person: by priority, then by time. */
export function newestUnacknowledged(): Alarm | undefined {
  return alarms.list.find(
    (a) => !a.acknowledged && !a.shelved && !a.suppressed && !a.out_of_service,
  );
}

/** Ask for points; close when the part of the page goes away. `hz` is at most 10. */
export function subscribe(
  points: readonly string[],
  hz = 2,
  onChange?: (changed: readonly number[]) => void,
): Subscription {
  const live = points.map(take);
  const rate = Math.min(10, Math.max(0.2, hz));
  request(points, rate);
  let listener: Listener | undefined;
  if (onChange !== undefined) {
    listener = { slots: new Set(live.map((l) => l.slot)), fn: onChange };
    listeners.add(listener);
  }
  let open = true;
  return {
    live,
    get: (point) => {
      const i = points.indexOf(point);
      return i < 0 ? undefined : live[i];
    },
    close: () => {
      if (!open) return;
      open = false;
      if (listener !== undefined) listeners.delete(listener);
      for (const point of points) release(point);
      // One tick later, so that a page that re-subscribes the same points costs nothing.
      queueMicrotask(sweep);
    },
  };
}

/** Events of type 6, for example "command". Returns the function that stops it. */
export function onEvent(topic: string, fn: (event: Record<string, unknown>) => void): () => void {
  const set = topics.get(topic) ?? new Set();
  topics.set(topic, set);
  set.add(fn);
  return () => set.delete(fn);
}

/** Called when the server says that points or rules have changed (type 9). */
export function onResync(fn: () => void): () => void {
  resyncs.add(fn);
  return () => resyncs.delete(fn);
}

/** Called when the server does not let this socket in: the session may have ended. */
export function onRefused(fn: () => void): void {
  refused = fn;
}

/** Which points are read again and again: only their age says whether data flows. */
export function expectFrom(fn: (point: string) => boolean): void {
  isExpected = fn;
}

function take(point: string): Live {
  const known = entries.get(point);
  if (known !== undefined) {
    known.refs++;
    return known.live;
  }
  const slot = freeSlots.pop() ?? slots++;
  if (slot >= numbers.length) grow();
  clear(slot);
  const live = new Live(slot);
  bySlot[slot] = live;
  entries.set(point, { live, refs: 1 });
  return live;
}

function release(point: string): void {
  const entry = entries.get(point);
  if (entry !== undefined) entry.refs--;
}

function sweep(): void {
  for (const [point, entry] of entries) {
    if (entry.refs > 0) continue;
    entries.delete(point);
    for (const batch of batches.values()) batch.released.add(point);
    bySlot[entry.live.slot] = undefined;
    clear(entry.live.slot);
    freeSlots.push(entry.live.slot);
  }
  for (const batch of batches.values()) {
    if (batch.points.some((p) => !batch.released.has(p))) continue;
    batches.delete(batch.sid);
    send({ op: "unsub", sid: batch.sid });
  }
}

function clear(slot: number): void {
  kinds[slot] = KIND.none;
  flagBits[slot] = 0;
  qualities[slot] = 0;
  times[slot] = Number.NaN;
  texts[slot] = undefined;
}

function grow(): void {
  const size = numbers.length * 2;
  const bigger = <T extends { set(from: T): void }>(to: T, from: T): T => (to.set(from), to);
  numbers = bigger(new Float64Array(size), numbers);
  integers = bigger(new BigInt64Array(size), integers);
  times = bigger(new Float64Array(size).fill(Number.NaN), times);
  kinds = bigger(new Uint8Array(size), kinds);
  qualities = bigger(new Uint8Array(size), qualities);
  flagBits = bigger(new Uint8Array(size), flagBits);
}

/** Asks for those points that no batch brings fast enough already. */
function request(points: readonly string[], hz: number): void {
  const covered = new Set<string>();
  for (const b of batches.values()) {
    if (b.hz < hz) continue;
    for (const p of b.points) if (!b.released.has(p)) covered.add(p);
  }
  const wanted = [...new Set(points)].filter((p) => !covered.has(p));
  if (wanted.length > 0) openBatch(wanted, hz);
}

function openBatch(points: string[], hz: number): void {
  const batch: Batch = { sid: nextSid++, hz, points, released: new Set() };
  batches.set(batch.sid, batch);
  if (subscribed) send({ op: "sub", sid: batch.sid, points, hz });
}

/* ---- the socket ---- */

let socket: WebSocket | undefined;
let offsetMs = 0;
let lastSequence = 0;
let lastFrameMs = 0;
let attempt = 0;
let retryTimer: ReturnType<typeof setTimeout> | undefined;
let beat: ReturnType<typeof setInterval> | undefined;
let wanted = false;
let subscribed = false;
/** The first alarm frame of a socket is the whole list, all others are changes. */
let isFirstAlarms = false;
/** Changes that arrive while the list is fetched; they are newer than what it says. */
let changesMeanwhile: { rows: Alarm[]; removed: string[] }[] | null = null;

/** Opens the socket and keeps it open until `stop`. */
export function start(): void {
  if (wanted) return;
  wanted = true;
  connection.state = "connecting";
  document.addEventListener("visibilitychange", onVisibility);
  addEventListener("online", retryNow);
  beat = setInterval(onBeat, 500);
  connect();
}

export function stop(): void {
  wanted = false;
  document.removeEventListener("visibilitychange", onVisibility);
  removeEventListener("online", retryNow);
  clearInterval(beat);
  clearTimeout(retryTimer);
  drop();
  connection.state = "off";
  alarms.replace([]);
  alarms.known = false;
}

export function retryNow(): void {
  if (!wanted || connection.state === "live") return;
  clearTimeout(retryTimer);
  drop();
  connect();
}

function connect(): void {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const s = new WebSocket(`${scheme}//${location.host}/api/v1/live`);
  s.binaryType = "arraybuffer";
  socket = s;
  lastSequence = 0;
  lastFrameMs = performance.now();
  isFirstAlarms = true;
  changesMeanwhile = null;
  let isOpen = false;
  s.onopen = () => {
    if (socket !== s) return;
    isOpen = true;
    lastFrameMs = performance.now();
    if (!document.hidden) resubscribe();
  };
  s.onmessage = (event: MessageEvent<unknown>) => {
    if (socket !== s || !(event.data instanceof ArrayBuffer)) return;
    try {
      receive(event.data);
    } catch (error) {
      console.error("live_frame_unreadable", error);
      lost();
    }
  };
  s.onclose = (event: CloseEvent) => {
    if (socket !== s) return;
    lost();
    if (!isOpen || event.code === CLOSE_LOGGED_OUT) refused();
  };
}

/** After a hole: changes may be missing, so the whole list is fetched. */
async function reloadAlarms(s: WebSocket): Promise<void> {
  const changes: { rows: Alarm[]; removed: string[] }[] = [];
  changesMeanwhile = changes;
  try {
    const answer = await get<{ alarms: Alarm[] }>("/alarms?state=active");
    if (socket !== s || changesMeanwhile !== changes) return;
    alarms.replace(answer.alarms);
    for (const change of changes) alarms.merge(change.rows, change.removed);
    changesMeanwhile = null;
  } catch {
    // Without the list the counts would be a guess: a new socket brings it whole.
    if (socket === s) lost();
  }
}

function lost(): void {
  drop();
  if (!wanted) return;
  if (connection.state !== "lost") connection.lostSinceMs = connection.serverNow();
  connection.state = "lost";
  const base = RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)] ?? 5_000;
  attempt++;
  // Jitter, so that forty screens do not return in the same moment after a restart.
  const wait = base * (0.8 + Math.random() * 0.4);
  connection.nextTryMs = connection.serverNow() + wait;
  clearTimeout(retryTimer);
  retryTimer = setTimeout(connect, wait);
}

function drop(): void {
  const s = socket;
  socket = undefined;
  subscribed = false;
  if (s === undefined) return;
  s.onopen = s.onmessage = s.onclose = null;
  s.close();
}

function onBeat(): void {
  connection.nowMs = connection.serverNow();
  const newest = newestMs();
  connection.dataAgeMs = Number.isNaN(newest) ? null : Math.max(0, connection.nowMs - newest);
  const allowed = connection.state === "live" ? SILENCE_MS : OPENING_MS;
  if (socket !== undefined && performance.now() - lastFrameMs > allowed) lost();
}

/** NaN where the page shows nothing that has to come: a device that answers says so only once. */
function newestMs(): number {
  let newest = Number.NaN;
  for (const [point, { live, refs }] of entries) {
    const at = times[live.slot] ?? Number.NaN;
    if (refs > 0 && !(at <= newest) && !Number.isNaN(at) && isExpected(point)) newest = at;
  }
  return newest;
}

function onVisibility(): void {
  if (socket?.readyState !== WebSocket.OPEN) return;
  if (document.hidden) {
    for (const batch of batches.values()) send({ op: "unsub", sid: batch.sid });
    subscribed = false;
  } else {
    resubscribe();
  }
}

/** Asks for everything again, packed into one batch a rate. */
function resubscribe(): void {
  const rates = new Map<string, number>();
  for (const b of batches.values()) {
    if (subscribed) send({ op: "unsub", sid: b.sid });
    for (const p of b.points) if (entries.has(p)) rates.set(p, Math.max(b.hz, rates.get(p) ?? 0));
  }
  batches.clear();
  subscribed = true;
  const byRate = new Map<number, string[]>();
  for (const [p, hz] of rates) byRate.set(hz, [...(byRate.get(hz) ?? []), p]);
  for (const [hz, points] of byRate) openBatch(points, hz);
}

function send(message: object): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function receive(buffer: ArrayBuffer): void {
  const frame = decodeFrame(buffer);
  lastFrameMs = performance.now();
  if (connection.state !== "live") {
    connection.state = "live";
    attempt = 0;
  }
  const sequence = Number(new DataView(buffer).getBigUint64(8, true));
  const hole = lastSequence !== 0 && sequence !== lastSequence + 1;
  lastSequence = sequence;
  if (frame === null) return;
  offsetMs = Number(frame.serverTimeNs / 1_000_000n) - Date.now();
  if (hole || frame.type === FRAME.resync) {
    if (!document.hidden) resubscribe();
    if (socket !== undefined && !isFirstAlarms) void reloadAlarms(socket);
    for (const fn of resyncs) fn();
  }
  switch (frame.type) {
    case FRAME.values:
    case FRAME.text:
      store(frame, Number(frame.serverTimeNs / 1_000n) / 1_000);
      break;
    case FRAME.alarms:
      takeAlarms(frame.json);
      break;
    case FRAME.event:
      publish(frame.json as Record<string, unknown>);
      break;
    case FRAME.heartbeat:
      connection.uiBuild = (frame.json as { ui_build?: string }).ui_build ?? connection.uiBuild;
      break;
  }
}

function store(frame: ValuesFrame, serverMs: number): void {
  const batch = batches.get(frame.sid);
  if (batch === undefined) return; // Sent before the server saw our unsub.
  for (let i = 0; i < frame.n; i++) {
    const point = batch.points[frame.index === null ? i : (frame.index[i] ?? -1)];
    if (point === undefined || batch.released.has(point)) continue;
    const slot = entries.get(point)?.live.slot;
    if (slot !== undefined) storeRow(slot, frame, i, serverMs);
  }
  if (dirty.size > 0 && !frameWanted) {
    frameWanted = true;
    requestAnimationFrame(flush);
  }
}

function storeRow(slot: number, frame: ValuesFrame, i: number, serverMs: number): void {
  const age = frame.ageMs[i] ?? AGE_MAX_MS;
  const flags = frame.flags[i] ?? 0;
  const never = age === AGE_MAX_MS && (flags & NO_VALUE) !== 0;
  const at = never ? Number.NaN : serverMs - age;
  const column = frame.values;
  if (column instanceof Float64Array) {
    kinds[slot] = KIND.float;
    numbers[slot] = column[i] ?? Number.NaN;
  } else if (column instanceof BigInt64Array) {
    kinds[slot] = KIND.int;
    integers[slot] = column[i] ?? 0n;
  } else {
    kinds[slot] = KIND.text;
    texts[slot] = column[i] ?? "";
  }
  times[slot] = at;
  qualities[slot] = frame.quality[i] ?? 0;
  flagBits[slot] = flags;
  dirty.add(slot);
}

function flush(): void {
  frameWanted = false;
  const changed = [...dirty];
  dirty.clear();
  for (const slot of changed) bySlot[slot]?.touch();
  for (const listener of listeners) {
    const mine = changed.filter((slot) => listener.slots.has(slot));
    if (mine.length > 0) listener.fn(mine);
  }
}

function takeAlarms(json: unknown): void {
  const { alarms: rows = [], removed = [] } = json as { alarms?: Alarm[]; removed?: string[] };
  if (isFirstAlarms) {
    isFirstAlarms = false;
    alarms.replace(rows);
  } else {
    changesMeanwhile?.push({ rows, removed });
    alarms.merge(rows, removed);
  }
}

function publish(event: Record<string, unknown>): void {
  for (const fn of topics.get(String(event["topic"])) ?? []) fn(event);
}
