/** `virtspace serve FILE`: the device that a file exports, one for each QEMU guest, over vhost-user. @module */
import { type DeviceRunner, defaultRandom, type Logger } from "@virtspace/virtio";
import type { Reporter } from "../report/reporter.ts";
import { type CounterRow, Rates, showCounters } from "./live-counters.ts";
import { pluginIn } from "./plugin-file.ts";
import { logTo, type ServeOptions, serveGuests, untilStopped } from "./serve-guests.ts";

/** What it talks through. */
export interface ServeDeviceSurroundings {
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
  /** Tells of what nobody catches, in place of the process's end, until it is disposed. */
  readonly uncaught?: ((tell: (error: unknown) => void) => Disposable) | undefined;
}

const COLUMNS = { "buffers/s": "rate", taken: "taken", "given back": "used", interrupts: "interrupts" };

/** So many different failures of a device that nobody caught are said. */
const MOST_FAILURES = 16;

/**
 * Serves until the signal is raised. A device that fails for one guest is said, and the others are served on.
 *
 * @returns when all is given back
 * @throws {@link PluginFileError} for a file that exports no device
 */
export async function serveDevice(file: string, options: ServeOptions, surroundings: ServeDeviceSurroundings): Promise<void> {
  const { reporter, signal, uncaught } = surroundings;
  const plugin = await pluginIn(file);
  // What a device does later, by a timer or a promise, is called by nobody who could catch what it throws.
  using _guard = uncaught?.(sayOnce(plugin.name, logTo(reporter)));
  using servers = serveGuests(options, reporter, {
    fields: { device: plugin.name },
    text: plugin.name,
    device: (name) => plugin.create({ machine: name, random: defaultRandom, log: logTo(reporter, `${name}: `) }),
  });
  const rates = new Rates(options.interval);
  using _counters = showCounters(reporter, COLUMNS, options.interval, () =>
    [...servers.guests].map(([guest, runner]) => countersOf(guest, runner, rates)),
  );
  await untilStopped(servers, reporter, signal);
}

/** Of the queues that run: a driver that starts anew starts them at nothing. */
function countersOf(guest: string, runner: DeviceRunner, rates: Rates): CounterRow {
  const sum = { kicks: 0, chains: 0, used: 0, interrupts: 0 };
  for (const { counters } of runner.queues())
    for (const name of ["kicks", "chains", "used", "interrupts"] as const) sum[name] += counters[name];
  const { kicks, chains, used, interrupts } = sum;
  return { guest, rate: rates.of(runner, used), taken: chains, used, kicks, interrupts };
}

function sayOnce(device: string, log: Logger): (cause: unknown) => void {
  const said = new Set<string>();
  return (cause) => {
    const what = String(cause);
    if (said.has(what) || said.size >= MOST_FAILURES) return;
    said.add(what);
    log.error(`${device} failed, and nobody caught it`, { cause });
  };
}
