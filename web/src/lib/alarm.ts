/** How an alarm is drawn and counted in the shell; the alarm page has its own order. */
import type { Alarm, Priority } from "./types.ts";

/** unack: ring and blink; rtn: over, but nobody has seen it; zero: none of this priority. */
export type PrioState = "unack" | "ack" | "rtn" | "shelved" | "zero";

export function mark(alarm: Pick<Alarm, "active" | "acknowledged" | "shelved">): PrioState {
  if (alarm.shelved) return "shelved";
  if (!alarm.active) return "rtn";
  return alarm.acknowledged ? "ack" : "unack";
}

/** One mark for many alarms: the one that asks most of a person. */
export function worstMark(alarms: readonly Alarm[]): PrioState {
  const marks = new Set(alarms.map(mark));
  for (const m of ["unack", "ack", "rtn", "shelved"] as const) if (marks.has(m)) return m;
  return "zero";
}

export type Tab = "active" | "shelved" | "suppressed" | "out_of_service";

/** The list on which an alarm stands. */
export function tabOf(alarm: Pick<Alarm, "shelved" | "suppressed" | "out_of_service">): Tab {
  if (alarm.out_of_service) return "out_of_service";
  if (alarm.suppressed) return "suppressed";
  if (alarm.shelved) return "shelved";
  return "active";
}

export function shownAlarms(alarms: readonly Alarm[]): Alarm[] {
  return alarms.filter((a) => tabOf(a) === "active");
}

/** Paths of the assets that an alarm concerns besides its own: those that a lost device feeds. */
export type Fed = (alarm: Pick<Alarm, "kind" | "point_id">) => readonly string[];

/**
 * The alarms of an asset and of what is below it. A lost device concerns every asset that it
 * feeds: a page without values must not say that nothing is wrong.
 */
export function below<A extends Pick<Alarm, "asset_path" | "kind" | "point_id">>(
  alarms: readonly A[],
  assetPath: string,
  fed: Fed,
): A[] {
  const prefix = `${assetPath}/`;
  const isInside = (path: string): boolean => path === assetPath || path.startsWith(prefix);
  return alarms.filter((a) => isInside(a.asset_path) || fed(a).some(isInside));
}

export const PRIORITIES: readonly Priority[] = [1, 2, 3, 4];
