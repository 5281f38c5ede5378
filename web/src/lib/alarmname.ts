/** What an alarm is called. A lost device is known by its name only; the words are the reader's. */
import { t } from "./i18n.svelte.ts";
import type { Alarm } from "./types.ts";

/** Of one that has returned in the past tense: the device answers again. */
export function alarmName(alarm: Pick<Alarm, "kind" | "name"> & { active?: boolean }): string {
  if (alarm.kind !== "communication") return alarm.name;
  return t(alarm.active === false ? "alarm.communication_over" : "alarm.communication", { name: alarm.name });
}
