/** Value, limit and place of an alarm in words. */
import { alarmName } from "../../lib/alarmname.ts";
import { locale, n, t } from "../../lib/i18n.svelte.ts";
import { connection } from "../../lib/live.svelte.ts";
import { plant } from "../../lib/plant.svelte.ts";
import { session } from "../../lib/session.svelte.ts";
import { moment, nsToMs } from "../../lib/time.ts";
import type { Alarm } from "../../lib/types.ts";
import { unitLabel } from "../../lib/units.ts";
import { fromJson, valueText } from "../../lib/value.ts";
import { tail } from "./order.ts";

const NO_POINT = { labels: null, decimals: null, kind: "float" as const };

export function assetName(alarm: Pick<Alarm, "asset_path">): string {
  return plant.asset(alarm.asset_path)?.name ?? tail(alarm.asset_path);
}

/** "S-101 Strainer clogged"; the asset is not said twice. */
export function fullName(alarm: Pick<Alarm, "asset_path" | "kind" | "name">): string {
  const asset = assetName(alarm);
  if (alarm.kind === "communication") return alarmName(alarm);
  return alarm.name.toLowerCase().includes(asset.toLowerCase()) ? alarm.name : `${asset} ${alarm.name}`;
}

/** "Returned 11:18:39, not acknowledged": of an alarm that is over, since when. */
export function stateText(alarm: Pick<Alarm, "state" | "returned_ns">): string {
  if (alarm.state !== "returned_unacknowledged" || alarm.returned_ns === null) return t(`alarms.state.${alarm.state}`);
  return t("alarms.returned_at", { time: moment(nsToMs(alarm.returned_ns), connection.nowMs, session.zone, locale.language) });
}

/** The value that raised the alarm, without its unit: that stands behind the limit. */
export function valueOf(alarm: Alarm): string {
  if (alarm.value === null || alarm.kind === "communication") return "";
  const point = (alarm.point_id === null ? undefined : plant.point(alarm.point_id)) ?? NO_POINT;
  const text = valueText(fromJson(alarm.value, point), point, locale.language);
  // "0.350 > 0.350" would say nothing: as many digits more as tell the value from its limit.
  if (alarm.limit === null || typeof alarm.value !== "number" || alarm.value === alarm.limit || point.labels !== null) return text;
  const decimals = point.decimals ?? 2;
  for (let more = 0; more <= 4; more++) {
    const shown = n(alarm.value, decimals + more);
    if (shown !== n(alarm.limit, decimals + more)) return more === 0 ? text : shown;
  }
  return text;
}

/** "< 1.00 bar". The side comes from the rule; without it from the value. */
export function limitText(alarm: Alarm): string {
  if (alarm.kind === "communication") return "";
  const unit = unitLabel(alarm, locale.language);
  if (alarm.limit === null) return alarm.value === null ? "" : unit;
  const point = alarm.point_id === null ? undefined : plant.point(alarm.point_id);
  const rule = point?.limits.find((l) => l.rule_id === alarm.rule_id && l.level === alarm.limit) ?? point?.limits.find((l) => l.rule_id === alarm.rule_id);
  const isHigh = rule ? rule.side === "high" : Number(alarm.value) >= alarm.limit;
  return `${isHigh ? ">" : "<"} ${n(alarm.limit, point?.decimals ?? null)} ${unit}`.trim();
}
