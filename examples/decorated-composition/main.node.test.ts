/** The composition by tsx, as `start` runs it, and by vitest. */
import "reflect-metadata";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { boot, compose } from "@virtspace/composition";
import { Gateway, LearningSwitch } from "@virtspace/network";
import { Container } from "inversify";
import { expect, test } from "vitest";
import { machine as description } from "./machine.ts";
import { Part } from "./parts.ts";
import { TalkativeCard } from "./talkative-card.ts";

const here = import.meta.dirname;

test("start boots a guest whose card, log and clock were injected", async () => {
  const tsx = join(here, "node_modules/.bin/tsx");
  const { stdout, stderr } = await promisify(execFile)(tsx, ["main.ts"], { cwd: here, timeout: 20_000 });
  expect(stderr).toBe("");
  const told = stdout.split("\n").filter((line) => line.startsWith("2009-10-05T00:00:"));
  expect(told.map((line) => line.slice("2009-10-05T00:00:00.000Z ".length))).toEqual([
    "the guest sent UDP, 342 bytes",
    "the guest received UDP, 342 bytes",
    "the guest sent ARP, 42 bytes",
    "the guest received ARP, 42 bytes",
    "the guest sent ICMP, 74 bytes",
    "the guest received ICMP, 74 bytes",
  ]);
  expect(stdout).toContain("  | virtio-net at 0xd0000000, line 5, split rings, 52:54:00:00:20:09\n");
  expect(stdout).toMatch(/the guest left with status 0\nits card is a TalkativeCard; the gateway answered 4 pings\n$/);
});

test("each machine's container makes a card of its own, with what is bound above", async () => {
  const container = new Container();
  const lines: string[] = [];
  const network = new LearningSwitch();
  using gateway = new Gateway(network, { address: "10.0.2.2" });
  container.bind(Part.Network).toConstantValue(network);
  container.bind(Part.Mac).toConstantValue("52:54:00:00:00:01");
  container.bind(Part.Print).toConstantValue((line) => void lines.push(line));
  const cards = new Set<unknown>();
  for (let machines = 1; machines <= 2; machines++) {
    await using machine = await boot(description, { container });
    expect(await machine.outcome).toEqual({ reason: "left", status: 0 });
    expect(machine.devices[0]?.device).toBeInstanceOf(TalkativeCard);
    cards.add(machine.devices[0]?.device);
    expect([gateway.counters.echo, lines.length]).toEqual([4 * machines, 6 * machines]);
  }
  expect(cards.size).toBe(2);
});

test("what nobody bound is named", async () => {
  await expect(compose(description, { container: new Container() })).rejects.toThrow(
    'No bindings found for service: "example/print": bind it in a module of the description, or in the container above',
  );
});
