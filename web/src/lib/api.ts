/**
 * HTTP client of `/api/v1`: JSON in and out, CSRF header, errors as `Problem`.
 *
 * A lost network is a `Problem` too (status 0, code `no_connection`), so a page has one way to fail.
 */

const BASE = "/api/v1";
const TIMEOUT_MS = 15_000;

export interface ProblemBody {
  code: string;
  status: number;
  title?: string;
  detail?: string;
  remedy?: string;
  params?: Record<string, string | number>;
  errors?: { path: string; message: string }[];
  retryAfterS?: number | null;
}

/** An answer that is not a success (RFC 9457), or no answer at all. */
export class Problem extends Error {
  readonly code: string;
  readonly status: number;
  readonly detail: string;
  readonly remedy: string;
  readonly params: Record<string, string | number>;
  readonly errors: { path: string; message: string }[];
  readonly retryAfterS: number | null;

  constructor(body: ProblemBody) {
    super(body.detail ?? body.title ?? body.code);
    this.name = "Problem";
    this.code = body.code;
    this.status = body.status;
    this.detail = body.detail ?? body.title ?? "";
    this.remedy = body.remedy ?? "";
    this.params = body.params ?? {};
    this.errors = body.errors ?? [];
    this.retryAfterS = body.retryAfterS ?? null;
  }
}

export interface PostOptions {
  idempotencyKey?: string;
  signal?: AbortSignal;
}

let csrf: string | undefined;
let unauthenticated: () => void = () => {};

/** The session store sets the token after each GET or POST of the session. */
export function setCsrf(token: string | undefined): void {
  csrf = token;
}

/** Called when the server says 401 on anything but a login attempt. */
export function onUnauthenticated(fn: () => void): void {
  unauthenticated = fn;
}

/** A fresh key: keep it and send it again when the same act is tried a second time. */
export function newIdempotencyKey(): string {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = ((b[6] ?? 0) & 0x0f) | 0x40;
  b[8] = ((b[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(b, (x) => x.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return json<T>(await request("GET", path, undefined, signal ? { signal } : {}));
}

export async function post<T>(path: string, body?: unknown, options: PostOptions = {}): Promise<T> {
  return json<T>(await request("POST", path, body, options));
}

export async function patch<T>(path: string, body: unknown): Promise<T> {
  return json<T>(await request("PATCH", path, body, {}));
}

export async function del<T = void>(path: string): Promise<T> {
  return json<T>(await request("DELETE", path, undefined, {}));
}

/** For the trend: JSON in, bytes out. */
export async function postBinary(
  path: string,
  body: unknown,
  signal?: AbortSignal,
): Promise<ArrayBuffer> {
  return (await request("POST", path, body, signal ? { signal } : {})).arrayBuffer();
}

async function json<T>(answer: Response): Promise<T> {
  if (answer.status === 204) return undefined as T;
  const text = await answer.text();
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

async function request(
  method: string,
  path: string,
  body: unknown,
  options: PostOptions,
): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json, application/problem+json, */*" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && csrf !== undefined) headers["X-CSRF-Token"] = csrf;
  if (options.idempotencyKey !== undefined) headers["Idempotency-Key"] = options.idempotencyKey;
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let answer: Response;
  try {
    answer = await fetch(BASE + path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      signal: options.signal ? AbortSignal.any([options.signal, limit]) : limit,
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Problem({ code: "no_connection", status: 0, detail: "The server does not answer." });
  }
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  if (answer.status === 401 && problem.code !== "wrong_credentials") unauthenticated();
  throw problem;
}

async function problemOf(answer: Response): Promise<Problem> {
  const after = Number(answer.headers.get("Retry-After") ?? Number.NaN);
  const retryAfterS = Number.isFinite(after) ? after : null;
  try {
    const body = (await answer.json()) as Partial<ProblemBody>;
    if (typeof body.code === "string") {
      return new Problem({ ...body, code: body.code, status: answer.status, retryAfterS });
    }
  } catch {
    // Not JSON: a proxy answered, or the server broke half-way. The status is all there is.
  }
  return new Problem({
    code: `http_${answer.status}`,
    status: answer.status,
    detail: `The server answered ${answer.status} ${answer.statusText}`.trim() + ".",
    retryAfterS,
  });
}
