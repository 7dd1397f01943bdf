/** A device that does to its driver what a script says. It is for those who write drivers: what it does, no driver may believe. */
import { type ChainHandler, type DeviceParts, defineDevice, type VirtioPlugin } from "@virtspace/virtio";
import type { Move } from "./moves.ts";
import type { ShiftingConfig } from "./shifting-config.ts";

/** A device that lies. */
export interface HostileOptions {
  /** A number of `VirtioDeviceType`: which driver it is for. */
  readonly type: number;
  /** What is done with each buffer, in the order in which they come. A reset changes nothing: after it the next move follows. */
  readonly script: readonly Move[];
  /** What an honest device would do, and what this one does behind its script's end. */
  readonly honest: ChainHandler;
  /** Makes its configuration; none unless given. */
  readonly config?: () => ShiftingConfig;
}

/** A device with one queue, which does what a script says. */
export function hostileDevice({ type, script, honest, config: makeConfig }: HostileOptions): VirtioPlugin {
  return defineDevice({
    name: "hostile",
    create(): DeviceParts<"requests"> {
      let turn = 0;
      const config = makeConfig?.();
      return {
        type,
        queues: [{ name: "requests", size: 64 }],
        ...(config !== undefined && { config }),
        start({ queues, needReset, configChanged }) {
          if (config !== undefined) config.changed = configChanged;
          queues.requests.serve((chain) => {
            const move = script[turn++] ?? honest;
            return move(chain, { honest, needReset });
          });
        },
      };
    },
  });
}
