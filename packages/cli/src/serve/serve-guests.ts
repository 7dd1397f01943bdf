/** What all of `virtspace serve` do alike: a device for each front-end, who joins and leaves, and the end by a signal. @module */
import { type ConnectOptions, type VhostUserDevice, VhostUserServer } from "@virtspace/vhost-user";
import { DisposableStack } from "@virtspace/virt-address-space";
import { type DeviceRunner, FeatureSet, type Logger, VirtioFeature } from "@virtspace/virtio";
import type { Reporter } from "../report/reporter.ts";

/** What was asked for, whatever is served. */
export interface ServeOptions {
  /** Paths to listen at. */
  readonly socket: readonly string[];
  /** Whether front-ends listen there, and this side connects. */
  readonly connect: boolean;
  /** The only user that is served. */
  readonly uid?: number | undefined;
  readonly unsealed: boolean;
  /** Seconds between counters. */
  readonly interval: number;
  /** Whether it is written down beside the socket what devices took from rings. */
  readonly journal: boolean;
  /** How long queues look for more before they wait, microseconds. */
  readonly pollUs: number;
  /** Whether packed rings are offered. */
  readonly packed: boolean;
}

/** What is served. */
export interface Served<D extends VhostUserDevice> {
  /** For programs: what `ready` says beside the path. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** For people: what it is. */
  readonly text: string;
  /** Makes the device of a guest. @param number - counts from 1, over all sockets */
  device(name: string, number: number): D;
  /** A guest is gone. @returns what is said of its device then */
  left?(device: D): Readonly<Record<string, unknown>>;
}

/** Servers that listen, or connect. Dispose them to end them. */
export interface ServedSockets extends Disposable {
  /** Who is connected, by name, with the device that runs for him. */
  readonly guests: ReadonlyMap<string, DeviceRunner>;
}

/** Serves at all the paths. Throws what `VhostUserServer` does, with nothing left open. */
export function serveGuests<D extends VhostUserDevice>(options: ServeOptions, reporter: Reporter, served: Served<D>): ServedSockets {
  const { socket: paths, connect, uid, unsealed, journal, pollUs, packed } = options;
  using stack = new DisposableStack();
  const names = new WeakMap<VhostUserDevice, string>();
  const log = logTo(reporter);
  let count = 0;
  const servers = paths.map((path) => {
    const serve: ConnectOptions = {
      path,
      log,
      sessionLog: (device) => logTo(reporter, `${names.get(device)}: `),
      unsealed,
      pollMicroseconds: pollUs,
      ...(!packed && { withheld: FeatureSet.of(VirtioFeature.RingPacked) }),
      ...(uid !== undefined && { uid }),
      ...(journal && { journal: `${path}.rings` }),
      device: () => {
        const number = ++count;
        const name = `guest ${number}`;
        const device = served.device(name, number);
        names.set(device, name);
        return device;
      },
      onJoin: ({ device, pid }) => {
        const guest = names.get(device);
        reporter.say({ event: "join", guest, pid, path, text: `${guest} joined at ${path} (process ${pid})` });
      },
      onLeave: ({ device, pid }, error) => {
        const guest = names.get(device);
        const why = error === undefined ? "" : `: ${error.message}`;
        const more = served.left?.(device as D);
        reporter.say({ event: "leave", guest, pid, path, error: error?.message, ...more, text: `${guest} left${why}` });
      },
    };
    const server = stack.use(connect ? VhostUserServer.connect(serve) : VhostUserServer.listen(serve));
    reporter.say({
      event: "ready",
      path,
      ...served.fields,
      text: `${connect ? "connecting to" : "listening at"} ${path} (${served.text})`,
    });
    return server;
  });
  const open = stack.move();
  return {
    get guests() {
      return new Map(servers.flatMap(({ guests }) => guests.map(({ device, runner }) => [names.get(device) ?? "", runner] as const)));
    },
    [Symbol.dispose]: () => open.dispose(),
  };
}

/** Resolves when the signal is raised, and says what ends then. */
export async function untilStopped(servers: ServedSockets, reporter: Reporter, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const guests = servers.guests.size;
  reporter.end();
  reporter.say({ event: "stop", guests, text: `stopping: ${guests} ${guests === 1 ? "guest is" : "guests are"} connected` });
}

/** A log that a reporter shows. What failed in a device tells why in the same line. */
export function logTo(reporter: Reporter, prefix = ""): Logger {
  const say =
    (level: string) =>
    (text: string, { cause }: Readonly<Record<string, unknown>> = {}): void => {
      const why = cause === undefined ? "" : `: ${cause instanceof Error ? cause.message : String(cause)}`;
      const message = `${prefix}${text}${why}`;
      reporter.say({ event: "log", level, message, text: `${level}: ${message}` });
    };
  return { debug: () => {}, info: say("info"), warn: say("warning"), error: say("error") };
}
