/**
 * Decoders of the live frame and of the trend answer; pure, no DOM.
 *
 * Numeric columns are views into the received buffer, not copies: both formats align 8-byte
 * columns for that. An int64 stays a BigInt, since a counter above 2^53 must not be rounded.
 */

export const FRAME = { heartbeat: 0, values: 1, alarms: 2, event: 6, text: 7, resync: 9 } as const;
export const KIND = { none: 0, float: 1, int: 2, text: 3 } as const;
/** Age of a point that never had a sample, and of anything older than 49 days. */
export const AGE_MAX_MS = 4_294_967_295;
/** Flag bit 4 of a sample: it carries no value. */
export const NO_VALUE = 16;

const HEADER = 24;
const text = new TextDecoder();

export interface FrameHeader {
  type: number;
  kind: number;
  delta: boolean;
  snapshot: boolean;
  sid: number;
  sequence: number;
  serverTimeNs: bigint;
}

export interface ValuesFrame extends FrameHeader {
  type: 1 | 7;
  n: number;
  values: Float64Array | BigInt64Array | string[];
  ageMs: Uint32Array;
  /** Place in the list of the `sub` message; null: row i is place i. */
  index: Uint32Array | null;
  quality: Uint8Array;
  flags: Uint8Array;
}

export interface JsonFrame extends FrameHeader {
  type: 0 | 2 | 6;
  json: unknown;
}

export interface ResyncFrame extends FrameHeader {
  type: 9;
}

export type LiveFrame = ValuesFrame | JsonFrame | ResyncFrame;

/** Null for a type that this client does not know; throws RangeError for a frame cut short. */
export function decodeFrame(buffer: ArrayBuffer): LiveFrame | null {
  const view = new DataView(buffer);
  if (view.getUint8(1) !== 1) throw new RangeError(`live frame version ${view.getUint8(1)}`);
  const bits = view.getUint8(2);
  const head: FrameHeader = {
    type: view.getUint8(0),
    kind: view.getUint8(3),
    delta: (bits & 1) !== 0,
    snapshot: (bits & 2) !== 0,
    sid: view.getUint32(4, true),
    sequence: Number(view.getBigUint64(8, true)),
    serverTimeNs: view.getBigInt64(16, true),
  };
  switch (head.type) {
    case FRAME.values:
      return values(buffer, view, head);
    case FRAME.text:
      return texts(buffer, view, head);
    case FRAME.heartbeat:
    case FRAME.alarms:
    case FRAME.event: {
      const body = new Uint8Array(buffer, HEADER);
      const json: unknown = body.length === 0 ? {} : JSON.parse(text.decode(body));
      return { ...head, type: head.type, json };
    }
    case FRAME.resync:
      return { ...head, type: FRAME.resync };
    default:
      return null;
  }
}

function values(buffer: ArrayBuffer, view: DataView, head: FrameHeader): ValuesFrame {
  const n = view.getUint32(HEADER, true);
  let at = HEADER + 8;
  const column =
    head.kind === KIND.int ? new BigInt64Array(buffer, at, n) : new Float64Array(buffer, at, n);
  at += 8 * n;
  const ageMs = new Uint32Array(buffer, at, n);
  at += 4 * n;
  let index: Uint32Array | null = null;
  if (head.delta || head.snapshot) {
    index = new Uint32Array(buffer, at, n);
    at += 4 * n;
  }
  const quality = new Uint8Array(buffer, at, n);
  const flags = new Uint8Array(buffer, at + n, n);
  return { ...head, type: FRAME.values, n, values: column, ageMs, index, quality, flags };
}

function texts(buffer: ArrayBuffer, view: DataView, head: FrameHeader): ValuesFrame {
  const n = view.getUint32(HEADER, true);
  const bytes = view.getUint32(HEADER + 4, true);
  let at = HEADER + 8;
  const ageMs = new Uint32Array(buffer, at, n);
  at += 4 * n;
  let index: Uint32Array | null = null;
  if (head.delta || head.snapshot) {
    index = new Uint32Array(buffer, at, n);
    at += 4 * n;
  }
  const offset = new Uint32Array(buffer, at, n + 1);
  at += 4 * (n + 1);
  const quality = new Uint8Array(buffer, at, n);
  const flags = new Uint8Array(buffer, at + n, n);
  const body = new Uint8Array(buffer, at + 2 * n, bytes);
  const out: string[] = [];
  for (let i = 0; i < n; i++) out.push(text.decode(body.subarray(offset[i], offset[i + 1])));
  return { ...head, type: FRAME.text, n, values: out, ageMs, index, quality, flags };
}

