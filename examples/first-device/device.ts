/** A device with all that the eight lines leave out: something of its own in each machine, a configuration, an answer that takes time. */
// #region device
import { type Chain, ConfigBytes, type DeviceParts, defineDevice, type VirtioPlugin } from "@virtspace/virtio";

/** How long an answer takes, milliseconds. */
export interface EchoOptions {
  readonly delay: number;
}

/** Gives back what it is given, in capitals, after a while. */
export function echo({ delay }: EchoOptions): VirtioPlugin {
  return defineDevice({
    name: "echo",
    // Called for each machine: what is made here is that machine's alone.
    create({ log }): DeviceParts<"calls"> {
      const config = new ConfigBytes(4); // what the driver reads of it: how many it has answered
      let answered = 0;
      const count = (): void => config.data.setUint32(0, ++answered, true);
      return {
        type: 0x7f01, // a number of your own: no driver of Linux takes it for something else
        queues: [{ name: "calls", size: 16 }],
        config,
        start({ queues, configChanged }) {
          const timers = new Set<ReturnType<typeof setTimeout>>();
          queues.calls.serve((chain) => {
            if (chain.readableBytes > 4096) {
              log.warn(`a call of ${chain.readableBytes} bytes is none`); // the buffer goes back, with nothing in it
              return;
            }
            chain.hold(); // it is answered later: its memory stays where it is until then
            const timer = setTimeout(() => {
              timers.delete(timer);
              answer(chain);
              count();
              configChanged();
            }, delay);
            timers.add(timer);
          });
          // What is to be done when the driver begins anew. Buffers that are held then are no more: don't touch them.
          return () => {
            for (const timer of timers) clearTimeout(timer);
          };
        },
        // What goes with a machine that is moved, and is a file's content when it comes back: checked before it is believed.
        save: () => answered,
        restore(state) {
          if (!Number.isSafeInteger(state)) throw new Error("the number of answers is none");
          answered = state as number;
        },
      };
    },
  });
}

function answer(chain: Chain): void {
  const bytes = new Uint8Array(chain.readableBytes);
  chain.copyFrom(0, bytes); // returns the bytes that were not copied: 0
  chain.copyTo(0, new TextEncoder().encode(new TextDecoder().decode(bytes).toUpperCase()));
  chain.push();
}
// #endregion device
