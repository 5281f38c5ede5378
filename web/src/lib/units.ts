/**
 * What a unit is called on screen. The server sends `unit_label`; this covers codes without one
 * and the few words that differ by language. A UCUM annotation ("{sample}") is not a unit.
 */
import type { Language } from "./types.ts";

const LABELS: Record<string, string> = {
  Cel: "°C", K: "K", "[degF]": "°F", bar: "bar", mbar: "mbar", Pa: "Pa", kPa: "kPa", MPa: "MPa",
  "m3/h": "m³/h", "m3/s": "m³/s", "L/s": "l/s", "l/s": "l/s", "L/min": "l/min", "l/min": "l/min",
  m3: "m³", m: "m", mm: "mm", um: "µm", "mm/s": "mm/s", "m/s": "m/s", "m/s2": "m/s²",
  kW: "kW", MW: "MW", W: "W", kWh: "kWh", "kW.h": "kWh", "MW.h": "MWh", "kW.h/m3": "kWh/m³",
  A: "A", V: "V", kV: "kV", Hz: "Hz", "%": "%", "1": "", "[pH]": "", "/min": "1/min",
  "mg/L": "mg/l", "mg/l": "mg/l", "ug/m3": "µg/m³", "[ppm]": "ppm", "mJ/cm2": "mJ/cm²",
  "N.m": "Nm", kN: "kN", deg: "°", rad: "rad", s: "s", min: "min", h: "h", d: "d", ms: "ms",
  kg: "kg", t: "t", "kg/h": "kg/h", "t/h": "t/h", "uS/cm": "µS/cm", "[NTU]": "NTU",
};

const WORDS: Record<Language, Record<string, string>> = {
  en: { "{rpm}": "rpm", "/min": "rpm" },
  de: { "{rpm}": "1/min", d: "Tg", h: "h" },
};

export function unitLabel(
  source: { unit: string; unit_label?: string | null },
  language: Language,
): string {
  if (source.unit_label) return source.unit_label;
  const known = WORDS[language][source.unit] ?? LABELS[source.unit];
  return known ?? source.unit.replace(/\{[^}]*\}/g, "");
}
