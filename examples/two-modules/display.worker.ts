/** A module in a thread of its own: waits for a doorbell and reads a ring. It has never heard of the sensor. */
import { parentPort } from "node:worker_threads";
import { type GuestAddress, SharedNotifier, type SpaceDescriptor, VirtAddressSpace } from "@virtspace/virt-address-space";
import { pop, RING_BYTES } from "./ring.ts";

/** What the module is told when it starts. */
export interface DisplayOptions {
  readonly space: SpaceDescriptor;
  readonly ring: GuestAddress;
  readonly doorbell: GuestAddress;
}

parentPort?.once("message", async ({ space: descriptor, ring: at, doorbell }: DisplayOptions) => {
  const say = (line: string): void => parentPort?.postMessage(line);
  const space = await VirtAddressSpace.attach(descriptor, { name: "display" });
  const bell = new SharedNotifier();
  await space.propose((change) => change.addDoorbell({ address: doorbell, length: 4, notifier: bell }));

  const revoked = Promise.withResolvers<void>();
  const ring = space.vmap(at, RING_BYTES, { onChange: () => revoked.resolve() });
  bell.subscribe(() => {
    for (let line = pop(ring); line !== undefined; line = pop(ring)) say(`display: ${line}`);
  });
  say("ready");

  await revoked.promise;
  say(`display: the window was revoked, and reads as ${ring.u32[0]}`);
  bell[Symbol.dispose]();
  space[Symbol.dispose]();
  parentPort?.close();
});
