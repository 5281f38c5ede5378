/**
 * Where no line may be drawn.
 *
 * uPlot draws straight through NaN in a typed array, so a bad hour would look like good data. The
 * chart therefore breaks its paths here and clips them to the spans of `gapSpans`, and a test can
 * check both without a canvas.
 */

/** A span of time in seconds: from `begin` on nothing is known, at `end` the next sample is good. */
export interface Gap {
  begin: number;
  end: number;
}

/** A span of pixels, measured from the left edge of the page's plot area. */
export type Span = [left: number, right: number];

/** Pixel spans of the gaps in the window `x0..x1` of a plot `width` pixels wide, merged, ordered and at least `least` wide. */
export function gapSpans(gaps: readonly Gap[], x0: number, x1: number, width: number, least = 1): Span[] {
  const spans: Span[] = [];
  if (!(x1 > x0) || !(width > 0)) return spans;
  const scale = width / (x1 - x0);
  for (const gap of [...gaps].sort((a, b) => a.begin - b.begin)) {
    if (gap.end <= x0 || gap.begin >= x1) continue;
    let left = Math.max(0, (gap.begin - x0) * scale);
    let right = Math.min(width, (gap.end - x0) * scale);
    if (right - left < least) {
      right = Math.min(width, left + least);
      left = Math.max(0, right - least);
    }
    const last = spans[spans.length - 1];
    if (last !== undefined && left <= last[1] + 0.5) last[1] = Math.max(last[1], right);
    else spans.push([left, right]);
  }
  return spans;
}

/** Where every list has a span: there nothing at all is known. */
export function commonSpans(lists: readonly (readonly Span[])[]): Span[] {
  const [first = [], ...rest] = lists;
  return rest.reduce<Span[]>(
    (common, list) =>
      common.flatMap(([l, r]) =>
        list.flatMap(([a, b]): Span[] => (Math.max(l, a) < Math.min(r, b) ? [[Math.max(l, a), Math.min(r, b)]] : [])),
      ),
    [...first],
  );
}

/** The complement of `gapSpans`: where ink is allowed. */
export function inkSpans(spans: readonly Span[], width: number): Span[] {
  const ink: Span[] = [];
  let at = 0;
  for (const [left, right] of spans) {
    if (left > at) ink.push([at, left]);
    at = Math.max(at, right);
  }
  if (at < width) ink.push([at, width]);
  return ink;
}

/** Runs of indices `[first, last]` of the ascending times `t` between which no gap lies. */
export function runs(t: ArrayLike<number>, gaps: readonly Gap[]): [number, number][] {
  const result: [number, number][] = [];
  if (t.length === 0) return result;
  const ordered = [...gaps].sort((a, b) => a.begin - b.begin);
  let next = 0;
  let first = 0;
  for (let i = 1; i < t.length; i++) {
    const from = t[i - 1] as number;
    const to = t[i] as number;
    while (next < ordered.length && (ordered[next] as Gap).end <= from) next++;
    let broken = false;
    for (let g = next; g < ordered.length; g++) {
      const gap = ordered[g] as Gap;
      if (gap.begin >= to) break;
      if (gap.end > from) {
        broken = true;
        break;
      }
    }
    if (broken) {
      result.push([first, i - 1]);
      first = i;
    }
  }
  result.push([first, t.length - 1]);
  return result;
}
