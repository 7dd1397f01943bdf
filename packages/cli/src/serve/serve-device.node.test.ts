/** `virtspace serve FILE`: what files it takes, who is served, and what a device that fails does to others. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UnixSocket } from "@virtspace/host-linux";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Trial } from "../command-scenarios.ts";
import { Exit } from "../index.ts";

let folder: string;
let socket: string;
beforeEach(() => {
  // Within the package: a device's imports are found there.
  folder = mkdtempSync(join(import.meta.dirname, "../../node_modules/.device-"));
  socket = join(folder, "socket");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Writes a file. @returns its path */
function file(text: string): string {
  // Node strips no types below node_modules.
  const path = join(folder, "device.mjs");
  writeFileSync(path, text);
  return path;
}

/** A file with a device of these parts. */
const device = (parts: string, before = ""): string =>
  file(`import { defineDevice } from "@virtspace/virtio";
    ${before}
    export default defineDevice({ name: "trial", ${parts} });`);

const PARTS = 'type: 4, queues: [{ name: "requests", size: 8 }], start() {}';

test.each([
  ["a device", () => device(PARTS)],
  [
    "a function",
    () => file(`import { defineDevice } from "@virtspace/virtio"; export default () => defineDevice({ name: "trial", ${PARTS} });`),
  ],
])("%s is served to each front-end, until the signal", async (_what, path) => {
  const trial = new Trial();
  const done = trial.run("serve", path(), "--socket", socket);
  await trial.said(`listening at ${socket} (trial)`);
  expect(statSync(socket).mode & 0o777).toBe(0o600);
  using first = UnixSocket.connect(socket);
  await trial.said(`guest 1 joined at ${socket} (process ${process.pid})`);
  using _second = UnixSocket.connect(socket);
  await trial.said("guest 2 joined");
  first[Symbol.dispose]();
  await trial.said("guest 1 left\n");
  trial.stop.abort();
  expect([await done, trial.err]).toEqual([Exit.Ok, ""]);
  expect(trial.out).toContain("stopping: 1 guest is connected\nguest 2 left\n");
  expect(() => statSync(socket)).toThrow();
});

test("programs get an object a line, and several sockets are served", async () => {
  const trial = new Trial();
  const other = join(folder, "other");
  const done = trial.run("serve", "device", device(PARTS), "--json", "-s", socket, "-s", other);
  await trial.said('"ready"');
  using _front = UnixSocket.connect(other);
  await trial.said('"join"');
  trial.stop.abort();
  expect(await done).toBe(Exit.Ok);
  const said = trial.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(said).toMatchObject([
    { event: "ready", path: socket, device: "trial" },
    { event: "ready", path: other, device: "trial" },
    { event: "join", path: other, guest: "guest 1", pid: process.pid },
    { event: "stop", guests: 1 },
    { event: "leave", path: other, guest: "guest 1" },
  ]);
});

test("counters of each guest's queues are shown, again and again", async () => {
  const trial = new Trial();
  const done = trial.run("serve", device(PARTS), "--json", "--interval", "1", "--socket", socket);
  await trial.said('"ready"');
  using front = UnixSocket.connect(socket);
  const counters = { rate: 0, taken: 0, used: 0, kicks: 0, interrupts: 0 };
  await trial.said(JSON.stringify({ event: "counters", guests: [{ guest: "guest 1", ...counters }] }).slice(1, -1));
  front[Symbol.dispose]();
  await trial.said('"leave"');
  await trial.said('"event":"counters","guests":[]');
  trial.stop.abort();
  expect(await done).toBe(Exit.Ok);
});

test("a device that can't be made for one guest is said in a line with why, and the others are served", async () => {
  const create = `create({ machine, log }) {
    log.warn("a word", { cause: "a reason" });
    if (machine === "guest 2") throw new Error("no disk for it");
    return { ${PARTS} };
  }`;
  const trial = new Trial();
  const done = trial.run("serve", device(create), "--socket", socket);
  await trial.said("listening");
  using _first = UnixSocket.connect(socket);
  await trial.said("warning: guest 1: a word: a reason\nguest 1 joined");
  using _second = UnixSocket.connect(socket);
  await trial.said("error: no device could be made for front-end 2: no disk for it\n");
  using _third = UnixSocket.connect(socket);
  await trial.said("guest 3 joined");
  expect(trial.out).not.toContain("guest 1 left");
  trial.stop.abort();
  expect([await done, trial.err]).toEqual([Exit.Ok, ""]);
});

test("what a device throws when nobody could catch it is said once, and other guests are served on", async () => {
  const create = `create() {
    setInterval(() => { throw new Error("in a timer"); }, 5);
    void Promise.reject(new Error("in a promise"));
    return { ${PARTS} };
  }`;
  const main = join(import.meta.dirname, "../main.ts");
  const program = spawn(process.execPath, [main, "serve", device(create), "--socket", socket], { timeout: 25_000, killSignal: "SIGKILL" });
  let out = "";
  program.stdout.setEncoding("utf8").on("data", (some: string) => {
    out += some;
  });
  await expect.poll(() => out, { timeout: 20_000 }).toContain("listening");
  using _first = UnixSocket.connect(socket);
  await expect.poll(() => out, { timeout: 5000 }).toContain("error: trial failed, and nobody caught it: in a timer\n");
  using _second = UnixSocket.connect(socket);
  await expect.poll(() => out, { timeout: 5000 }).toContain("guest 2 joined");
  const ended = once(program, "exit");
  program.kill("SIGTERM");
  expect(await ended).toEqual([Exit.Ok, null]);
  expect(out.match(/nobody caught it: in a promise/g)).toHaveLength(1);
  expect(out.match(/nobody caught it: in a timer/g)).toHaveLength(1);
});

test.each([
  ["no file", () => join(folder, "none.ts"), Exit.Usage, "there is no file"],
  ["nothing", () => file("export const x = 1;"), Exit.Usage, "has no default export"],
  ["another thing", () => file("export default { create: 3 };"), Exit.Usage, "is no virtio device"],
  ["a device of another bus", () => file('export default { bus: "vbus", name: "x", create() {} };'), Exit.Usage, "is no virtio device"],
  ["one that throws", () => file('throw new Error("too early\\nand more");'), Exit.Failed, "can't be loaded: too early"],
  ["one that imports what isn't there", () => file('import "./none.ts";'), Exit.Failed, "none.ts"],
  ["one whose syntax is none", () => file("export default {"), Exit.Failed, "can't be loaded"],
  ["one whose function throws", () => file('export default () => { throw new Error("no DISK"); };'), Exit.Failed, "no DISK"],
  ["one that defines no device", () => device("type: 4, queues: []"), Exit.Failed, "trial is no device: it can't start: give start"],
])("%s is told in a line that names the file, and nothing is served", async (_what, path, status, text) => {
  const trial = new Trial();
  const name = path();
  expect(await trial.run("serve", name, "--socket", socket)).toBe(status);
  expect(trial.err).toContain(text);
  expect(trial.err).toContain(name);
  expect(trial.err.trim().split("\n").length).toBe(1);
  expect(() => statSync(socket)).toThrow();
});

test("of two sockets the first is given back where the second can't be had", async () => {
  const trial = new Trial();
  expect(await trial.run("serve", device(PARTS), "-s", socket, "-s", join(folder, "none", "socket"))).toBe(Exit.Failed);
  expect(trial.err).toContain("there is no folder");
  expect(() => statSync(socket)).toThrow();
});
