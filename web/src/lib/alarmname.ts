/** What an alarm is called. A lost device is known by its name only; the words are the reader's. */
import { t } from "./i18n.svelte.ts";
import type { Alarm } from "./types.ts";

export function alarmName(alarm: Pick<Alarm, "kind" | "name">): string {
  return alarm.kind === "communication" ? t("alarm.communication", { name: alarm.name }) : alarm.name;
}
