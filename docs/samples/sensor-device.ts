/** A device that speaks of its own accord: its driver posts buffers beforehand. */
// #region device
import { ConfigBytes, type DeviceParts, defineDevice, type VirtioPlugin } from "@virtspace/virtio";

/** Tells its driver what `onValue` calls back with, while the driver has it switched on. */
export function sensor(onValue: (listener: (value: number) => void) => () => void): VirtioPlugin {
  return defineDevice({
    name: "sensor",
    create(): DeviceParts<"values"> {
      // Four bytes, which the driver may write: 1 switches it on.
      const config = new ConfigBytes(4, [{ offset: 0, size: 4 }]);
      const waiting: number[] = [];
      return {
        type: 0x7f02,
        queues: [{ name: "values", size: 16 }],
        config,
        start({ queues }) {
          queues.values.serve((chain) => {
            const value = waiting.shift();
            if (value === undefined) return false; // nothing to say: the buffer stays the driver's
            const bytes = new Uint8Array(4);
            new DataView(bytes.buffer).setUint32(0, value, true);
            chain.copyTo(0, bytes);
            return;
          });
          return onValue((value) => {
            if (config.data.getUint32(0, true) !== 1 || waiting.length === 64) return; // a driver that reads nothing must cost nothing
            waiting.push(value);
            queues.values.resume();
          });
        },
      };
    },
  });
}
// #endregion device
