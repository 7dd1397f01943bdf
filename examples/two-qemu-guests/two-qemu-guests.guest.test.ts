/** Two real Linux guests under QEMU get addresses from the gateway of the program, and ping each other through its switch. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Guest } from "../../.config/guest/guest.ts";
import { HelperProgram } from "../../.config/guest/helper-program.ts";

const MAIN = join(import.meta.dirname, "main.ts");
const LIFETIME = 110_000;
/** As busybox's udhcpc says it. */
const LEASE = /lease of (10\.0\.2\.\d+) obtained/;

/** Has a guest ask for an address, and take it. @returns it */
async function lease(guest: Guest): Promise<string> {
  const said = await guest.check("ip link set eth0 up && udhcpc -i eth0 -n -q -s /bin/true 2>&1");
  const [, address] = LEASE.exec(said) ?? [];
  if (address === undefined) throw new Error(`no lease: ${said}`);
  await guest.check(`ip addr add ${address}/24 dev eth0`);
  return address;
}

test("two Linux guests have a lease each, and ping each other and the gateway", async () => {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "two-guests-"));
  stack.defer(() => rmSync(folder, { recursive: true }));
  const program = stack.use(
    await HelperProgram.start([process.execPath, MAIN, folder], LIFETIME, (said) => said.includes("each guest lacks only")),
  );
  const start = (name: string, number: number): Promise<Guest> =>
    Guest.start({ nics: [{ backend: { kind: "vhost-user", path: join(folder, `${name}.sock`) }, mac: `52:54:00:00:00:0${number}` }] });
  const guests = await Promise.all([start("one", 1), start("two", 2)]);
  for (const guest of guests) stack.use(guest);
  const [one, two] = guests;

  const [first, second] = [await lease(one), await lease(two)];
  expect([first, second]).toEqual(["10.0.2.15", "10.0.2.16"]);
  expect(await one.check(`ping -c 5 -i 0.2 ${second}`)).toContain("5 packets transmitted, 5 packets received");
  expect(await two.check(`ping -c 5 -i 0.2 -s 1400 ${first}`)).toContain("5 packets transmitted, 5 packets received");
  expect(await two.check("ping -c 2 -i 0.2 10.0.2.2")).toContain("2 packets transmitted, 2 packets received");

  // Said once a second, in the order in which they joined.
  const counted = /frames: (one|two) sent \d+ and received \d+, (?!\1)(one|two) sent \d+ and received \d+/;
  await expect.poll(() => program.said, { timeout: 5000 }).toMatch(counted);

  await one.quit();
  await expect.poll(() => program.said).toContain("one left\n");
  process.kill(program.pid, "SIGTERM");
  await expect.poll(() => program.said).toContain("two left\nstopped\n");
  expect(await two.check("echo alive")).toBe("alive");
  for (const name of ["one", "two"]) expect(program.said).toMatch(new RegExp(`${name} joined: process \\d+\\n`));
  expect(program.said).not.toMatch(/error|warn/i);
});
