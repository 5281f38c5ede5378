/** The mark of the header follows what is shown. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { simulationOf, simulationOfPlant } from "./simulated.ts";

const real = { path: "Works/Boiler/temperature", simulated: false };
const made = { path: "Lakeside/P-1/flow", simulated: true };

test("nothing shown is not simulated, and one real value makes it a part", () => {
  assert.equal(simulationOf([]), "none");
  assert.equal(simulationOf([real]), "none");
  assert.equal(simulationOf([made, real]), "some");
  assert.equal(simulationOf([made]), "all");
});

test("whether a real device answers does not make a simulated plant partly real", () => {
  assert.equal(simulationOfPlant([made, { path: "system/node/x/x/connected", simulated: false }]), "all");
});
