/** Colours for the canvas, read from the tokens: a canvas cannot follow CSS variables by itself. */

export interface Ink {
  pens: string[];
  raised: string;
  grid: string;
  axis: string;
  font: string;
}

export function readInk(element: Element): Ink {
  const style = getComputedStyle(element);
  const token = (name: string): string => style.getPropertyValue(name).trim();
  return {
    pens: Array.from({ length: 8 }, (_, i) => token(`--pen-${i + 1}`)),
    raised: token("--raised"),
    grid: token("--grid"),
    axis: token("--ink-3"),
    font: `11px ${token("--font")}`,
  };
}

/** `#rrggbb` with an alpha; anything else is returned as it is. */
export function faint(colour: string, alpha: number): string {
  const match = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(colour);
  if (match === null) return colour;
  const [r, g, b] = match.slice(1).map((hex) => Number.parseInt(hex, 16));
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}

/** Calls `fn` when the theme changes, by the user or by the system. Returns what stops it. */
export function onTheme(fn: () => void): () => void {
  const observer = new MutationObserver(fn);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  const query = matchMedia("(prefers-color-scheme: dark)");
  query.addEventListener("change", fn);
  return () => {
    observer.disconnect();
    query.removeEventListener("change", fn);
  };
}
