/**
 * The suite of all hypervisors on a kernel's own KVM, wherever these tests run: in a guest of QEMU's emulation with a processor that
 * virtualises, by vitest as it is. What that processor takes its time for are interrupts, so fewer are counted.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cpio } from "../../../.config/guest/cpio.ts";
import { Guest } from "../../../.config/guest/guest.ts";
import { guestImage } from "../../../.config/guest/guest-image.ts";
import { PROJECT_IN_GUEST, projectFiles } from "../../../.config/guest/project-files.ts";

const INTERRUPTS = 3000;
const MINUTE = 60_000;
/** A run takes two and a half minutes. */
const LIMIT = 6 * MINUTE;
const RUNS = 2;
/** What is waited for comes later there. */
const SLOW = "--testTimeout=60000 --expect.poll.timeout=30000";

interface Report {
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

/** @returns the report; undefined where there is none in time: the emulated machine stands still now and then, with all of its clocks */
async function run(initramfs: string): Promise<{ readonly report: Report; readonly output: string } | undefined> {
  await using guest = await Guest.start({ initramfs, svm: true, memoryMiB: 2560, lifetime: LIMIT + MINUTE });
  await guest.check("modprobe -a kvm-amd && test -c /dev/kvm");
  const vitest = `node node_modules/vitest/vitest.mjs run --root /${PROJECT_IN_GUEST} --pool=threads ${SLOW}`;
  const reporters = "--reporter=default --reporter=json --outputFile.json=/tmp/report";
  const variables = `HOME=/tmp NO_COLOR=1 VIRTSPACE_INTERRUPTS=${INTERRUPTS}`;
  const command = `cd /${PROJECT_IN_GUEST}/packages/conformance && ${variables} ${vitest} ${reporters} kvm-suite 2>&1`;
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), LIMIT);
  const ended = guest.run(command, { timeout: LIMIT + MINUTE });
  ended.catch(() => {});
  const result = await Promise.race([ended, late.promise]);
  clearTimeout(timer);
  if (result === undefined) return undefined;
  return { report: JSON.parse(await guest.check("cat /tmp/report")) as Report, output: result.output };
}

test("the hypervisor suite passes on the KVM of a stock kernel", { timeout: RUNS * (LIMIT + MINUTE) }, async ({ skip }) => {
  const place = await mkdtemp(join(tmpdir(), "kvm-suite-"));
  try {
    const files = projectFiles({
      packages: ["kvm-core"],
      forTests: ["@virtspace/conformance"],
      files: ["packages/kvm-core/src/kvm-suite.node.test.ts", ".config/kvm/kvm-here.ts"],
    });
    const initramfs = join(place, "initramfs");
    await writeFile(initramfs, Buffer.concat([await readFile((await guestImage()).initramfs), cpio(files)]));
    let done: Awaited<ReturnType<typeof run>>;
    for (let left = RUNS; left > 0 && done === undefined; left--) done = await run(initramfs);
    if (done === undefined) {
      const reason = `it did not come to its end within ${LIMIT / MINUTE} minutes, ${RUNS} times: the emulated machine stands still now and then`;
      console.warn(`Not run: the hypervisor suite on the KVM of a stock kernel. ${reason}`);
      skip(reason);
    }
    const { report, output } = done as NonNullable<typeof done>;
    const results = report.testResults.flatMap(({ assertionResults }) => assertionResults);
    const failed = results.filter(({ status }) => status !== "passed");
    expect(failed.map(({ fullName, failureMessages }) => [fullName, failureMessages])).toEqual([]);
    expect(results.length, output).toBeGreaterThan(30);
  } finally {
    await rm(place, { recursive: true });
  }
});
