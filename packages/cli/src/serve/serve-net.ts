/** `virtspace serve net`: network cards for QEMU guests, over vhost-user. @module */
import type { WhenFull } from "@virtspace/network";
import { AsyncDisposableStack } from "@virtspace/virt-address-space";
import { VirtioNet } from "@virtspace/virtio-net";
import type { Reporter } from "../report/reporter.ts";
import { makeBackend } from "./backend-choice.ts";
import { type CounterRow, Rates, showCounters } from "./live-counters.ts";
import { logTo, type ServeOptions, serveGuests, untilStopped } from "./serve-guests.ts";

/** What was asked for. */
export interface ServeNetOptions extends ServeOptions {
  readonly backend: string;
  readonly whenFull: WhenFull;
  readonly gateway?: string | undefined;
  readonly pcap?: string | undefined;
  /** Pairs of queues. */
  readonly queues: number;
  readonly queueSize: number;
  readonly mtu?: number | undefined;
}

/** A card's first three bytes: an address that nobody else owns. */
const MAC_PREFIX = 0x5254_0000_0000;

const COLUMNS = { "frames/s": "rate", sent: "sent", received: "received", drops: "drops" };

/** Serves until the signal is raised. @returns when all is given back */
export async function serveNet(options: ServeNetOptions, reporter: Reporter, signal: AbortSignal): Promise<void> {
  const { backend: choice, queues, queueSize, mtu, interval } = options;
  await using stack = new AsyncDisposableStack();
  const network = stack.use(
    makeBackend({
      ...options,
      onGone: (name) => reporter.say({ event: "gone", name, text: `${name} went away: guests stay, and reach each other` }),
      onFault: (name, cause) => logTo(reporter).error(`${name} can take nobody for now`, { cause }),
      onSkipped: (file, frames) =>
        reporter.say({
          event: "skipped",
          file,
          frames,
          text: `${file} lacks ${frames} frames: they came faster than they could be written`,
        }),
    }),
  );
  const cards = new Set<VirtioNet>();
  const servers = stack.use(
    serveGuests(options, reporter, {
      fields: { backend: choice },
      text: choice,
      device: (name, number) => {
        const card = new VirtioNet({
          backend: network.backend,
          mac: MAC_PREFIX + number,
          name,
          queuePairs: queues,
          queueSize,
          ...(mtu !== undefined && { mtu }),
        });
        cards.add(card);
        return card;
      },
      left: (card) => {
        cards.delete(card);
        return { counters: card.counters };
      },
    }),
  );
  stack.use(showCounters(reporter, COLUMNS, interval, countersOf(cards, new Rates(interval))));
  await untilStopped(servers, reporter, signal);
}

const countersOf = (cards: ReadonlySet<VirtioNet>, rates: Rates) => (): readonly CounterRow[] =>
  [...cards].map((card) => {
    const counters = card.count();
    const frames = counters.reduce((sum, { frames: each }) => sum + each, 0);
    const sum = (from: number, field: "frames" | "bytes"): number =>
      counters.reduce((total, each, i) => total + (i % 2 === from && i < counters.length - 1 ? each[field] : 0), 0);
    const drops = [...counters, card.portCounters].flatMap((each) => Object.values(each.drops)).reduce((a, b) => a + b, 0);
    return {
      guest: card.name,
      rate: rates.of(card, frames),
      sent: sum(1, "frames"),
      received: sum(0, "frames"),
      sentBytes: sum(1, "bytes"),
      receivedBytes: sum(0, "bytes"),
      drops,
    };
  });
