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

/** Those that are on the active list: not shelved, suppressed or out of service. */
export function shownAlarms(alarms: readonly Alarm[]): Alarm[] {
  return alarms.filter((a) => !a.shelved && !a.suppressed && !a.out_of_service);
}

/** The alarms of an asset and of what is below it. */
export function below(alarms: readonly Alarm[], assetPath: string): Alarm[] {
  const prefix = `${assetPath}/`;
  return alarms.filter((a) => a.asset_path === assetPath || a.asset_path.startsWith(prefix));
}

export const PRIORITIES: readonly Priority[] = [1, 2, 3, 4];
