/**
 * The password rule and a hint above it: length counts, variety helps, repetition does not.
 *
 * A hint and no more. The server decides, with its own rule.
 */

export const LENGTH_MIN = 12;

export type Strength = "short" | "weak" | "fair" | "good";

export function strength(password: string): Strength {
  const letters = [...password];
  if (letters.length < LENGTH_MIN) return "short";
  const variety = new Set(letters.map((c) => c.toLowerCase())).size;
  if (variety < 6 || /^(.{1,4})\1+$/.test(password) || isRun(letters)) return "weak";
  return letters.length >= 20 || (letters.length >= 14 && variety >= 10) ? "good" : "fair";
}

/** "123456789012", "abcdefghijkl": mostly steps of one. */
function isRun(letters: readonly string[]): boolean {
  let steps = 0;
  for (let i = 1; i < letters.length; i++) {
    const d = (letters[i]?.codePointAt(0) ?? 0) - (letters[i - 1]?.codePointAt(0) ?? 0);
    if (Math.abs(d) === 1) steps++;
  }
  return steps > letters.length * 0.6;
}
