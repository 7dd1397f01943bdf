/**
 * Measures things against each other. Samples of all candidates are taken in turn, so that whatever else the machine does
 * hits each of them; what is reported are medians, and ratios of medians of one run.
 */
import { markdownTable } from "markdown-table";

/** A loop of a number of operations; what it returns is only there so that the work can't be optimised away. */
export type Loop = (operations: number) => unknown;

/** A line of a report. */
export interface Row {
  readonly what: string;
  readonly median: string;
  readonly ratio?: string;
  readonly target?: string;
  readonly met?: string;
}

let sink: unknown;

function median(samples: number[]): number {
  samples.sort((a, b) => a - b);
  return samples[samples.length >> 1] as number;
}

/** Nanoseconds an operation, the median for each candidate. */
export function measure<Name extends string>(
  candidates: Readonly<Record<Name, Loop>>,
  { operations, samples = 41 }: { readonly operations: number; readonly samples?: number },
): Record<Name, number> {
  const entries = Object.entries(candidates) as [Name, Loop][];
  for (let warm = 0; warm < 3; warm++) for (const [, loop] of entries) sink = loop(operations);
  const taken = new Map<Name, number[]>(entries.map(([name]) => [name, []]));
  for (let sample = 0; sample < samples; sample++) {
    for (const [name, loop] of entries) {
      const start = performance.now();
      sink = loop(operations);
      taken.get(name)?.push(((performance.now() - start) * 1e6) / operations);
    }
  }
  void sink;
  return Object.fromEntries(entries.map(([name]) => [name, median(taken.get(name) ?? [])])) as Record<Name, number>;
}

/** Milliseconds of something asynchronous that is done a number of times, the median. */
export async function measureAsync(times: number, once: () => Promise<unknown>): Promise<number> {
  const taken: number[] = [];
  for (let i = 0; i < times; i++) {
    const start = performance.now();
    await once();
    taken.push(performance.now() - start);
  }
  return median(taken);
}

/** Nanoseconds for a report. */
export const ns = (value: number): string => `${value < 100 ? value.toFixed(1) : value.toFixed(0)} ns`;

/** Milliseconds for a report. */
export const ms = (value: number): string => `${value.toFixed(3)} ms`;

/** A line that is held against a ratio to something measured in the same run. */
export function ratioRow(what: string, value: number, baseline: number, most: number): Row {
  const ratio = value / baseline;
  return { what, median: ns(value), ratio: `${ratio.toFixed(2)}x`, target: `at most ${most}x`, met: ratio <= most ? "yes" : "NO" };
}

/** A line that is held against a limit. */
export function limitRow(what: string, value: number, most: number, format: (value: number) => string): Row {
  return { what, median: format(value), target: `under ${format(most)}`, met: value < most ? "yes" : "NO" };
}

/** Prints a report, as a table that documents take as it is. Noise can miss a target; that is said and is no failure: bench is no timed test. */
export function report(title: string, rows: readonly Row[]): void {
  const head = ["what", "median", "ratio", "target", "met"] as const;
  const body = rows.map((row) => head.map((name) => row[name] ?? ""));
  console.log(`\n### ${title}\n\n${markdownTable([[...head], ...body], { align: ["l", "r", "r", "l", "l"] })}`);
}
