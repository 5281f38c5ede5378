/** What the search box puts first. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { findAll, type Found } from "./search.ts";

const asset = (path: string): Found => ({ kind: "asset", name: path.split("/").at(-1) ?? "", where: path, href: path });
const point = (path: string): Found => ({ ...asset(path), kind: "point" });
const page: Found = { kind: "page", name: "System health", where: "", href: "/system" };

test("an asset of the plant stands before the connection of the same name", () => {
  const all = [asset("system/node/boiler"), asset("system/node/boiler/boiler"), asset("Works/Boiler")];

  assert.deepEqual(findAll("boil", all).map((f) => f.where), ["Works/Boiler", "system/node/boiler", "system/node/boiler/boiler"]);
});

test("even a worse hit of the plant stands before the node", () => {
  const all = [asset("system/node/boiler"), point("Works/Boiler/temperature")];

  assert.equal(findAll("boiler", all)[0]?.where, "Works/Boiler/temperature");
});

test("the page about the system is a page like any other", () => {
  assert.equal(findAll("system", [asset("system"), page])[0]?.href, "/system");
});
