/**
 * An entropy device: whatever memory a driver offers, it fills with numbers that nobody can foretell. Linux has it as /dev/hwrng.
 *
 * @see virtio 1.3, section 5.4
 */
// #region device
import { defineDevice, VirtioDeviceType, type VirtioPlugin } from "@virtspace/virtio";

const entropy: VirtioPlugin = defineDevice({
  name: "entropy",
  type: VirtioDeviceType.Entropy,
  queues: [{ name: "requests", size: 64 }],
  start: ({ queues, random }) => queues.requests.serve((chain) => chain.fill(random)),
});
export default entropy;
// #endregion device
