/** Search by words: every word must occur; a name that starts with it comes first. */
import { isSystemPath } from "./system.ts";

export interface Found {
  kind: "page" | "asset" | "point";
  name: string;
  where: string;
  href: string;
}

/** What belongs to the node itself is found behind the plant, whatever its name. */
const isLate = (hit: Found): boolean => isSystemPath(hit.where);

const SHOWN_MAX = 12;

export function findAll(text: string, all: readonly Found[]): Found[] {
  const words = text.toLowerCase().split(/[\s/]+/).filter((w) => w !== "");
  if (words.length === 0) return all.filter((f) => f.kind === "page");
  const scored: { hit: Found; score: number }[] = [];
  for (const hit of all) {
    const score = scoreOf(hit, words);
    if (score > 0) scored.push({ hit, score });
  }
  scored.sort((a, b) => Number(isLate(a.hit)) - Number(isLate(b.hit)) || b.score - a.score || a.hit.where.localeCompare(b.hit.where));
  return scored.slice(0, SHOWN_MAX).map((s) => s.hit);
}

function scoreOf(hit: Found, words: readonly string[]): number {
  const name = hit.name.toLowerCase();
  const where = hit.where.toLowerCase();
  let score = 0;
  for (const word of words) {
    if (name === word) score += 8;
    else if (name.startsWith(word)) score += 4;
    else if (name.includes(word)) score += 2;
    else if (where.includes(word)) score += 1;
    else return 0;
  }
  return score + (hit.kind === "page" ? 2 : hit.kind === "asset" ? 1 : 0);
}
