/** Figures of the System page, in the unit a person would choose. Pure. */
import { format } from "../../lib/numbers.ts";
import type { Language } from "../../lib/types.ts";

const NBSP = "\u00a0";

/** Decimal units, as disks are sold: 38 MB, 1.42 GB. */
export function bytes(value: number, language: Language): string {
  const steps = ["B", "kB", "MB", "GB", "TB"];
  let v = value;
  let i = 0;
  while (Math.abs(v) >= 1000 && i < steps.length - 1) {
    v /= 1000;
    i++;
  }
  const decimals = i === 0 || v >= 100 ? 0 : v >= 10 ? 1 : 2;
  return `${format(v, decimals, language)}${NBSP}${steps[i]}`;
}

/** 2 d 04:11, 04:11, 12 min, 8 s */
export function upTime(seconds: number, language: Language): string {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  const two = (v: number): string => String(v).padStart(2, "0");
  const clock = `${two(Math.floor((s % 86_400) / 3600))}:${two(Math.floor((s % 3600) / 60))}`;
  const days = Math.floor(s / 86_400);
  return days === 0 ? `${clock} h` : `${days} ${language === "de" ? "Tg" : "d"} ${clock}`;
}

/** A figure that may be a large count or a small time: two digits that matter. */
export function figure(value: number, language: Language): string {
  const size = Math.abs(value);
  return format(value, size >= 10 || size === 0 ? 0 : size >= 1 ? 1 : 2, language);
}

/** A span that need not be exact: 3.4 d, 45 d, 2.1 a; a year has 365 days. */
export function longSpan(days: number, language: Language): string {
  const [day, year] = language === "de" ? ["Tg", "J"] : ["d", "y"];
  if (days >= 365) return `${format(days / 365, days >= 3650 ? 0 : 1, language)}${NBSP}${year}`;
  return `${format(days, days < 10 ? 1 : 0, language)}${NBSP}${day}`;
}

/** A counter of one reader of the log: who reads, and what is counted; null for any other counter. */
export function readerCounter(name: string): { reader: string; what: "behind" | "dropped" | "poisoned" } | null {
  const found = /^log_reader_(.+)_(behind|dropped|poisoned)_records$/.exec(name);
  return found === null ? null : { reader: found[1] as string, what: found[2] as "behind" };
}
