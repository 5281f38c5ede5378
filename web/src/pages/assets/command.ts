/**
 * What the command dialog may show and do in each state. Pure.
 *
 * The rule behind it: success is `confirmed` and nothing else. Sent, accepted and unconfirmed all
 * mean that nobody knows yet what the plant does.
 */
import type { Command, CommandState, Point } from "../../lib/types.ts";
import type { Parsed } from "../../lib/numbers.ts";

export type Step = 1 | 2 | 3;

export function stepOf(state: CommandState | null): Step {
  if (state === null) return 1;
  return state === "proposed" || state === "selected" ? 2 : 3;
}

const FINAL: readonly CommandState[] = ["confirmed", "rejected", "expired", "failed", "unconfirmed"];

export function isFinal(state: CommandState): boolean {
  return FINAL.includes(state);
}

/** Cancelling is possible as long as nothing has left for the device. */
export function canCancel(state: CommandState): boolean {
  return state === "proposed" || state === "selected" || state === "armed";
}

const RANK: Record<CommandState, number> = {
  proposed: 0, selected: 1, armed: 2, sent: 3, accepted: 4,
  confirmed: 5, rejected: 5, expired: 5, failed: 5, unconfirmed: 5,
};

/**
 * Socket and polling race: an older answer must not take a newer state back. A final state stays,
 * save that an unconfirmed command can be resolved later.
 */
export function newer(now: Command | null, next: Command): Command {
  if (now === null || now.id !== next.id) return now === null ? next : now;
  if (isFinal(now.state) && now.state !== next.state) return now.state === "unconfirmed" && isFinal(next.state) ? next : now;
  return RANK[next.state] >= RANK[now.state] ? next : now;
}

export interface Refusal {
  key: string;
  params: Record<string, string | number>;
}

/** The typed value, or the reason why it is not taken. The server checks again; this only answers sooner. */
export function check(point: Pick<Point, "kind" | "labels" | "command_low" | "command_high">, parsed: Parsed): { value: number | string } | Refusal {
  if (!parsed.ok) {
    const hint = parsed.params.hint;
    if (parsed.error === "ambiguous") return { key: "command.ambiguous", params: parsed.params };
    return { key: hint === "" ? "command.not_a_number" : "command.not_a_number_hint", params: parsed.params };
  }
  if (point.kind === "int" && !/^-?\d+$/.test(parsed.text)) return { key: "command.whole", params: { text: parsed.text } };
  const { command_low: low, command_high: high } = point;
  if ((low !== null && parsed.value < low) || (high !== null && parsed.value > high)) return { key: "command.out_of_range", params: {} };
  return { value: point.kind === "int" && !Number.isSafeInteger(parsed.value) ? parsed.text : parsed.value };
}

/**
 * Digits behind the sign that show a wanted value as it will be sent: never rounded to the
 * digits of the point, or 11.75 would be confirmed as 11.8.
 */
export function exactDecimals(value: number | string, decimals: number | null): number | null {
  const [mantissa = "", exponent] = String(value).split("e");
  if (exponent !== undefined) return null;
  const own = mantissa.split(".")[1]?.length ?? 0;
  return Math.max(decimals ?? 0, own);
}
