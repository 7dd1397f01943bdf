/**
 * The devices of a machine: each with what carries it, added and removed while the machine runs. Plug-ins are made here, and what they
 * throw is told with their name.
 *
 * @module
 */
import type { VirtualMachine } from "@virtspace/hypervisor";
import { isErrno } from "@virtspace/vbus";
import { AsyncDisposableStack, type Notifier, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { type VirtioHost, VirtioMmio } from "@virtspace/virtio";
import type { Newable } from "inversify";
import { CompositionError } from "../machine/composition-error.ts";
import { passSpace } from "../machine/pass-space.ts";
import type { DeviceSlots } from "./device-slots.ts";
import type { MachineBus } from "./machine-bus.ts";
import type {
  AttachedDevice,
  AttachedVbusDevice,
  AttachedVirtioDevice,
  MachineDevice,
  MachineDeviceSurroundings,
  MachineVbusDevice,
  MachineVirtioDevice,
} from "./machine-device.ts";

/** How long a plug-in may take to stop, milliseconds. */
const STOP_MILLISECONDS = 5000;

/** What a rack needs. */
export interface DeviceRackOptions {
  /** The guest's memory. */
  readonly memory: VirtAddressSpace;
  /** The machine of the hypervisor. */
  readonly vm: VirtualMachine;
  /** Addresses and lines. */
  readonly slots: DeviceSlots;
  /** What plug-ins are made with. */
  readonly surroundings: MachineDeviceSurroundings;
  /** Time, and later turns of the event loop. */
  readonly host: VirtioHost;
  /** Makes what doorbells ring. */
  readonly notifier: () => Notifier;
  /** The machine's bus; undefined where it has none. */
  readonly bus: MachineBus | undefined;
  /** Makes what the machine's container makes. */
  readonly make: <T>(made: Newable<T>) => T;
  /** How long a plug-in may take to stop, milliseconds; 5000 unless given. */
  readonly stopMilliseconds?: number | undefined;
}

interface Entry {
  readonly attached: AttachedDevice;
  readonly stack: AsyncDisposableStack;
}

/** Devices that are in a machine. */
export class DeviceRack implements AsyncDisposable {
  readonly #options: DeviceRackOptions;
  readonly #entries: Entry[] = [];
  #disposed = false;

  constructor(options: DeviceRackOptions) {
    this.#options = options;
  }

  /** What is in it, in the order in which it came. */
  get devices(): readonly AttachedDevice[] {
    return this.#entries.map(({ attached }) => attached);
  }

  /**
   * Makes a device and puts it into the machine. A guest that runs finds it where it looks for new ones: those of a bus it is told of,
   * those of virtio over MMIO it has to be told of.
   *
   * @throws {@link CompositionError} `device-failed`, `no-line`, `no-bus`
   */
  async add(plugin: MachineDevice): Promise<AttachedDevice> {
    await using stack = new AsyncDisposableStack();
    // The bus has a hold on the memory for all that are on it.
    const attached =
      plugin.bus === "vbus"
        ? this.#onBus(plugin, stack)
        : this.#atAddress(plugin, stack.use(await passSpace(this.#options.memory, plugin.name)), stack);
    this.#entries.push({ attached, stack: stack.move() });
    return attached;
  }

  /**
   * Takes a device out of the machine, and has it stop.
   *
   * @throws {@link CompositionError} `device-failed`, `device-stuck`; the device is out all the same
   */
  async remove(attached: AttachedDevice): Promise<void> {
    const index = this.#entries.findIndex((each) => each.attached === attached);
    if (index < 0) throw new CompositionError("no-device", `${attached.name} is not in this machine: remove what add returned, once`);
    const [entry] = this.#entries.splice(index, 1);
    await entry?.stack.disposeAsync();
  }

  /** Takes all out, the last first. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    await using stack = new AsyncDisposableStack();
    for (const entry of this.#entries.splice(0)) stack.use(entry.stack);
  }

  #atAddress(plugin: MachineVirtioDevice, space: VirtAddressSpace, stack: AsyncDisposableStack): AttachedVirtioDevice {
    this.#requireThere(plugin);
    const { vm, slots, surroundings, host, notifier, make } = this.#options;
    const slot = slots.take();
    stack.defer(() => slots.free(slot));
    const device = named(plugin, () => ("injected" in plugin ? make(plugin.injected) : plugin.create(surroundings)));
    if (typeof device?.startQueue !== "function") throw failed(plugin, "it made no device: return one from create");
    stack.defer(() => this.#stop(plugin.name, device as Partial<Disposable & AsyncDisposable>));
    const line = stack.use(vm.line(slot.irq));
    const interrupt = (up: boolean): void => line.setLevel(up);
    const { log } = surroundings;
    const transport = stack.use(new VirtioMmio({ space, base: slot.base, device, interrupt, log, host, notifier }));
    return { bus: "virtio", name: plugin.name, ...slot, device, transport };
  }

  #onBus(plugin: MachineVbusDevice, stack: AsyncDisposableStack): AttachedVbusDevice {
    this.#requireThere(plugin);
    const { bus, surroundings, make } = this.#options;
    if (bus === undefined) throw new CompositionError("no-bus", `${plugin.name} wants a virtual bus: describe the machine with vbus: true`);
    const device = named(plugin, () => ("injected" in plugin ? make(plugin.injected).device : plugin.create(surroundings)));
    if (typeof device?.connect !== "function") throw failed(plugin, "it made no device: return one from create");
    stack.defer(() => named(plugin, () => device.put()));
    const result = bus.bus.connect(device);
    if (isErrno(result)) throw failed(plugin, `the bus refused it (${result})`);
    stack.defer(() => bus.bus.disconnect(device));
    bus.admin.adoptDevice(this.#freeName(plugin.name), device);
    stack.defer(() => bus.admin.release(device));
    return { bus: "vbus", name: plugin.name, device };
  }

  /** Nothing is waited for from here on until the device is in its place. */
  #requireThere(plugin: MachineDevice): void {
    if (this.#disposed) throw failed(plugin, "its machine was taken down");
  }

  /** Folders have names of their own, without spaces. */
  #freeName(name: string): string {
    const plain = name.replace(/[\s/]+/g, "-");
    const taken = this.#options.bus?.admin.list("config/devices") ?? [];
    let free = plain;
    for (let number = 2; taken.includes(free); number++) free = `${plain}-${number}`;
    return free;
  }

  /** A plug-in that never returns must not keep a machine from going. */
  async #stop(name: string, device: Partial<Disposable & AsyncDisposable>): Promise<void> {
    const { host, stopMilliseconds = STOP_MILLISECONDS } = this.#options;
    const { promise: late, reject } = Promise.withResolvers<never>();
    using _timer = host.after(stopMilliseconds, () =>
      reject(new CompositionError("device-stuck", `${name} did not stop within ${stopMilliseconds} ms: have its stop return`)),
    );
    try {
      const stopped = device[Symbol.asyncDispose]?.() ?? device[Symbol.dispose]?.();
      await Promise.race([stopped, late]);
    } catch (cause) {
      throw CompositionError.is(cause) ? cause : failed({ name }, `it threw in stop: ${messageOf(cause)}`, cause);
    }
  }
}

function named<T>(plugin: { readonly name: string }, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw failed(plugin, messageOf(cause), cause);
  }
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

function failed({ name }: { readonly name: string }, why: string, cause?: unknown): CompositionError {
  return new CompositionError("device-failed", `the plug-in ${name} failed: ${why}`, { cause });
}
