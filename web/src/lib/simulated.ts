/** How much of what is shown comes from a simulator. Pure. */
import { isSystemPath } from "./system.ts";

export type Simulation = "none" | "some" | "all";

export function simulationOf(shown: readonly { simulated: boolean }[]): Simulation {
  const simulated = shown.filter((s) => s.simulated).length;
  return simulated === 0 ? "none" : simulated === shown.length ? "all" : "some";
}

/** Of a plant: what its node says about its own connections does not count. */
export function simulationOfPlant(points: readonly { path: string; simulated: boolean }[]): Simulation {
  return simulationOf(points.filter((p) => !isSystemPath(p.path)));
}
