/** The text of a value: a label of an enumeration, a number with the point's digits, or plain text. */
import { format } from "./numbers.ts";
import type { JsonValue, Language, Point } from "./types.ts";

export function valueText(
  value: number | bigint | string | null,
  point: Pick<Point, "labels" | "decimals" | "kind">,
  language: Language,
): string {
  if (value === null) return "–";
  if (point.labels !== null) {
    const label = point.labels[String(value)];
    if (label !== undefined) return label;
  }
  if (typeof value === "string") return value;
  return format(value, point.kind === "int" ? null : point.decimals, language);
}

/**
 * A value as JSON carries it: int64 arrives as digits in a string and becomes a BigInt again,
 * an infinity as the word that Number() reads.
 */
export function fromJson(
  value: JsonValue,
  point: Pick<Point, "kind">,
): number | bigint | string | null {
  if (typeof value !== "string" || point.kind === "text") return value;
  if (point.kind === "float") return Number(value);
  return /^-?\d+$/.test(value) ? BigInt(value) : value;
}
