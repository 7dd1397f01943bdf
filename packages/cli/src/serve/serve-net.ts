/** `virtspace serve net`: network cards for QEMU guests, over vhost-user. @module */
import { type ConnectOptions, VhostUserServer } from "@virtspace/vhost-user";
import type { Logger } from "@virtspace/virtio";
import { VirtioNet } from "@virtspace/virtio-net";
import type { Reporter } from "../report/reporter.ts";
import { makeBackend } from "./backend-choice.ts";

/** What was asked for. */
export interface ServeNetOptions {
  /** Paths to listen at. */
  readonly socket: readonly string[];
  /** Whether front-ends listen there, and this side connects. */
  readonly connect: boolean;
  readonly backend: string;
  readonly gateway?: string | undefined;
  readonly pcap?: string | undefined;
  /** Pairs of queues. */
  readonly queues: number;
  readonly queueSize: number;
  readonly mtu?: number | undefined;
  /** The only user that is served. */
  readonly uid?: number | undefined;
  readonly unsealed: boolean;
  /** Whether it is written down beside the socket what cards took from rings. */
  readonly journal: boolean;
  /** Seconds between counters. */
  readonly interval: number;
}

/** A card's first three bytes: an address that nobody else owns. */
const MAC_PREFIX = 0x5254_0000_0000;

/** Serves until the signal is raised. @returns when all is given back */
export async function serveNet(options: ServeNetOptions, reporter: Reporter, signal: AbortSignal): Promise<void> {
  const { socket: paths, backend: choice, queues, queueSize, mtu, uid, unsealed, journal, interval } = options;
  await using stack = new AsyncDisposableStack();
  const log = logTo(reporter);
  const network = stack.use(
    makeBackend({
      ...options,
      onGone: (name) => reporter.say({ event: "gone", name, text: `${name} went away: guests stay, and reach each other` }),
      onSkipped: (file, frames) =>
        reporter.say({
          event: "skipped",
          file,
          frames,
          text: `${file} lacks ${frames} frames: they came faster than they could be written`,
        }),
    }),
  );
  let count = 0;
  const cards = new Set<VirtioNet>();
  const servers = paths.map((path) => {
    const serve: ConnectOptions = {
      path,
      log,
      unsealed,
      ...(uid !== undefined && { uid }),
      ...(journal && { journal: `${path}.rings` }),
      device: () => {
        const number = ++count;
        const card = new VirtioNet({
          backend: network.backend,
          mac: MAC_PREFIX + number,
          name: `guest ${number}`,
          queuePairs: queues,
          queueSize,
          ...(mtu !== undefined && { mtu }),
        });
        cards.add(card);
        return card;
      },
      onJoin: (guest) => {
        reporter.say({
          event: "join",
          guest: guest.device.name,
          pid: guest.pid,
          path,
          text: `${guest.device.name} joined at ${path} (process ${guest.pid})`,
        });
      },
      onLeave: (guest, error) => {
        cards.delete(guest.device as VirtioNet);
        const why = error === undefined ? "" : `: ${error.message}`;
        const counters = (guest.device as VirtioNet).counters;
        reporter.say({
          event: "leave",
          guest: guest.device.name,
          pid: guest.pid,
          path,
          error: error?.message,
          counters,
          text: `${guest.device.name} left${why}`,
        });
      },
    };
    const server = options.connect ? VhostUserServer.connect(serve) : VhostUserServer.listen(serve);
    stack.use(server);
    const how = options.connect ? "connecting to" : "listening at";
    reporter.say({ event: "ready", path, backend: choice, text: `${how} ${path} (${choice})` });
    return server;
  });
  const last = new Map<VirtioNet, number>();
  const timer = setInterval(() => showCounters(cards, last, interval, reporter), interval * 1000);
  stack.defer(() => clearInterval(timer));
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const served = servers.reduce((sum, server) => sum + server.guests.length, 0);
  reporter.end();
  reporter.say({ event: "stop", guests: served, text: `stopping: ${served} ${served === 1 ? "guest is" : "guests are"} connected` });
}

function showCounters(cards: ReadonlySet<VirtioNet>, last: Map<VirtioNet, number>, interval: number, reporter: Reporter): void {
  const rows = [...cards].map((card) => {
    const counters = card.count();
    const frames = counters.reduce((sum, { frames: each }) => sum + each, 0);
    const rate = Math.round((frames - (last.get(card) ?? 0)) / interval);
    last.set(card, frames);
    const sum = (from: number, field: "frames" | "bytes"): number =>
      counters.reduce((total, each, i) => total + (i % 2 === from && i < counters.length - 1 ? each[field] : 0), 0);
    const drops = [...counters, card.portCounters].flatMap((each) => Object.values(each.drops)).reduce((a, b) => a + b, 0);
    return {
      guest: card.name,
      rate,
      sent: sum(1, "frames"),
      received: sum(0, "frames"),
      sentBytes: sum(1, "bytes"),
      receivedBytes: sum(0, "bytes"),
      drops,
    };
  });
  const pad = (value: string | number, width: number): string => String(value).padStart(width);
  const lines = [
    `${"guest".padEnd(12)}${pad("frames/s", 10)}${pad("sent", 12)}${pad("received", 12)}${pad("drops", 8)}`,
    ...rows.map(
      ({ guest, rate, sent, received, drops }) => `${guest.padEnd(12)}${pad(rate, 10)}${pad(sent, 12)}${pad(received, 12)}${pad(drops, 8)}`,
    ),
  ];
  reporter.show(rows.length > 0 ? lines : ["no guest yet"], { guests: rows });
}

function logTo(reporter: Reporter): Logger {
  const say =
    (level: string) =>
    (text: string): void =>
      reporter.say({ event: "log", level, message: text, text: `${level}: ${text}` });
  return { debug: () => {}, info: say("info"), warn: say("warning"), error: say("error") };
}
