/**
 * Times: the server counts nanoseconds in UTC, people read plant time.
 *
 * A nanosecond count does not fit a double, so it travels as a string and is a BigInt here;
 * milliseconds (a double) are for drawing and for ages only.
 */
import type { Language, Ns } from "./types.ts";

const NS_PER_MS = 1_000_000n;
const LOCALE: Record<Language, string> = { en: "en-GB", de: "de-DE" };

/** Keeps the part below a millisecond as a fraction, as far as a double holds it. */
export function nsToMs(ns: Ns | bigint | number): number {
  const n = toNs(ns);
  return Number(n / NS_PER_MS) + Number(n % NS_PER_MS) / 1e6;
}

export function toNs(ns: Ns | bigint | number): bigint {
  return typeof ns === "bigint" ? ns : BigInt(ns);
}

/** Whole milliseconds become nanoseconds without passing through a double above 2^53. */
export function msToNs(ms: number): Ns {
  const whole = Math.floor(ms);
  return String(BigInt(whole) * NS_PER_MS + BigInt(Math.round((ms - whole) * 1e6)));
}

const RFC3339 = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$/;

/** Null when the text is not an RFC 3339 time. */
export function rfc3339ToNs(text: string): bigint | null {
  const match = RFC3339.exec(text);
  if (match === null) return null;
  const [, day, clock, fraction = "", zone = "Z"] = match;
  const ms = Date.parse(`${day}T${clock}${zone.toUpperCase()}`);
  return Number.isNaN(ms) ? null : BigInt(ms) * NS_PER_MS + BigInt(fraction.padEnd(9, "0"));
}

export function nsToRfc3339(ns: Ns | bigint): string {
  const n = toNs(ns);
  const below = ((n % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const seconds = new Date(Number((n - below) / NS_PER_MS)).toISOString().slice(0, 19);
  return `${seconds}.${String(below).padStart(9, "0")}Z`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function intl(language: Language, zone: string, options: Intl.DateTimeFormatOptions) {
  const key = language + zone + JSON.stringify(options);
  let made = formats.get(key);
  if (made === undefined) {
    try {
      made = new Intl.DateTimeFormat(LOCALE[language], { ...options, timeZone: zone });
    } catch {
      // A zone this browser does not know must not blank the page; UTC is named where it shows.
      made = new Intl.DateTimeFormat(LOCALE[language], { ...options, timeZone: "UTC" });
    }
    formats.set(key, made);
  }
  return made;
}

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" } as const;

/** 14:32:05 */
export function clock(ms: number, zone: string, language: Language): string {
  return intl(language, zone, CLOCK).format(ms);
}

/** 14:32:05.250 */
export function clockMs(ms: number, zone: string, language: Language): string {
  return intl(language, zone, { ...CLOCK, fractionalSecondDigits: 3 }).format(ms);
}

/** Wed 25 Nov */
export function day(ms: number, zone: string, language: Language): string {
  const options = { weekday: "short", day: "numeric", month: "short" } as const;
  return intl(language, zone, options).format(ms).replace(",", "");
}

/** Wed 25 Nov 2026 */
export function date(ms: number, zone: string, language: Language): string {
  const options = { weekday: "short", day: "numeric", month: "short", year: "numeric" } as const;
  return intl(language, zone, options).format(ms).replace(",", "");
}

/** 14:32:05 today in the zone, else with its day in front. */
export function moment(ms: number, nowMs: number, zone: string, language: Language): string {
  const at = clock(ms, zone, language);
  const that = day(ms, zone, language);
  const isToday = that === day(nowMs, zone, language) && Math.abs(nowMs - ms) < 2 * 86_400_000;
  return isToday ? at : `${that} ${at}`;
}

/** "CET", "CEST", "GMT+1": what the zone is called at that time. */
export function zoneName(ms: number, zone: string, language: Language): string {
  const parts = intl(language, zone, { timeZoneName: "short" }).formatToParts(ms);
  return parts.find((p) => p.type === "timeZoneName")?.value ?? zone;
}

/** A span in at most two parts: 0.4 s, 13 s, 3 min, 2 h 26, 41 d 6 h. */
export function span(ms: number, language: Language): string {
  const s = Math.max(0, ms) / 1000;
  const d = language === "de" ? "Tg" : "d";
  if (s < 10) return `${(Math.floor(s * 10) / 10).toFixed(1).replace(".", language === "de" ? "," : ".")} s`;
  if (s < 60) return `${Math.floor(s)} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return `${min} min`;
  const h = Math.floor(min / 60);
  if (h < 24) return `${h} h ${String(min % 60).padStart(2, "0")}`;
  const days = Math.floor(h / 24);
  return h % 24 === 0 ? `${days} ${d}` : `${days} ${d} ${h % 24} h`;
}

/** An age that need not be exact below a second: "0 s", "13 s", "2 h 26". */
export function age(ms: number, language: Language): string {
  return ms < 10_000 ? `${Math.floor(Math.max(0, ms) / 1000)} s` : span(ms, language);
}
