/**
 * One lane as a uPlot chart: scales, grid, axes and pens.
 *
 * The paths are our own. uPlot's builders draw straight through NaN in a typed array and want all
 * pens on one time column; ours break at every gap and, as a second lock, clip to the spans in
 * which ink is allowed (`series.gaps` gives the spans, like in uPlot's own builders).
 */
import uPlot from "uplot";
import { gapSpans, inkSpans, runs, type Gap } from "./gaps.ts";
import { faint, type Ink } from "./ink.ts";
import type { Range } from "./lanes.ts";
import { indexAt, type Series } from "./series.ts";

export interface PlotPen {
  series: Series;
  gaps: Gap[];
  /** Index of the colour, from 0; from 8 on the line is dashed. */
  colour: number;
  /** States and switches hold their value until the next sample. */
  isStep: boolean;
  /** Seconds until which the last value holds, or null. */
  holds: number | null;
}

export interface PlotState {
  /** Seconds. */
  from: number;
  to: number;
  range: Range;
  pens: PlotPen[];
  timeTicks: number[];
  valueTicks: number[];
  timeLabel: (t: number) => string;
  valueLabel: (v: number) => string;
}

export interface Frame {
  left: number;
  right: number;
  top: number;
  /** Height of the time axis, 0 for none. */
  axis: number;
}

export interface Plot {
  draw(state: PlotState): void;
  resize(width: number, height: number): void;
  setInk(ink: Ink): void;
  destroy(): void;
}

export function createPlot(target: HTMLElement, width: number, height: number, frame: Frame, first: PlotState, firstInk: Ink): Plot {
  let state = first;
  let ink = firstInk;
  let chart: uPlot;
  let pens = -1;

  const build = (): void => {
    chart?.destroy();
    pens = state.pens.length;
    chart = new uPlot(options(), data(), target);
  };

  const data = (): uPlot.AlignedData => [
    [state.from, state.to],
    ...state.pens.map(() => [state.range[0], state.range[1]]),
  ];

  const options = (): uPlot.Options => ({
    width,
    height,
    padding: [frame.top, frame.right, frame.axis === 0 ? 2 : 0, 0],
    legend: { show: false },
    cursor: { show: false },
    select: { show: false, left: 0, top: 0, width: 0, height: 0 },
    scales: {
      x: { time: false, range: () => [state.from, state.to] },
      y: { range: () => state.range },
    },
    axes: [
      {
        size: frame.axis,
        stroke: ink.axis,
        font: ink.font,
        gap: 4,
        splits: () => state.timeTicks,
        values: (_, ticks) => (frame.axis === 0 ? ticks.map(() => "") : ticks.map((tick) => state.timeLabel(tick))),
        grid: { stroke: ink.grid, width: 1 },
        ticks: { show: false },
      },
      {
        size: frame.left,
        stroke: ink.axis,
        font: ink.font,
        gap: 6,
        splits: () => state.valueTicks,
        values: (_, ticks) => ticks.map((tick) => state.valueLabel(tick)),
        grid: { stroke: ink.grid, width: 1 },
        ticks: { show: false },
      },
    ],
    series: [
      {},
      ...state.pens.map((pen): uPlot.Series => {
        const colour = ink.pens[pen.colour % ink.pens.length] ?? ink.axis;
        return {
          stroke: colour,
          fill: faint(colour, 0.22),
          width: 1.5,
          points: { show: false },
          ...(pen.colour >= ink.pens.length ? { dash: [6, 3] } : {}),
          gaps: (u, index) => pixelGaps(u, state.pens[index - 1]),
          paths,
        };
      }),
    ],
    hooks: {
      drawClear: [
        (u): void => {
          u.ctx.fillStyle = ink.raised;
          u.ctx.fillRect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
        },
      ],
    },
  });

  const paths: uPlot.Series.PathBuilder = (u, index) => {
    const pen = state.pens[index - 1];
    if (pen === undefined) return null;
    return pathsOf(u, pen, state, u.series[index]?.gaps as PixelGaps);
  };

  build();
  return {
    draw(next): void {
      const colours = (list: PlotPen[]): string => list.map((p) => p.colour).join();
      const isSame = next.pens.length === pens && colours(next.pens) === colours(state.pens);
      state = next;
      if (isSame) chart.setData(data(), true);
      else build();
    },
    resize(w, h): void {
      width = w;
      height = h;
      chart.setSize({ width, height });
    },
    setInk(next): void {
      ink = next;
      build();
    },
    destroy(): void {
      chart.destroy();
    },
  };
}

