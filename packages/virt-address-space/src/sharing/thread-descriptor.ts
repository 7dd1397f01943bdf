/**
 * A space as a value within its thread: for those who are told of a space by whoever composes them, and live beside it. What
 * comes of it is the same map, not a picture of it: no message is needed, and memory that can't leave its thread is in reach.
 *
 * @module
 */
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { SpaceRole } from "../map/space-role.ts";

/** A space as a value within its thread: only there, and only the object that was issued, is good. It is good for one attach. */
export interface ThreadDescriptor {
  /** Tells a descriptor from other values. */
  readonly format: "virtspace.descriptor";
  /** How far it goes. */
  readonly scope: "thread";
  /** The space's identity within this process. */
  readonly space: string;
  /** For people. */
  readonly name: string;
}

/** How a {@link ThreadDescriptor} is issued. */
export interface ThreadDescriptorOptions {
  /** How far the descriptor goes. */
  readonly scope: "thread";
  /** What the holder is called until it names itself. */
  readonly holder?: string;
}

/** What a descriptor stands for, until it is taken. */
interface Issued {
  readonly role: SpaceRole;
  readonly holder: string | undefined;
}

/** The objects are the right: who has none can't make one, and one that nobody has is forgotten. No space is reached by its name. */
const descriptors = new WeakMap<object, Issued | "taken">();

/** Whether a descriptor says that it goes no further than its thread. */
export function isThreadDescriptor(descriptor: unknown): descriptor is ThreadDescriptor {
  return (descriptor as Partial<ThreadDescriptor> | undefined)?.scope === "thread";
}

/** Makes the value. @throws {@link VirtAddressSpaceError} `released` */
export function makeThreadDescriptor(role: SpaceRole, holder: string | undefined): ThreadDescriptor {
  role.references.requireHeld();
  const descriptor: ThreadDescriptor = { format: "virtspace.descriptor", scope: "thread", space: role.id, name: role.core.name };
  descriptors.set(descriptor, { role, holder });
  return descriptor;
}

/**
 * Takes a descriptor: a second taker finds it taken.
 *
 * @throws {@link VirtAddressSpaceError} `foreign-descriptor`, `already-attached`, `released`
 */
export function takeThreadDescriptor(descriptor: ThreadDescriptor): Issued {
  const issued = descriptors.get(descriptor);
  const { name } = descriptor;
  if (issued === undefined) {
    throw new VirtAddressSpaceError(
      "foreign-descriptor",
      `this descriptor of "${name}" is good in the thread that issued it, as the object that was issued, for one copy of this package: for another thread issue one with space.descriptor()`,
      { space: name },
    );
  }
  if (issued === "taken") {
    throw new VirtAddressSpaceError(
      "already-attached",
      `this descriptor of "${name}" was attached already: a descriptor is for one holder, issue another with space.descriptor({ scope: "thread" })`,
      { space: name },
    );
  }
  const { references } = issued.role;
  if (references.released) {
    throw new VirtAddressSpaceError("released", `the space "${name}" was released before it was attached`, { space: name });
  }
  descriptors.set(descriptor, "taken");
  return issued;
}
