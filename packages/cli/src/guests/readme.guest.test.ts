/** What the README has a newcomer type, word by word: two guests that ping each other. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { Sockets } from "./served-scenarios.ts";
import { Terminal } from "./terminal-scenarios.ts";

const ROOT = join(import.meta.dirname, "../../../..");
const PROMPT = "/ # ";
const CONTROL_A = "\x01";
const CONTROL_C = "\x03";

const page = readFileSync(join(ROOT, "packages/cli/README.md"), "utf8");
const section = /^## Two guests that ping each other\n(.*?)^## /ms.exec(page)?.[1] ?? "";

/** What the section says between two marks of code. */
function words(pattern: RegExp): string {
  const found = pattern.exec(section)?.[1];
  if (found === undefined) throw new Error(`the README says nothing like ${pattern}`);
  return found;
}

/** A command of the section for other places than those it names. */
function replaced(command: string, others: Readonly<Record<string, string>>): string {
  return Object.entries(others).reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`the README's command has no ${from}: ${text}`);
    return text.replace(from, to);
  }, command);
}

/** Runs one of the project's scripts, as pnpm does. @returns what it says */
async function script(name: string): Promise<string> {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: Readonly<Record<string, string>> };
  const { stdout } = await promisify(execFile)("sh", ["-c", scripts[name] as string], { cwd: ROOT, timeout: 60_000 });
  return stdout.trim();
}

test("two guests that are started by its commands ping each other", async () => {
  using sockets = new Sockets();
  const socket = { "/tmp/net.sock": sockets.at("net") };
  const serve = words(/^```sh\n(virtspace serve .*?)\n```$/ms);
  await using served = new Terminal(
    replaced(serve, { ...socket, virtspace: `${process.execPath} ${join(ROOT, "packages/cli/src/main.ts")}` }),
  );
  await served.until("listening at");

  const boot = { [words(/`(-kernel \S+ -initrd \S+)`/)]: await script(words(/`npx -y pnpm@12 (\w+)`/)) };
  const qemu = replaced(words(/^```sh\n(qemu-system-x86_64 .*?)\n```$/ms), { ...socket, ...boot });
  await using one = new Terminal(qemu);
  await using two = new Terminal(replaced(qemu, { "52:54:00:00:00:01": "52:54:00:00:00:02" }));
  const address = words(/`(ip addr add .*?)`/);
  await one.until(PROMPT, 60_000);
  one.type(`${address}\n`);
  await two.until(PROMPT, 60_000);
  two.type(`${replaced(address, { "10.0.0.1": words(/the other one `(.*?)`/) })}\n`);
  await two.until(PROMPT);

  await one.until(PROMPT);
  one.type(`${words(/`(ping .*?)`/)}\n`);
  await one.until("seq=3 ");
  one.type(CONTROL_C);
  expect(await one.until("packet loss")).toMatch(/ 0% packet loss$/);

  expect(section).toContain("`Ctrl-a x` ends QEMU");
  for (const guest of [one, two]) {
    guest.type(`${CONTROL_A}x`);
    expect(await guest.ended()).toBe(0);
  }
});
