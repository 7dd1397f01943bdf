/**
 * All tests. Two projects: `node` runs everything, `chromium` runs the same files in a real browser, but for those that
 * need Node (`*.node.test.ts`); tests of the browser alone are `*.browser.test.ts`. Those with a guest (`*.guest.test.ts`) are
 * not run here but by vitest.guest.config.ts.
 */
import { join } from "node:path";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig, type TestProjectConfiguration } from "vitest/config";
import { findChromium } from "./chromium/chromium.ts";
import { fuzzTimeout } from "./fuzz/runs.ts";

const root = join(import.meta.dirname, "..");

/**
 * A machine that is busy with something else breaks limits of time: what fails is tried again, and `.ci/run` names it. What a fuzzer
 * found is not: one that runs for longer would look elsewhere.
 */
const retry = { count: 2, condition: /^(?!Property failed)/ };

function inChromium(executablePath: string): TestProjectConfiguration {
  // SharedArrayBuffer exists only in a page that is isolated from others.
  const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
  return {
    root,
    server: { headers },
    test: {
      name: "chromium",
      retry,
      // After the others: a browser takes what processors there are, and tests of time beside it would measure it.
      sequence: { groupOrder: 1 },
      include: ["packages/*/src/**/*.test.ts", "docs/samples/**/*.test.ts", "examples/first-device/device.test.ts"],
      exclude: ["**/*.{node,guest}.test.ts", "**/node_modules/**"],
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider: playwright({ launchOptions: { executablePath, args: ["--no-sandbox"] } }),
        instances: [{ browser: "chromium" }],
      },
    },
  };
}

const chromium = findChromium();
if (chromium === undefined) {
  console.warn("Not run: the tests in a browser. There is no Chromium here; install one (Debian: chromium) or name one in CHROMIUM.");
}

const inNode: TestProjectConfiguration = {
  root,
  test: {
    name: "node",
    retry,
    include: ["{packages,examples,docs,.config}/**/*.test.ts"],
    exclude: ["**/*.{browser,guest}.test.ts", "**/node_modules/**", "**/dist/**"],
    testTimeout: fuzzTimeout,
    // What is waited for comes at once on an idle machine; a second is too little for a busy one.
    expect: { poll: { timeout: 10_000 } },
    // All processors: vitest leaves one free, half of what a small machine has.
    maxWorkers: "100%",
    sequence: { groupOrder: 0 },
    // V8 loses count of its pages of code where threads come and go and the processor has keys for memory, and ends the process
    // ("Check failed: jit_page.has_value()"). Seldom it does so without them: `.ci/run` knows.
    execArgv: ["--no-memory-protection-keys"],
  },
};

export default defineConfig({
  root,
  test: { projects: chromium === undefined ? [inNode] : [inNode, inChromium(chromium)] },
});
