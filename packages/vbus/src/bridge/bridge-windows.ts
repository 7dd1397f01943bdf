/** Where a guest reaches a bridge: a window in memory for calls, and ports for what has to be quick. @module */
import {
  DisposableStack,
  type GuestAddress,
  type IoHandler,
  LocalNotifier,
  type Notifier,
  type VirtAddressSpace,
} from "@virtspace/virt-address-space";
import { quadAt } from "../memory/guest-struct.ts";
import { BRIDGE_MMIO_SIZE, BRIDGE_PORTS_SIZE, BridgePort, CallDesc } from "./bridge-abi.ts";
import type { VbusBridge } from "./vbus-bridge.ts";

const WORD = 4;

/** Where they are. */
export interface BridgeWindowsOptions {
  /** What is behind them. */
  readonly bridge: VbusBridge;
  /** The guest's memory. */
  readonly memory: VirtAddressSpace;
  /** Where the window in memory begins. */
  readonly mmio: GuestAddress;
  /** The guest's ports. */
  readonly ports: VirtAddressSpace;
  /** The first port. */
  readonly port: GuestAddress;
  /** Makes what the guest rings when it has taken events; one within this thread unless given. */
  readonly notifier?: () => Notifier;
}

/** The windows. Dispose them to take them out of the spaces; the bridge stays. */
export class BridgeWindows implements Disposable {
  readonly #bridge: VbusBridge;
  readonly #call = new DataView(new ArrayBuffer(BRIDGE_MMIO_SIZE));
  readonly #stack = new DisposableStack();

  /** @throws `VirtAddressSpaceError` `overlap` */
  constructor({ bridge, memory, mmio, ports, port, notifier = () => new LocalNotifier() }: BridgeWindowsOptions) {
    this.#bridge = bridge;
    using stack = new DisposableStack();
    const map = (space: VirtAddressSpace, base: GuestAddress, size: number, words: Words): void => {
      const region = space.map({ kind: "io", name: "vbus bridge", base, size, handler: ofWords(words) });
      stack.defer(() => {
        if (!space.released) void space.unmap(region);
      });
    };
    map(memory, mmio, BRIDGE_MMIO_SIZE, {
      read: (offset) => this.#execute(offset),
      write: (offset, value) => this.#call.setUint32(offset, value, true),
    });
    map(ports, port, BRIDGE_PORTS_SIZE, { read: () => 0xffff_ffff, write: (offset, value) => this.#port(offset, value) });
    // Events are many, and their port says nothing but that: a doorbell spares the guest an exit.
    const taken = stack.use(notifier());
    taken.subscribe(() => bridge.eventq());
    stack.use(ports.addDoorbell({ address: (port + BridgePort.eventq) as GuestAddress, length: 4, notifier: taken }));
    this.#stack = stack.move();
  }

  /** What a guest has written of a call that it has not made yet: words. */
  save(): readonly number[] {
    return Array.from({ length: CallDesc.size / WORD }, (_, i) => this.#call.getUint32(i * WORD, true));
  }

  /** Takes what other windows saved. */
  restore(words: readonly number[]): void {
    for (let i = 0; i < CallDesc.size / WORD; i++) this.#call.setUint32(i * WORD, words[i] ?? 0, true);
  }

  /** Takes the windows out. Idempotent. */
  [Symbol.dispose](): void {
    this.#stack.dispose();
  }

  #execute(offset: number): number {
    const call = this.#call;
    if (offset !== CallDesc.vector) return call.getUint32(offset, true);
    const [vector, len] = [CallDesc.vector, CallDesc.len].map((at) => call.getUint32(at, true)) as [number, number];
    return this.#bridge.bridgecall(vector, len, quadAt(call, CallDesc.datap)) >>> 0;
  }

  #port(offset: number, value: number): void {
    if (offset === BridgePort.fastcall) this.#bridge.fastcall(value);
    else if (offset === BridgePort.shmsignal) this.#bridge.shmsignal(value);
  }
}

interface Words {
  read(offset: number): number;
  write(offset: number, value: number): void;
}

/** Only whole words count: all else is lost, and reads as ones. */
function ofWords({ read, write }: Words): IoHandler {
  const isWord = (offset: number, size: number): boolean => size === WORD && offset % WORD === 0;
  return {
    read: (offset, size) => (isWord(offset, size) ? read(offset) : 2 ** (8 * size) - 1),
    write: (offset, size, value) => {
      if (isWord(offset, size)) write(offset, value);
    },
  };
}
