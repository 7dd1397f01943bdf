/** A thread that blocks: what "More than one thread" shows. */
import { parentPort, receiveMessageOnPort } from "node:worker_threads";
import {
  gpa,
  type NotifierDescriptor,
  type SharedNotifier,
  type SpaceDescriptor,
  sharedNotifierOpener,
  VirtAddressSpace,
} from "@virtspace/virt-address-space";

parentPort?.once("message", async ({ descriptor, waker }: { readonly descriptor: SpaceDescriptor; readonly waker: NotifierDescriptor }) => {
  const REGISTER = gpa(0x1000);
  // #region blocking
  const wake = sharedNotifierOpener.open(waker) as SharedNotifier;
  const space = await VirtAddressSpace.attach(descriptor, { name: "vcpu 0", receive: receiveMessageOnPort, wake });
  parentPort?.postMessage("ready");
  for (;;) {
    wake.wait(); // devices and doorbells may signal it too
    if (!space.current) space.quiesce();
    // one round of work, on one map
    const value = space.readU32(REGISTER);
    if (value === undefined) break; // the memory is gone
    space.writeU32(REGISTER, value + 1);
  }
  // #endregion blocking
  space[Symbol.dispose]();
  parentPort?.close();
});
