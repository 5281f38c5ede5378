/**
 * Words: `t(key, params)` looks a key up in the catalogue of the user's language.
 *
 * A key with a number `count` in its params may have the forms `key.one` and `key.other`.
 * `i18n.test.ts` fails when the catalogues differ or a key used in the sources is missing.
 */
import { format } from "./numbers.ts";
import type { Language, Texts } from "./types.ts";

type Catalogue = Record<string, string>;
export type Params = Record<string, string | number | null | undefined>;

const LOADERS: Record<Language, () => Promise<{ default: Catalogue }>> = {
  en: () => import("../catalogues/en.json"),
  de: () => import("../catalogues/de.json"),
};

export const LANGUAGES: readonly { code: Language; name: string }[] = [
  { code: "en", name: "English" },
  { code: "de", name: "Deutsch" },
];

class Locale {
  language = $state<Language>("en");
  messages = $state.raw<Catalogue>({});
}

export const locale = new Locale();
let plural = new Intl.PluralRules("en");

export async function setLanguage(language: Language): Promise<void> {
  if (locale.language === language && Object.keys(locale.messages).length > 0) return;
  const { default: messages } = await LOADERS[language]();
  plural = new Intl.PluralRules(language);
  locale.messages = messages;
  locale.language = language;
  document.documentElement.lang = language;
}

/** All of them, so that a change of language needs no server. */
export async function loadCatalogues(): Promise<void> {
  await Promise.all(Object.values(LOADERS).map((load) => load()));
}

/** The language to start with, before the server has said who the user is. */
export function browserLanguage(): Language {
  return navigator.languages.some((l) => l.toLowerCase().startsWith("de")) ? "de" : "en";
}

export function has(key: string): boolean {
  return key in locale.messages;
}

export function t(key: string, params: Params = {}): string {
  const messages = locale.messages;
  let text = messages[key];
  if (text === undefined && typeof params["count"] === "number") {
    text = messages[`${key}.${plural.select(params["count"])}`] ?? messages[`${key}.other`];
  }
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = params[name];
    if (typeof value === "number") return format(value, null, locale.language);
    return value ?? whole;
  });
}

/** A number in the user's writing. */
export function n(value: number | bigint | null | undefined, decimals: number | null = null): string {
  return format(value, decimals, locale.language);
}

/** A text that the plant's configuration carries in several languages. */
export function textOf(texts: Texts | string | null | undefined): string {
  if (typeof texts === "string") return texts;
  return texts?.[locale.language] ?? texts?.en ?? Object.values(texts ?? {})[0] ?? "";
}

/** Before the first catalogue is there, and so in every language at once. */
const WORDLESS = {
  what: "Penstock does not answer. / Penstock antwortet nicht.",
  remedy:
    "This page comes by itself as soon as it does. / Die Seite kommt von selbst, sobald es antwortet.",
};

/** What to tell a person about an error: what happened, then what to do. */
export function problemText(error: unknown): { what: string; remedy: string } {
  if (Object.keys(locale.messages).length === 0) return WORDLESS;
  const p = error as { code?: string; detail?: string; remedy?: string; params?: Params };
  if (typeof p?.code !== "string") {
    return { what: t("problem.unexpected"), remedy: t("problem.unexpected.remedy") };
  }
  const key = `problem.${p.code}`;
  return {
    what: has(key) ? t(key, p.params) : p.detail || t("problem.unexpected"),
    remedy: has(`${key}.remedy`) ? t(`${key}.remedy`, p.params) : (p.remedy ?? ""),
  };
}
