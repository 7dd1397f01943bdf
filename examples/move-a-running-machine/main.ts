/**
 * Moves a machine while its guest streams datagrams: it is saved, taken down, and another one goes on from the bytes. What was kept is
 * looked at in both places; what was lost, the guest and its gateway count.
 */
import { setImmediate as turn } from "node:timers/promises";
import { deserialize, serialize } from "node:v8";
import { boot, type ComposedMachine, compose, consoleLines } from "@virtspace/composition";
import description, { DATAGRAMS, gateway } from "./machine.ts";
import { savedRings, servedRings, standing } from "./standing.ts";

/** When it is moved, in datagrams that the gateway has echoed: twice in the midst of each card's. */
const MOVES = [0.1, 0.5, 1.1, 1.5].map((part) => part * DATAGRAMS);
const LIMIT_MILLISECONDS = 20_000;
const limit = AbortSignal.timeout(LIMIT_MILLISECONDS);

const onConsole = consoleLines((line) => console.log(`  | ${line}`));

/** Moves a machine that runs. @returns the one that runs in its place */
async function move(here: ComposedMachine): Promise<ComposedMachine> {
  const stopped = performance.now();
  const snapshot = await here.save();
  const before = await standing(here, savedRings(here, snapshot));
  const bytes = serialize(snapshot); // for a file, or a socket: nothing else goes along
  await here[Symbol.asyncDispose]();

  const there = await compose(description, { onConsole, from: deserialize(bytes) });
  const after = await standing(there, servedRings(there));
  there.machine.run();
  const stood = Math.round(performance.now() - stopped);
  console.log(`moved after ${gateway.counters.udpEcho} datagrams, as ${bytes.length} bytes; the guest stood still for ${stood} ms`);
  for (const [what, how] of Object.entries(before)) {
    const same = after[what] === how;
    console.log(`  ${what.padEnd(10)}  ${how}  ${same ? "the same" : `NOW ${after[what]}`}`);
    if (!same) throw new Error(`${what} is not what it was`);
  }
  return there;
}

try {
  let machine = await boot(description, { onConsole });
  for (const reached of MOVES) {
    while (gateway.counters.udpEcho < reached) await turn(undefined, { signal: limit });
    machine = await move(machine);
  }
  const late = new Promise<never>((_resolve, reject) => limit.addEventListener("abort", () => reject(limit.reason)));
  const outcome = await Promise.race([machine.outcome, late]);
  await machine[Symbol.asyncDispose]();
  if (outcome.reason !== "left" || outcome.status !== 0) throw new Error(`the guest ended otherwise: ${JSON.stringify(outcome)}`);

  const { udpEcho } = gateway.counters;
  if (udpEcho !== 2 * DATAGRAMS) throw new Error(`the guest sent ${2 * DATAGRAMS} datagrams, and the gateway echoed ${udpEcho}`);
  console.log(`the guest left with status 0, after ${MOVES.length} moves`);
  console.log(`the gateway echoed ${udpEcho} datagrams, all of which the guest had back: none was lost, and none came twice`);
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  gateway[Symbol.dispose]();
}
