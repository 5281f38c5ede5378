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

/** The alarms of an asset and of what is below it. */
export function below(alarms: readonly Alarm[], assetPath: string): Alarm[] {
  const prefix = `${assetPath}/`;
  return alarms.filter((a) => a.asset_path === assetPath || a.asset_path.startsWith(prefix));
}

export const PRIORITIES: readonly Priority[] = [1, 2, 3, 4];
