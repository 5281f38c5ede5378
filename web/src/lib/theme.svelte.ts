/** Light, dark, or as the system says. The choice is kept in this browser, so the gate knows it. */

export type Theme = "system" | "light" | "dark";
export type Density = "standard" | "compact" | "touch";

const KEY = "penstock.theme";

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system"; // Storage is switched off; the system's theme it is.
  }
}

class ThemeStore {
  choice = $state<Theme>(stored());

  /** What is on screen now. */
  get shown(): "light" | "dark" {
    if (this.choice !== "system") return this.choice;
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }

  set(choice: Theme): void {
    this.choice = choice;
    apply(choice);
    try {
      localStorage.setItem(KEY, choice);
    } catch {
      // Not kept; it still holds for this visit.
    }
  }

  toggle(): void {
    this.set(this.shown === "dark" ? "light" : "dark");
  }
}

function apply(choice: Theme): void {
  const root = document.documentElement;
  if (choice === "system") delete root.dataset["theme"];
  else root.dataset["theme"] = choice;
}

export const theme = new ThemeStore();
apply(theme.choice);
