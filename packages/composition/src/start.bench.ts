/** The main job, from its command to its end: what `start` runs, as a process. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { measureAsync, report } from "../../../.config/bench/measure.ts";

const MAIN = join(import.meta.dirname, "../../../examples/quickstart/main.ts");
const TARGET_SECONDS = 5;

const milliseconds = await measureAsync(7, () => promisify(execFile)(process.execPath, [MAIN], { timeout: 60_000 }));
const seconds = milliseconds / 1000;
report("The main job", [
  {
    what: "`start`, with all of the guest's pings and 2000 datagrams, to its end",
    median: `${seconds.toFixed(2)} s`,
    target: `under ${TARGET_SECONDS} s`,
    met: seconds < TARGET_SECONDS ? "yes" : "NO",
  },
]);
