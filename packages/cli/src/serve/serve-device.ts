/** `virtspace serve FILE`: the device that a file exports, one for each QEMU guest, over vhost-user. @module */
import { defaultRandom } from "@virtspace/virtio";
import type { Reporter } from "../report/reporter.ts";
import { pluginIn } from "./plugin-file.ts";
import { logTo, type ServeOptions, serveGuests, untilStopped } from "./serve-guests.ts";

/**
 * Serves until the signal is raised. A device that fails for one guest is said, and the others are served on.
 *
 * @returns when all is given back
 * @throws {@link PluginFileError} for a file that exports no device
 */
export async function serveDevice(file: string, options: ServeOptions, reporter: Reporter, signal: AbortSignal): Promise<void> {
  const plugin = await pluginIn(file);
  using servers = serveGuests(options, reporter, {
    fields: { device: plugin.name },
    text: plugin.name,
    device: (name) => plugin.create({ machine: name, random: defaultRandom, log: logTo(reporter, `${name}: `) }),
  });
  await untilStopped(servers, reporter, signal);
}
