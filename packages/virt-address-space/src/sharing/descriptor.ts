/**
 * A space as a value: what is passed to another thread so that it can attach. The thread of 2009 had a file descriptor in
 * mind; this is the same for threads, with a message port in the place of the fd.
 *
 * @module
 */
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { PortLike } from "../host/host.ts";
import { ControlBlock, HolderSlot } from "./control-block.ts";
import type { BroughtOpeners } from "./openers.ts";

const FORMAT = "virtspace.descriptor";
const VERSION = 1;

/**
 * A space as a value. It survives structured clone when its port is transferred with it:
 * `worker.postMessage(descriptor, descriptor.transfer)`. It is good for one attach.
 */
export interface SpaceDescriptor {
  /** Tells a descriptor from other values. */
  readonly format: typeof FORMAT;
  /** Both sides must know the same. */
  readonly version: number;
  /** The space's identity within this process. */
  readonly space: string;
  /** For people. */
  readonly name: string;
  /** The generation and the end of the space, as shared words. */
  readonly control: SharedArrayBuffer;
  /** Whether the descriptor was taken, and the windows that its holder has open, as shared words. */
  readonly slot: SharedArrayBuffer;
  /** The line to the owner. */
  readonly port: PortLike;
  /** The transfer list to send it with. */
  readonly transfer: Transferable[];
}

/** What `postMessage` takes in a transfer list, as far as a descriptor needs it; every host's own type fits. */
export type Transferable = ArrayBuffer;

/** How a descriptor is issued. */
export interface DescriptorOptions extends BroughtOpeners {
  /** How far it goes: to the threads of this process. */
  readonly scope?: "process";
  /** What the holder is called in errors until it names itself. */
  readonly holder?: string;
  /** Whether regions that can't leave this thread may be part of the map that the holder sees, where it can't reach them. */
  readonly opaque?: boolean;
}

/** Makes the value. */
export function makeDescriptor(space: string, name: string, control: ControlBlock, slot: HolderSlot, port: PortLike): SpaceDescriptor {
  return {
    format: FORMAT,
    version: VERSION,
    space,
    name,
    control: control.buffer,
    slot: slot.buffer,
    port,
    transfer: [port as unknown as Transferable],
  };
}

/**
 * Checks a descriptor and takes it: a second taker finds it taken.
 *
 * @throws {@link VirtAddressSpaceError} `foreign-descriptor`, `descriptor-version`, `released`, `already-attached`,
 *   `stale-descriptor`
 */
export function takeDescriptor(descriptor: SpaceDescriptor): { readonly control: ControlBlock; readonly slot: HolderSlot } {
  const { format, version, control: controlBuffer, slot: slotBuffer, port, name } = (descriptor ?? {}) as Partial<SpaceDescriptor>;
  if (format !== FORMAT) {
    throw new VirtAddressSpaceError("foreign-descriptor", "this is no descriptor of a space: pass what space.descriptor() returned");
  }
  if (version !== VERSION) {
    throw new VirtAddressSpaceError(
      "descriptor-version",
      `the descriptor is of version ${version}, this package knows ${VERSION}: use the same version of it on both sides`,
      { version },
    );
  }
  const intact =
    typeof SharedArrayBuffer === "function" &&
    controlBuffer instanceof SharedArrayBuffer &&
    slotBuffer instanceof SharedArrayBuffer &&
    typeof port?.postMessage === "function";
  if (!intact) {
    throw new VirtAddressSpaceError(
      "foreign-descriptor",
      "the descriptor lost its shared memory or its port on the way: send it with postMessage(descriptor, descriptor.transfer) within one process",
    );
  }
  const control = new ControlBlock(controlBuffer);
  if (control.released) {
    throw new VirtAddressSpaceError("released", `the space "${name}" was released before it was attached`, { space: name });
  }
  const slot = new HolderSlot(slotBuffer);
  const found = slot.transit("issued", "attached");
  if (found === "attached") {
    throw new VirtAddressSpaceError(
      "already-attached",
      `this descriptor of "${name}" is attached already: a descriptor is for one holder, issue another with space.descriptor()`,
      { space: name },
    );
  }
  if (found === "gone") {
    throw new VirtAddressSpaceError(
      "stale-descriptor",
      `this descriptor of "${name}" was attached and let go, or revoked: issue another with space.descriptor()`,
      { space: name },
    );
  }
  return { control, slot };
}
