/**
 * The nouns of the HTTP contract; those that the page needs more exactly are written by hand.
 *
 * Nanosecond times are strings (`Ns`), because a double cannot hold them; see `time.ts`.
 */
import type { components } from "./openapi.d.ts";

export type Ns = string;
export type Language = "en" | "de";
export type Priority = 1 | 2 | 3 | 4;
export type Permission =
  | "view" | "acknowledge" | "configure" | "command" | "approve" | "audit" | "administer";

export interface User {
  id: string;
  name: string;
  display_name: string;
  roles: string[];
  language: Language | null;
  zone: string | null;
}

export interface Session {
  state: "setup" | "login" | "ok";
  version: string;
  ui_build: string;
  plant: { name: string; simulated: boolean; zone: string; language: Language };
  node: { id: string; name: string };
  user?: User;
  permissions?: Permission[];
  csrf?: string;
}

export interface Asset {
  id: string;
  path: string;
  name: string;
  parent_id: string | null;
  level: string;
  type: string | null;
  description: string;
  simulated: boolean;
}

export interface Limit {
  rule_id: string;
  name: string;
  side: "high" | "low";
  level: number;
  priority: Priority;
}

export interface Point {
  id: string;
  path: string;
  asset_id: string;
  name: string;
  label: string;
  description: string;
  kind: "float" | "int" | "text" | "waveform";
  unit: string;
  unit_label: string;
  low: number | null;
  high: number | null;
  decimals: number | null;
  normal_low: number | null;
  normal_high: number | null;
  writable: boolean;
  command_low: number | null;
  command_high: number | null;
  labels: Record<string, string> | null;
  connector: string | null;
  device: string | null;
  period_ms: number | null;
  simulated: boolean;
  limits: Limit[];
}

/** A value as JSON carries it: int64 is a string of digits. */
export type JsonValue = number | string | null;

export interface LastValue {
  id: string;
  value: JsonValue;
  time_ns: Ns;
  quality: number;
  flags: number;
}

export interface Note {
  time_ns: Ns;
  principal: string;
  text: string;
}

export type Texts = Partial<Record<Language, string>>;

export interface Alarm {
  id: string;
  rule_id: string;
  point_id: string | null;
  point_path: string;
  asset_id: string;
  asset_path: string;
  name: string;
  priority: Priority;
  state:
    | "normal" | "unacknowledged" | "acknowledged" | "returned_unacknowledged"
    | "shelved" | "suppressed" | "out_of_service";
  active: boolean;
  acknowledged: boolean;
  shelved: boolean;
  suppressed: boolean;
  out_of_service: boolean;
  latched: boolean;
  raised_ns: Ns;
  returned_ns: Ns | null;
  acknowledged_ns: Ns | null;
  acknowledged_by: string | null;
  value: JsonValue;
  limit: number | null;
  unit: string;
  unit_label: string;
  message_key: string;
  cause: Texts | null;
  consequence: Texts | null;
  response: Texts | null;
  time_to_respond_s: number | null;
  episode: string | number;
  notes: Note[];
  kind: "limit" | "communication";
  simulated: boolean;
}

export type AlarmCounts = Partial<
  Record<"1" | "2" | "3" | "4", { active: number; unacknowledged: number }>
>;

export interface AlarmEvent {
  id: string;
  type: string;
  time_ns: Ns;
  principal: string | null;
  data: Record<string, unknown>;
}

export type CommandState =
  | "proposed" | "selected" | "armed" | "sent" | "accepted" | "confirmed"
  | "rejected" | "expired" | "failed" | "unconfirmed";

export interface CommandCheck {
  key: "permission" | "writable" | "range" | "kind" | "quality" | "rate";
  ok: boolean;
  params: Record<string, string | number | null>;
}

export interface Command {
  id: string;
  point_id: string;
  point_path: string;
  state: CommandState;
  old_value: JsonValue;
  old_quality: number;
  value: number | string;
  /** What the device can hold of it: a register of whole percents makes 33 of 33.4. */
  held: number | string;
  unit: string;
  unit_label: string;
  author: string;
  reason: string | null;
  created_ns: Ns;
  expires_ns: Ns;
  checks: CommandCheck[];
  result: { read_back: JsonValue; detail: string | null; problem: string | null } | null;
  history: { state: CommandState; time_ns: Ns; detail: string | null }[];
}

export type System = components["schemas"]["SystemView"];
export type Connection = components["schemas"]["ConnectionView"];
