/**
 * How long a fuzzer runs: with a fixed seed so many times in `test`, and with VIRTSPACE_FUZZ_SECONDS that long with a seed of its
 * own, which fast-check says where it finds something.
 */
interface Globals {
  readonly process?: { readonly env: Readonly<Record<string, string | undefined>> };
}

/** 0 unless asked for. */
const fuzzSeconds = Number((globalThis as Globals).process?.env["VIRTSPACE_FUZZ_SECONDS"] ?? 0);

/** A test's time limit, milliseconds. */
export const fuzzTimeout: number = 30_000 + fuzzSeconds * 1000;

/** What a property is run with. @param numRuns - in `test` */
export function fuzzRuns(numRuns: number): Readonly<Record<string, number>> {
  return fuzzSeconds > 0 ? { numRuns: 1e9, interruptAfterTimeLimit: fuzzSeconds * 1000 } : { numRuns, seed: 20261123 };
}
