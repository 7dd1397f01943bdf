#!/usr/bin/env node
/** The command's entry: hands the process to the program. */
import { run } from "./program.ts";

const stop = new AbortController();
// A second signal ends it at once, as it does by itself.
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
const { stdout, stderr } = process;
process.exitCode = await run(process.argv.slice(2), { stdout, stderr, signal: stop.signal, now: () => new Date() });
