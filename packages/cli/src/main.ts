#!/usr/bin/env node
/** The command's entry: hands the process to the program. */
import { constants } from "node:os";
import { run } from "./program.ts";

/** What shells add to the number of the signal that ended a program. */
const SIGNALLED = 128;

/** Package runners pass on the Ctrl-C that the terminal delivers too: what follows within this time is the same one. Milliseconds. */
const SAME_SIGNAL = 1000;

const stop = new AbortController();
let first = Number.POSITIVE_INFINITY;
for (const name of ["SIGINT", "SIGTERM"] as const) {
  // It goes on listening: who looks after the terminal's cursor ends the process at a signal that nobody else listens to.
  process.on(name, () => {
    first = Math.min(first, performance.now());
    // Another one, later, ends it at once.
    if (performance.now() - first > SAME_SIGNAL) process.exit(SIGNALLED + constants.signals[name]);
    stop.abort();
  });
}
const { stdin, stdout, stderr } = process;
const status = await run(process.argv.slice(2), {
  stdin,
  stdout,
  stderr,
  signal: stop.signal,
  now: () => new Date(),
  uncaught: (tell) => {
    // A promise that nobody awaits ends here, too.
    process.on("uncaughtException", tell);
    return { [Symbol.dispose]: () => void process.off("uncaughtException", tell) };
  },
});
// An end by itself stops listening to signals first: one that is passed on late would be the program's status.
process.exit(status);
