/**
 * The registry of keyboard shortcuts. Each names itself, so that "?" can list what works here.
 *
 * A shortcut is one key ("a", "?", "Shift+D", "Ctrl+k") or two in a row ("g o"). Single keys are
 * silent while a person types in a field.
 */

export interface Shortcut {
  keys: string;
  /** Catalogue key of what it does. */
  label: string;
  run: (event: KeyboardEvent) => void;
  /** Also while a field or a dialog has the focus. */
  always?: boolean;
}

const CHORD_MS = 1_200;
const shortcuts: Shortcut[] = [];
let first = "";
let firstAt = 0;

/** Returns the function that takes them back. The newest registration of a key wins. */
export function registerKeys(list: readonly Shortcut[]): () => void {
  shortcuts.unshift(...list);
  return () => {
    for (const s of list) {
      const i = shortcuts.indexOf(s);
      if (i >= 0) shortcuts.splice(i, 1);
    }
  };
}

/** What works now, each key once. */
export function listKeys(): Shortcut[] {
  const seen = new Set<string>();
  return shortcuts.filter((s) => !seen.has(s.keys) && seen.add(s.keys));
}

export function nameOf(event: KeyboardEvent): string {
  const named = event.key.length === 1 ? event.key : event.key.replace(" ", "Space");
  const key = named === " " ? "Space" : named;
  if (event.ctrlKey || event.metaKey) return `Ctrl+${key.toLowerCase()}`;
  if (event.altKey) return `Alt+${key}`;
  if (/^[A-Z]$/.test(key) && event.shiftKey) return `Shift+${key}`;
  if (key.length > 1 && event.shiftKey) return `Shift+${key}`;
  return key.length === 1 ? key.toLowerCase() : key;
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

function onKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing) return;
  const blocked = isTyping(event.target) || document.querySelector("dialog[open], [role=dialog]") !== null;
  const key = nameOf(event);
  const chord = first !== "" && event.timeStamp - firstAt < CHORD_MS ? `${first} ${key}` : "";
  first = "";
  const hit =
    shortcuts.find((s) => s.keys === chord && !blocked) ??
    shortcuts.find((s) => s.keys === key && (s.always === true || !blocked));
  if (hit !== undefined) {
    event.preventDefault();
    hit.run(event);
    return;
  }
  if (!blocked && shortcuts.some((s) => s.keys.startsWith(`${key} `))) {
    first = key;
    firstAt = event.timeStamp;
  }
}

export function startKeys(): void {
  document.addEventListener("keydown", onKey);
}
