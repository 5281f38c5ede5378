/**
 * What a quality byte means to a reader, and how a value may be shown.
 *
 * The order matters: bad wins over stale, because a bad value has no number to grey out.
 */
import { NO_VALUE } from "./frames.ts";

/** The first byte of each severity: what is at least GOOD is good, what is below UNCERTAIN is bad. */
export const GOOD = 192;
export const UNCERTAIN = 64;

const NAMES: Record<number, string> = {
  0: "bad",
  1: "bad_configuration",
  2: "bad_no_communication",
  3: "bad_device_failure",
  4: "bad_sensor_failure",
  5: "bad_not_available",
  6: "bad_decoding",
  7: "bad_out_of_service",
  8: "bad_waiting_for_initial_data",
  9: "bad_data_lost",
  64: "uncertain",
  65: "uncertain_engineering_units_exceeded",
  66: "uncertain_substituted",
  67: "uncertain_overridden",
  68: "uncertain_simulated",
  69: "uncertain_source_time",
  70: "uncertain_last_usable",
  71: "uncertain_sub_normal",
  192: "good",
};

export type Severity = "good" | "uncertain" | "bad";

export function severity(quality: number): Severity {
  return quality >= GOOD ? "good" : quality >= UNCERTAIN ? "uncertain" : "bad";
}

/** Catalogue key `quality.<name>`; an unknown reason falls back to its severity. */
export function qualityKey(quality: number): string {
  return `quality.${NAMES[quality] ?? severity(quality)}`;
}

/** No sample for three periods. A point without a period never goes stale by itself. */
export function isStale(ageMs: number, periodMs: number | null): boolean {
  return periodMs !== null && ageMs > 3 * Math.max(periodMs, 500);
}

export type Shown = "waiting" | "bad" | "stale" | "uncertain" | "good";

/** How a value is shown. `waiting`: nothing has arrived yet, so nothing is claimed. */
export function shownAs(
  value: { known: boolean; quality: number; flags: number; value: unknown },
  ageMs: number,
  periodMs: number | null,
  connected: boolean,
): Shown {
  if (!value.known) return "waiting";
  if (value.quality < UNCERTAIN || (value.flags & NO_VALUE) !== 0 || value.value === null) return "bad";
  if (!connected || isStale(ageMs, periodMs)) return "stale";
  return value.quality >= GOOD ? "good" : "uncertain";
}
