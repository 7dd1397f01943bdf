/** The tests with a real Linux guest: they want Debian's QEMU and kernel, and all of the machine to themselves. */
import { join } from "node:path";
import { defineConfig } from "vitest/config";

export default defineConfig({
  root: join(import.meta.dirname, ".."),
  test: {
    name: "guest",
    include: ["{packages,examples,.config}/**/*.guest.test.ts"],
    exclude: ["**/node_modules/**", "**/dist/**"],
    // Two guests at a time are what a machine of two processors can emulate.
    fileParallelism: false,
    // A guest ends with the thread that started it, so that is the main one of a process.
    pool: "forks",
    // A guest under emulation loses seconds where the host is busy: what fails is tried once more, and the report says so.
    retry: 1,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