/* ---- trend ---- */

export interface TrendGap {
  beginNs: bigint;
  endNs: bigint;
}

interface PenHead {
  kind: number;
  /** 0 ok, 1 no such point or no permission, 2 no sample at all before the end of the span. */
  state: number;
  rows: number;
  /** NaN: nothing before the span, or the newest sample before it is bad. */
  before: number;
  gaps: TrendGap[];
}

export interface EnvelopePen extends PenHead {
  min: Float64Array;
  max: Float64Array;
  /** Worst quality of the column; 255: no sample. */
  quality: Uint8Array;
}

export interface RawPen extends PenHead {
  /** Seconds since `t0Ns`. */
  seconds: Float64Array;
  value: Float64Array;
  quality: Uint8Array;
}

interface TrendHead {
  t0Ns: bigint;
  dtNs: bigint;
  columns: number;
  sequence: bigint;
}

export type Trend =
  | (TrendHead & { mode: "envelope"; pens: EnvelopePen[] })
  | (TrendHead & { mode: "raw"; pens: RawPen[] });

const TREND_HEADER = 40;
const PEN_HEADER = 32;

/** Throws RangeError when the bytes are not a trend of version 1 or end too early. */
export function decodeTrend(buffer: ArrayBuffer): Trend {
  const view = new DataView(buffer);
  if (view.getUint32(0, false) !== 0x50545244) throw new RangeError("not a trend answer");
  if (view.getUint16(4, true) !== 1) throw new RangeError(`trend version ${view.getUint16(4, true)}`);
  const mode = view.getUint8(6);
  const count = view.getUint32(8, true);
  const head: TrendHead = {
    columns: view.getUint32(12, true),
    t0Ns: view.getBigInt64(16, true),
    dtNs: view.getBigInt64(24, true),
    sequence: view.getBigUint64(32, true),
  };
  const at = { byte: TREND_HEADER };
  if (mode === 1) {
    const pens = Array.from({ length: count }, () => envelopePen(buffer, view, at, head.columns));
    return { ...head, mode: "envelope", pens };
  }
  if (mode !== 2) throw new RangeError(`trend mode ${mode}`);
  const pens = Array.from({ length: count }, () => rawPen(buffer, view, at));
  return { ...head, mode: "raw", pens };
}

function envelopePen(
  buffer: ArrayBuffer,
  view: DataView,
  at: { byte: number },
  n: number,
): EnvelopePen {
  const head = penHead(view, at);
  const min = floats(buffer, at, n);
  const max = floats(buffer, at, n);
  const quality = bytes(buffer, at, n);
  return { ...head.pen, gaps: gaps(view, at, head.gaps), min, max, quality };
}

function rawPen(buffer: ArrayBuffer, view: DataView, at: { byte: number }): RawPen {
  const head = penHead(view, at);
  const seconds = floats(buffer, at, head.pen.rows);
  const value = floats(buffer, at, head.pen.rows);
  const quality = bytes(buffer, at, head.pen.rows);
  return { ...head.pen, gaps: gaps(view, at, head.gaps), seconds, value, quality };
}

function penHead(view: DataView, at: { byte: number }): { pen: Omit<PenHead, "gaps">; gaps: number } {
  const b = at.byte;
  at.byte += PEN_HEADER;
  return {
    pen: {
      kind: view.getUint8(b),
      state: view.getUint8(b + 1),
      rows: view.getUint32(b + 4, true),
      before: view.getFloat64(b + 16, true),
    },
    gaps: view.getUint32(b + 8, true),
  };
}

function floats(buffer: ArrayBuffer, at: { byte: number }, n: number): Float64Array {
  const column = new Float64Array(buffer, at.byte, n);
  at.byte += 8 * n;
  return column;
}

function bytes(buffer: ArrayBuffer, at: { byte: number }, n: number): Uint8Array {
  const column = new Uint8Array(buffer, at.byte, n);
  at.byte += (n + 7) & ~7;
  return column;
}

function gaps(view: DataView, at: { byte: number }, n: number): TrendGap[] {
  const out: TrendGap[] = [];
  for (let i = 0; i < n; i++) {
    const b = at.byte + 16 * i;
    out.push({ beginNs: view.getBigInt64(b, true), endNs: view.getBigInt64(b + 8, true) });
  }
  at.byte += 16 * n;
  return out;
}
