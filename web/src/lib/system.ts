/** Paths below `system`, which belong to the node and not to the plant: whether devices answer. Pure. */

export function isSystemPath(path: string): boolean {
  return path === "system" || path.startsWith("system/");
}
