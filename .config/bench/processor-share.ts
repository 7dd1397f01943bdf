/** Who used the machine's processors meanwhile, by Linux's accounts: it tells what limits a figure, and how noisy a run was. */
import { readFileSync } from "node:fs";

/** Linux tells times to programs in hundredths of a second. */
const TICKS = 100;

function secondsOf(pid: number): number {
  const [, fields = ""] = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ");
  const [user, system] = fields.split(" ").slice(11, 13).map(Number) as [number, number];
  return (user + system) / TICKS;
}

/** All processors together; what the host gave to other machines is not part of it. */
function secondsOfAll(): number {
  const [user, nice, system, , , irq, softirq] = readFileSync("/proc/stat", "latin1").split(/\s+/, 8).slice(1).map(Number) as number[];
  return [user, nice, system, irq, softirq].reduce<number>((sum, ticks = 0) => sum + ticks / TICKS, 0);
}

/** Starts to look at some processes. @returns what gives the share of one processor that each used since, and last all the others */
export function processorShares(pids: readonly number[]): () => number[] {
  const look = (): number[] => [...pids.map(secondsOf), secondsOfAll()];
  const before = look();
  const start = performance.now();
  return () => {
    const seconds = (performance.now() - start) / 1000;
    const shares = look().map((after, i) => (after - (before[i] as number)) / seconds);
    const all = shares.pop() as number;
    return [...shares, Math.max(0, all - shares.reduce((sum, share) => sum + share, 0))];
  };
}
