/** Whether mini trends have enough to draw. Pure. */
import type { SparkData } from "../../lib/spark.ts";

const FILLED_MIN = 0.25;

/** True when no line reaches over a quarter of its width, and nothing comes in from the left. */
export function isMostlyEmpty(all: readonly (SparkData | null)[]): boolean {
  const drawn = all.filter((d): d is SparkData => d !== null);
  return drawn.every((d) => {
    let first = 0;
    while (first < d.min.length && !Number.isFinite(d.min[first] ?? Number.NaN)) first++;
    return !Number.isFinite(d.before) && first > d.min.length * (1 - FILLED_MIN);
  });
}
