/** Which alarms concern an asset. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { below, type Fed } from "./alarm.ts";

const limit = { id: "l", asset_path: "Works/Boiler", kind: "limit", point_id: "t" } as const;
const lost = { id: "c", asset_path: "system/node/boiler/boiler", kind: "communication", point_id: "s" } as const;
const other = { id: "o", asset_path: "Works/Boilerhouse", kind: "limit", point_id: "x" } as const;
const fed: Fed = (alarm) => (alarm.point_id === "s" ? ["Works/Boiler", "Works/Tank"] : []);

test("a lost device concerns every asset that it feeds, and those above", () => {
  const ids = (path: string): string[] => below([limit, lost, other], path, fed).map((a) => a.id);

  assert.deepEqual(ids("Works/Boiler"), ["l", "c"]);
  assert.deepEqual(ids("Works/Tank"), ["c"]);
  assert.deepEqual(ids("Works"), ["l", "c", "o"]);
  assert.deepEqual(ids("system/node"), ["c"]);
  assert.deepEqual(ids("Lakeside"), []);
});
