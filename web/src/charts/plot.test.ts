/** The regression that matters most here: nothing is drawn where nothing is known. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type uPlot from "uplot";
import type { Gap } from "./gaps.ts";
import { emptySeries, type Series } from "./series.ts";

type Op = ["M" | "L" | "R", number, number, number];

class RecordingPath {
  ops: Op[] = [];
  moveTo(x: number, y: number): void {
    this.ops.push(["M", x, y, 0]);
  }
  lineTo(x: number, y: number): void {
    this.ops.push(["L", x, y, 0]);
  }
  rect(x: number, y: number, w: number): void {
    this.ops.push(["R", x, y, w]);
  }
  closePath(): void {}
}
Object.assign(globalThis, { Path2D: RecordingPath, devicePixelRatio: 1, window: undefined });
const { pathsOf, pixelGaps } = await import("./plot.ts");

const LEFT = 50;
const WIDTH = 1000;

/** A plot of 1000 pixels over 1000 seconds, one pixel a second. */
const U = {
  bbox: { left: LEFT, top: 0, width: WIDTH, height: 100 },
  scales: { x: { min: 0, max: 1000 } },
  valToPos: (v: number, scale: string) => (scale === "x" ? LEFT + v : 100 - v),
} as unknown as uPlot;

function drawn(series: Series, gaps: Gap[], isStep = false, holds: number | null = null): { stroke: Op[]; fill: Op[]; clip: Op[] | null } {
  const pen = { series, gaps, colour: 0, isStep, holds };
  const state = { from: 0, to: 1000, range: [0, 100] as [number, number], pens: [pen], timeTicks: [], valueTicks: [], timeLabel: String, valueLabel: String };
  const paths = pathsOf(U, pen, state, (u) => pixelGaps(u, pen)) as unknown as Record<"stroke" | "fill" | "clip", RecordingPath | null>;
  return { stroke: paths.stroke?.ops ?? [], fill: paths.fill?.ops ?? [], clip: paths.clip?.ops ?? null };
}

function every(step: number, from = 0, to = 1000): Series {
  const s = emptySeries();
  for (let t = from; t < to; t += step) {
    s.t.push(t);
    s.lo.push(10);
    s.hi.push(20);
  }
  s.last = to;
  return s;
}

/** Columns of pixels that a path crosses and its clip lets through. */
function inked(ops: Op[], clip: Op[] | null): Set<number> {
  const pixels = new Set<number>();
  const isOpen = (x: number): boolean => clip === null || clip.some(([, left, , w]) => x >= left && x < left + w);
  let at: number | null = null;
  for (const [op, x] of ops) {
    if (op === "L" && at !== null) for (let p = Math.min(at, x); p < Math.max(at, x); p++) if (isOpen(Math.floor(p))) pixels.add(Math.floor(p) - LEFT);
    at = x;
  }
  return pixels;
}

for (const isStep of [false, true]) {
  test(`no pixel of a ${isStep ? "stepped" : "straight"} line lies in a gap, and the line is there beside it`, () => {
    const { stroke, fill, clip } = drawn(every(7), [{ begin: 300, end: 500 }], isStep);
    for (const ops of [stroke, fill]) {
      const pixels = inked(ops, clip);
      for (let x = 300; x < 500; x++) assert.ok(!pixels.has(x), `ink at ${x}`);
      assert.ok(pixels.has(290) && pixels.has(510));
    }
  });
}

test("columns without a sample are bridged, because nothing says that the value was unknown", () => {
  const sparse = every(100);
  const pixels = inked(drawn(sparse, []).stroke, null);
  assert.ok(pixels.has(450));
});

test("a gap of a moment still breaks the path", () => {
  const { stroke } = drawn(every(10), [{ begin: 405.1, end: 405.2 }]);
  assert.equal(stroke.filter(([op]) => op === "M").length, 2);
});

test("the last value holds only as long as it is said to", () => {
  const s = every(10, 0, 500);
  assert.ok(!inked(drawn(s, []).stroke, null).has(700));
  assert.ok(inked(drawn(s, [], false, 900).stroke, null).has(700));
});

test("a lone sample between two gaps is visible", () => {
  const s = emptySeries();
  s.t = [500];
  s.lo = s.hi = [10];
  const { stroke } = drawn(s, [{ begin: 100, end: 500 }, { begin: 501, end: 900 }]);
  assert.ok(stroke.some(([op]) => op === "L"));
});
