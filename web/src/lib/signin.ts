/**
 * The name a person signs in with: letters, digits and . _ @ + -, without spaces (the server's rule).
 *
 * People write "M. Keller"; set-up and login both turn that into "m.keller", so it works either way.
 */

const LENGTH_MAX = 64;

export function signInName(text: string): string {
  return text
    .normalize("NFKC")
    .trim()
    .toLowerCase()
    .replace(/\s+/g, ".")
    .replace(/[^\p{L}\p{N}._@+-]/gu, "")
    .replace(/\.{2,}/g, ".")
    .slice(0, LENGTH_MAX);
}