export type PixelGaps = (u: uPlot, index: number, first: number, last: number, found: [number, number][]) => [number, number][];

/** Canvas pixels, as uPlot counts them. */
export function pixelGaps(u: uPlot, pen: PlotPen | undefined): [number, number][] {
  if (pen === undefined) return [];
  const { min, max } = u.scales["x"] as { min: number; max: number };
  return gapSpans(pen.gaps, min, max, u.bbox.width).map(([l, r]) => [u.bbox.left + l, u.bbox.left + r]);
}

/** Line and band of one pen, broken at every gap; exported because a test counts the pixels that no line may touch. */
export function pathsOf(u: uPlot, pen: PlotPen, state: PlotState, gaps: PixelGaps): uPlot.Series.Paths {
  const stroke = new Path2D();
  const fill = new Path2D();
  const s = pen.series;
  const x = (t: number): number => u.valToPos(t, "x", true);
  const y = (v: number): number => u.valToPos(v, "y", true);
  // One entry beyond each edge, so that lines run in and out of the window.
  const first = Math.max(0, indexAt(s, state.from));
  const last = Math.min(s.t.length - 1, indexAt(s, state.to) + 1);
  const t = s.t.slice(first, last + 1);
  for (const [a, b] of runs(t, pen.gaps)) {
    const begin = first + a;
    const end = first + b;
    band(fill, s, begin, end, x, y);
    line(stroke, s, begin, end, pen.isStep, x, y);
    const isNewest = end === s.t.length - 1;
    if (isNewest && pen.holds !== null && t.length > 0) {
      stroke.lineTo(x(pen.holds), y(pen.isStep ? (s.hi[end] as number) : middle(s, end)));
    } else if (begin === end) {
      // A lone sample between two gaps is a point, not a line; a dash of two pixels makes it visible.
      stroke.lineTo(x(s.t[begin] as number) + 2 * devicePixelRatio, y(middle(s, begin)));
    }
  }
  const spans = gaps(u, state.pens.indexOf(pen) + 1, 0, 0, []);
  return { stroke, fill, clip: clipOf(u, spans), flags: 1 } as uPlot.Series.Paths;
}

function middle(s: Series, i: number): number {
  return ((s.lo[i] as number) + (s.hi[i] as number)) / 2;
}

function line(path: Path2D, s: Series, begin: number, end: number, isStep: boolean, x: (t: number) => number, y: (v: number) => number): void {
  path.moveTo(x(s.t[begin] as number), y(isStep ? (s.hi[begin] as number) : middle(s, begin)));
  for (let i = begin + 1; i <= end; i++) {
    const at = x(s.t[i] as number);
    if (!isStep) {
      path.lineTo(at, y(middle(s, i)));
      continue;
    }
    path.lineTo(at, y(s.hi[i - 1] as number));
    path.lineTo(at, y(s.lo[i] as number));
    path.lineTo(at, y(s.hi[i] as number));
  }
}

function band(path: Path2D, s: Series, begin: number, end: number, x: (t: number) => number, y: (v: number) => number): void {
  if (end === begin) return;
  path.moveTo(x(s.t[begin] as number), y(s.hi[begin] as number));
  for (let i = begin + 1; i <= end; i++) path.lineTo(x(s.t[i] as number), y(s.hi[i] as number));
  for (let i = end; i >= begin; i--) path.lineTo(x(s.t[i] as number), y(s.lo[i] as number));
  path.closePath();
}

function clipOf(u: uPlot, spans: [number, number][]): Path2D | null {
  if (spans.length === 0) return null;
  const clip = new Path2D();
  const { left, top, width, height } = u.bbox;
  const relative = spans.map(([l, r]): [number, number] => [l - left, r - left]);
  for (const [l, r] of inkSpans(relative, width)) clip.rect(left + l, top - 4, r - l, height + 8);
  return clip;
}
