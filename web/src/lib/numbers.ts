/**
 * Numbers as people of two languages write them.
 *
 * "1.500" is fifteen hundred in German and one and a half in English. Where one mark can mean
 * both, `parse` refuses instead of guessing: the number may be a set point of a pump.
 */
import type { Language } from "./types.ts";

export type Parsed =
  | { ok: true; value: number; /** Plain decimal text, exact even above 2^53. */ text: string }
  | {
      ok: false;
      error: "ambiguous" | "not_a_number";
      /** Writings that would be understood; empty when there is nothing to suggest. */
      params: { text: string; small: string; large: string; hint: string };
    };

const NNBSP = "\u202f";
const MINUS = "\u2212";

const MARKS: Record<Language, { decimal: string; group: string }> = {
  en: { decimal: ".", group: "," },
  de: { decimal: ",", group: "." },
};

export function parse(input: string, language: Language): Parsed {
  const { decimal, group } = MARKS[language];
  const trimmed = input.trim();
  const signed = trimmed.replace(/[\u2212\u2013]/g, "-");
  const match = /^([+-]?)\s?(\d[\d.,  \u00a0\u2009\u202f]*|[.,]\d+)(?:[eE]([+-]?\d{1,3}))?$/.exec(
    signed,
  );
  if (match === null) return refused("not_a_number", trimmed);
  const [, sign = "", body = "", exponent] = match;
  const plain = mantissa(body, decimal, group);
  if (typeof plain === "string") {
    const text = (sign === "-" ? "-" : "") + plain + (exponent === undefined ? "" : `e${exponent}`);
    const value = Number(text);
    return Number.isFinite(value) ? { ok: true, value, text } : refused("not_a_number", trimmed);
  }
  const shown = sign === "-" ? MINUS : "";
  return refused(
    plain.error,
    trimmed,
    plain.small && shown + plain.small,
    plain.large && shown + plain.large,
  );
}

interface Trouble {
  error: "ambiguous" | "not_a_number";
  small: string;
  large: string;
}

/** The digits with "." as decimal sign, or why not. */
function mantissa(body: string, decimal: string, group: string): string | Trouble {
  const bad: Trouble = { error: "not_a_number", small: "", large: "" };
  const [whole = "", fraction, ...more] = body.split(decimal);
  if (more.length > 0) {
    // "1,500,000" in German: the other language's groups.
    const digits = body.split(decimal).join("");
    return /^\d{1,3}(\D\d{3})+$/.test(body) ? { ...bad, large: digits } : bad;
  }
  if (fraction !== undefined && !/^\d+$/.test(fraction)) {
    // "1,500.0" in German: groups and sign are swapped.
    return bad;
  }
  const grouped = whole.includes(group);
  const spaced = /[ \u00a0\u2009\u202f]/.test(whole);
  if (grouped && spaced) return bad;
  if (!grouped && !spaced) {
    return (whole === "" ? "0" : whole) + (fraction === undefined ? "" : `.${fraction}`);
  }
  const parts = whole.split(grouped ? group : /[ \u00a0\u2009\u202f]/);
  const isGrouping =
    /^[1-9]\d{0,2}$/.test(parts[0] ?? "") && parts.slice(1).every((p) => /^\d{3}$/.test(p));
  if (grouped && parts.length === 2 && fraction === undefined) {
    const small = parts.join(decimal);
    if (isGrouping) return { error: "ambiguous", small, large: parts.join("") };
    return /^\d+$/.test(parts.join("")) ? { ...bad, small: small.startsWith(decimal) ? `0${small}` : small } : bad;
  }
  if (!isGrouping) return bad;
  return parts.join("") + (fraction === undefined ? "" : `.${fraction}`);
}

function refused(
  error: "ambiguous" | "not_a_number",
  text: string,
  small = "",
  large = "",
): Parsed {
  return { ok: false, error, params: { text, small, large, hint: small || large } };
}

/** Without decimals: as many as are needed, at most six significant digits. Null is an en dash. */
export function format(
  value: number | bigint | null | undefined,
  decimals: number | null,
  language: Language,
): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "bigint") return signed(value < 0n, group(String(value).replace("-", "")));
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return signed(value < 0, "∞");
  const size = Math.abs(value);
  const decimal = MARKS[language].decimal;
  if (size >= 1e15 || (size !== 0 && decimals === null && (size < 1e-4 || size >= 1e9))) {
    return scientific(value, decimal);
  }
  const text = decimals === null ? shortest(size) : size.toFixed(Math.min(decimals, 20));
  const [whole = "0", fraction] = text.split(".");
  const isZero = !/[1-9]/.test(text);
  return signed(value < 0 && !isZero, group(whole) + (fraction ? decimal + fraction : ""));
}

function shortest(size: number): string {
  const rounded = Number(size.toPrecision(6));
  const text = rounded >= 1e6 ? rounded.toFixed(0) : String(rounded);
  return text.includes("e") ? rounded.toFixed(9).replace(/0+$/, "") : text;
}

function scientific(value: number, decimal: string): string {
  const [digits = "0", exponent = "0"] = Math.abs(value).toExponential(2).split("e");
  const power = exponent.replace("+", "").replace(/./g, (c) => SUPERSCRIPT[c] ?? c);
  return signed(value < 0, `${digits.replace(".", decimal)} × 10${power}`);
}

const SUPERSCRIPT: Record<string, string> = {
  "-": "⁻", "0": "⁰", "1": "¹", "2": "²", "3": "³", "4": "⁴",
  "5": "⁵", "6": "⁶", "7": "⁷", "8": "⁸", "9": "⁹",
};

function group(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+(?!\d))/g, NNBSP);
}

function signed(negative: boolean, text: string): string {
  return negative ? MINUS + text : text;
}
