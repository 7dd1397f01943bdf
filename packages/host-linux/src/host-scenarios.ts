/** What the tests of this package share: counting what a process has, and waiting for things. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** File descriptors of this process. */
export const openFds = (): number => readdirSync("/proc/self/fd").length;

/** Mappings of memory files in this process. */
export const memfdMappings = (): number => readFileSync("/proc/self/maps", "utf8").match(/memfd:/g)?.length ?? 0;

/** Waits until something is so; fails after some seconds. */
export async function until(what: string, holds: () => boolean, milliseconds = 5000): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`${what}: not within ${milliseconds} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A folder that goes with the test. */
export class Folder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "virtspace-"));

  at(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Programs of the host that tests need; they are skipped where one is missing. */
export const Tool = { ip: "ip", unshare: "unshare" } as const;
