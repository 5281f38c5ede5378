/**
 * Who is signed in, in which plant. The whole app waits for the first answer of GET /session.
 */
import { del, get, onUnauthenticated, patch, post, setCsrf } from "./api.ts";
import { browserLanguage, setLanguage } from "./i18n.svelte.ts";
import { onRefused, start, stop } from "./live.svelte.ts";
import { patiently } from "./patience.ts";
import type { Language, Permission, Session } from "./types.ts";

class SessionStore {
  current = $state.raw<Session | null>(null);

  get state(): "unknown" | "setup" | "login" | "ok" {
    return this.current?.state ?? "unknown";
  }

  /** The zone in which times are shown: the user's, else the plant's. */
  get zone(): string {
    return this.current?.user?.zone || this.current?.plant.zone || "UTC";
  }

  get plantZone(): string {
    return this.current?.plant.zone || "UTC";
  }

  may(permission: Permission): boolean {
    return this.current?.permissions?.includes(permission) ?? false;
  }

  async load(): Promise<void> {
    await take(await get<Session>("/session"));
  }

  async login(name: string, password: string): Promise<void> {
    await take(await post<Session>("/session", { name, password }));
  }

  async setup(form: {
    token: string;
    name: string;
    display_name?: string;
    password: string;
    language: Language;
  }): Promise<void> {
    await take(await post<Session>("/setup", form));
  }

  async change(form: { language?: Language; zone?: string; theme?: string }): Promise<void> {
    await take(await patch<Session>("/session", form));
  }

  async logout(): Promise<void> {
    try {
      await del("/session");
    } finally {
      await this.ended();
    }
  }

  /** The session is over: by logging out, by its end, or by an administrator. */
  async ended(): Promise<void> {
    stop();
    setCsrf(undefined);
    const before = this.current;
    if (before !== null) {
      const { user: _user, permissions: _permissions, csrf: _csrf, ...rest } = before;
      this.current = { ...rest, state: "login" };
    }
    await this.load().catch(() => undefined);
  }
}

async function take(answer: Session): Promise<void> {
  setCsrf(answer.csrf);
  // Another language is better than no page; the right one comes as soon as it can.
  await setLanguage(languageOf(answer)).catch(() => void patiently(ownLanguage));
  session.current = answer;
  if (answer.state === "ok") start();
}

function languageOf(answer: Session): Language {
  const language = answer.user?.language ?? (answer.user ? answer.plant.language : browserLanguage());
  return language === "de" ? "de" : "en";
}

async function ownLanguage(): Promise<void> {
  if (session.current !== null) await setLanguage(languageOf(session.current));
}

export const session = new SessionStore();

onUnauthenticated(() => {
  if (session.state === "ok") void session.ended();
});

// A socket that is not let in cannot say why; GET /session can.
onRefused(() => {
  if (session.state !== "ok") return;
  get<Session>("/session").then(
    (answer) => (answer.state === "ok" ? undefined : session.ended()),
    () => undefined,
  );
});
