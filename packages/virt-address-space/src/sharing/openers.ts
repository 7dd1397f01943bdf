/** How descriptors of memory and notifiers become things of this thread: by openers that know their kinds. @module */
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { MemoryDescriptor, MemoryOpener } from "../memory/memory-descriptor.ts";
import type { MemoryProvider } from "../memory/memory-provider.ts";
import { sharedMemoryOpener } from "../memory/shared-memory.ts";
import type { Notifier, NotifierDescriptor, NotifierOpener } from "../notifier/notifier.ts";
import { sharedNotifierOpener } from "../notifier/shared-notifier.ts";

/** Openers that somebody brings, besides those for memory and notifiers that threads share. */
export interface BroughtOpeners {
  /** Openers for kinds of memory besides SharedArrayBuffer. */
  readonly memory?: readonly MemoryOpener[];
  /** Openers for kinds of notifiers besides `SharedNotifier`. */
  readonly notifiers?: readonly NotifierOpener[];
}

/** Opens what comes over a link. */
export class Openers {
  readonly #memory: readonly MemoryOpener[];
  readonly #notifiers: readonly NotifierOpener[];

  constructor({ memory = [], notifiers = [] }: BroughtOpeners = {}) {
    this.#memory = [sharedMemoryOpener, ...memory];
    this.#notifiers = [sharedNotifierOpener, ...notifiers];
  }

  /** Opens memory; undefined where nobody here knows its kind. Throws what its opener throws. */
  openMemory(descriptor: MemoryDescriptor): MemoryProvider | undefined {
    return this.#memory.find(({ kind }) => kind === descriptor.kind)?.open(descriptor);
  }

  /** Opens a notifier; undefined where nobody here knows its kind. Throws what its opener throws. */
  openNotifier(descriptor: NotifierDescriptor): Notifier | undefined {
    return this.#notifiers.find(({ kind }) => kind === descriptor.kind)?.open(descriptor);
  }

  /** Opens a notifier that has to be. Throws `not-shareable` where nobody here knows its kind. */
  requireNotifier(descriptor: NotifierDescriptor): Notifier {
    const notifier = this.openNotifier(descriptor);
    if (notifier === undefined) {
      throw new VirtAddressSpaceError("not-shareable", `nobody here can open a "${descriptor.kind}" notifier: give an opener for it`);
    }
    return notifier;
  }
}
