/**
 * The administration of buses as a tree of folders and attributes, as configfs and sysfs had it. Under `config` a person makes buses and
 * devices, says once of which type a device is, and links it to a bus; under `sys` stands what guests see.
 *
 * ```text
 * config/devices/net0/type        written once: the name of a class
 * config/devices/net0/client_mac  and the other attributes of the device
 * config/buses/guest/net0         a link: the device is on that bus
 * sys/guest/1/type                what guests of the bus find under number 1
 * ```
 *
 * @module
 */
import { Vbus } from "../device/vbus.ts";
import type { VbusAttribute } from "../device/vbus-attribute.ts";
import type { VbusDevclass } from "../device/vbus-devclass.ts";
import type { VbusDevice } from "../device/vbus-device.ts";
import { type ErrnoName, isErrno } from "../errno/errno.ts";
import { VbusError } from "../error/vbus-error.ts";
import { drawTree, type TreeFolder, type TreeNode } from "./admin-tree.ts";

/** Something in the tree came, went, or was written. */
export interface AdminEvent {
  /** What happened. */
  readonly action: "add" | "remove" | "change";
  /** Where, from the root, without a slash before it. */
  readonly path: string;
}

interface DeviceEntry {
  device: VbusDevice | undefined;
  /** Whether somebody else made it: then it is not this tree's to take down. */
  readonly adopted: boolean;
}

interface BusEntry {
  readonly bus: Vbus;
  readonly links: Map<string, DeviceEntry>;
  readonly adopted: boolean;
  readonly listening: Disposable;
}

const NAME = /^[^\s/]+$/;

/** The tree. Dispose it to take down what it made; what it adopted stays. */
export class VbusAdmin implements Disposable {
  readonly #classes = new Map<string, VbusDevclass>();
  readonly #devices = new Map<string, DeviceEntry>();
  readonly #buses = new Map<string, BusEntry>();
  readonly #listeners = new Set<(event: AdminEvent) => void>();

  /** Lets devices be of a class. @throws {@link VbusError} `invalid-argument` for a second of the same name */
  register(devclass: VbusDevclass): void {
    if (this.#classes.has(devclass.name))
      throw new VbusError("invalid-argument", `there is a class "${devclass.name}" already: give this one another name`);
    this.#classes.set(devclass.name, devclass);
  }

  /** Shows a bus that somebody else made. @throws {@link VbusError} `invalid-argument` */
  adoptBus(name: string, bus: Vbus): void {
    this.#requireFree(this.#buses, name);
    this.#addBus(name, bus, true);
  }

  /** Shows a device that somebody else made, linked where it is on a bus of this tree. @throws {@link VbusError} `invalid-argument` */
  adoptDevice(name: string, device: VbusDevice): void {
    this.#requireFree(this.#devices, name);
    const entry: DeviceEntry = { device, adopted: true };
    this.#devices.set(name, entry);
    this.#tell("add", `config/devices/${name}`);
    for (const { bus, links } of this.#buses.values()) if (bus.devices.includes(device)) links.set(name, entry);
  }

  /** An adopted device is shown no more. */
  release(device: VbusDevice): void {
    for (const [name, entry] of this.#devices) {
      if (entry.device !== device || !entry.adopted) continue;
      for (const { links } of this.#buses.values()) links.delete(name);
      this.#devices.delete(name);
      this.#tell("remove", `config/devices/${name}`);
    }
  }

  /** Makes a bus or a device. @returns 0; `EEXIST`; `EPERM` where nothing can be made; `EINVAL` for a name with a space */
  mkdir(path: string): 0 | ErrnoName {
    const [root, kind, name, ...more] = parts(path);
    if (root !== "config" || name === undefined || more.length > 0 || (kind !== "buses" && kind !== "devices")) return "EPERM";
    if (!NAME.test(name)) return "EINVAL";
    if ((kind === "buses" ? this.#buses : this.#devices).has(name)) return "EEXIST";
    if (kind === "buses") this.#addBus(name, new Vbus({ name }), false);
    else {
      this.#devices.set(name, { device: undefined, adopted: false });
      this.#tell("add", `config/devices/${name}`);
    }
    return 0;
  }

  /** Takes down what {@link mkdir} made. @returns 0; `ENOENT`; `EBUSY` while it is linked; `EPERM` for what was adopted */
  rmdir(path: string): 0 | ErrnoName {
    const [root, kind, name, ...more] = parts(path);
    if (root !== "config" || name === undefined || more.length > 0) return "EPERM";
    const entry = kind === "buses" ? this.#buses.get(name) : kind === "devices" ? this.#devices.get(name) : undefined;
    if (entry === undefined) return "ENOENT";
    if (entry.adopted) return "EPERM";
    if ("bus" in entry) {
      if (entry.links.size > 0) return "EBUSY";
      entry.listening[Symbol.dispose]();
      this.#buses.delete(name);
    } else {
      if (entry.device?.connected === true) return "EBUSY";
      entry.device?.put();
      this.#devices.delete(name);
    }
    this.#tell("remove", `config/${kind}/${name}`);
    return 0;
  }

  /** Puts a device on a bus. @returns 0; `ENOENT`; `EINVAL` for a device without a type; `EBUSY`; what the device says */
  link(device: string, bus: string): 0 | ErrnoName {
    const [entry, name] = this.#deviceAt(device);
    const [, kind, busName = "", ...more] = parts(bus);
    const target = kind === "buses" && more.length === 0 ? this.#buses.get(busName) : undefined;
    if (entry === undefined || target === undefined) return "ENOENT";
    if (entry.device === undefined) return "EINVAL";
    const result = target.bus.connect(entry.device);
    if (isErrno(result)) return result;
    target.links.set(name, entry);
    this.#tell("add", `config/buses/${busName}/${name}`);
    return 0;
  }

  /** Takes a device off a bus. @returns 0; `ENOENT`; `EPERM` for one that was adopted */
  unlink(path: string): 0 | ErrnoName {
    const [root, kind, busName = "", name = "", ...more] = parts(path);
    const bus = root === "config" && kind === "buses" && more.length === 0 ? this.#buses.get(busName) : undefined;
    const entry = bus?.links.get(name);
    if (bus === undefined || entry?.device === undefined) return "ENOENT";
    if (entry.adopted) return "EPERM";
    bus.bus.disconnect(entry.device);
    bus.links.delete(name);
    this.#tell("remove", `config/buses/${busName}/${name}`);
    return 0;
  }

  /** @returns an attribute's value; undefined where there is none */
  read(path: string): string | undefined {
    const found = this.#find(path);
    return typeof found === "string" ? found : undefined;
  }

  /** @returns what is in a folder; undefined where there is none */
  list(path: string): readonly string[] | undefined {
    const found = this.#find(path);
    return typeof found === "object" ? Object.keys(found) : undefined;
  }

  /** Sets an attribute. A device's type is set once. @returns 0; `ENOENT`; `EINVAL`; `EPERM` where it can't be set; what the device says */
  write(path: string, value: string): 0 | ErrnoName {
    const [entry, name, attribute, ...more] = this.#deviceAt(path);
    if (entry === undefined || attribute === undefined || more.length > 0) return "ENOENT";
    const result = attribute === "type" ? this.#setType(entry, name, value) : store(entry.device?.attributes.get(attribute), value);
    if (result === 0) this.#tell("change", `config/devices/${name}/${attribute}`);
    return result;
  }

  /**
   * Runs commands, one a line: `mkdir PATH`, `rmdir PATH`, `write PATH VALUE`, `link DEVICE BUS`, `unlink PATH`.
   *
   * @throws {@link VbusError} `refused`: the line, and the errno; `invalid-argument` for a line that is no command
   */
  run(script: string): void {
    for (const line of script.split("\n").map((each) => each.trim())) {
      if (line === "" || line.startsWith("#")) continue;
      const [command = "", first = "", ...rest] = line.split(/\s+/);
      const result = this.#command(command, first, rest.join(" "));
      if (result === undefined)
        throw new VbusError("invalid-argument", `"${line}" is no command: give mkdir, rmdir, write, link or unlink, and a path`);
      if (isErrno(result)) throw new VbusError("refused", `"${line}" was refused: ${result}`);
    }
  }

  /** Tells of what comes, goes and is written, from now on. */
  watch(listener: (event: AdminEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** The whole tree, drawn. */
  toString(): string {
    return drawTree(this.#root());
  }

  /** Takes down what it made. Idempotent. */
  [Symbol.dispose](): void {
    for (const [busName, { bus, links, listening }] of this.#buses) {
      for (const [name, { device, adopted }] of links) {
        if (!adopted && device !== undefined) bus.disconnect(device);
        links.delete(name);
      }
      listening[Symbol.dispose]();
      this.#buses.delete(busName);
    }
    for (const { device, adopted } of this.#devices.values()) if (!adopted) device?.put();
    this.#devices.clear();
    this.#listeners.clear();
  }

  #command(command: string, first: string, rest: string): 0 | ErrnoName | undefined {
    switch (command) {
      case "mkdir":
        return this.mkdir(first);
      case "rmdir":
        return this.rmdir(first);
      case "write":
        return this.write(first, rest);
      case "link":
        return this.link(first, rest);
      case "unlink":
        return this.unlink(first);
      default:
        return undefined;
    }
  }

  #root(): TreeFolder {
    const devices = [...this.#devices].map(([name, { device }]) => [name, folderOf(device)]);
    const buses = [...this.#buses].map(([name, { links }]) => {
      const linked = [...links.keys()].map((each) => [each, `-> config/devices/${each}`]);
      return [name, Object.fromEntries(linked)];
    });
    const shown = [...this.#buses].map(([name, { bus }]) => {
      const entries = bus.entries.map(({ id, shown: { name: label, type } }) => [`${id}`, { name: label, type }]);
      return [name, Object.fromEntries(entries)];
    });
    return { config: { devices: Object.fromEntries(devices), buses: Object.fromEntries(buses) }, sys: Object.fromEntries(shown) };
  }

  #find(path: string): TreeNode | undefined {
    let found: TreeNode | undefined = this.#root();
    for (const part of parts(path)) {
      if (found === undefined || typeof found === "string") return undefined;
      found = Object.hasOwn(found, part) ? found[part] : undefined;
    }
    return found;
  }

  #deviceAt(path: string): [DeviceEntry | undefined, string, ...string[]] {
    const [root, kind, name = "", ...more] = parts(path);
    return [root === "config" && kind === "devices" ? this.#devices.get(name) : undefined, name, ...more];
  }

  #setType(entry: DeviceEntry, name: string, type: string): 0 | ErrnoName {
    if (entry.device !== undefined) return "EINVAL";
    const devclass = this.#classes.get(type);
    if (devclass === undefined) return "ENOENT";
    entry.device = devclass.create(name);
    return 0;
  }

  #addBus(name: string, bus: Vbus, adopted: boolean): void {
    const listening = bus.watch(({ kind, id }) => this.#tell(kind === "devadd" ? "add" : "remove", `sys/${name}/${id}`));
    this.#buses.set(name, { bus, links: new Map(), adopted, listening });
    this.#tell("add", `config/buses/${name}`);
  }

  #requireFree(map: ReadonlyMap<string, unknown>, name: string): void {
    if (!NAME.test(name) || map.has(name))
      throw new VbusError("invalid-argument", `"${name}" can't be a name here: give one without spaces and slashes that nobody has`);
  }

  #tell(action: AdminEvent["action"], path: string): void {
    for (const listener of [...this.#listeners]) listener({ action, path });
  }
}

const parts = (path: string): string[] => path.split("/").filter((part) => part !== "");

function folderOf(device: VbusDevice | undefined): TreeFolder {
  if (device === undefined) return { type: "" };
  return { type: device.type, ...Object.fromEntries([...device.attributes].map(([name, { show }]) => [name, show()])) };
}

function store(attribute: VbusAttribute | undefined, value: string): 0 | ErrnoName {
  if (attribute === undefined) return "ENOENT";
  return attribute.store === undefined ? "EPERM" : attribute.store(value);
}
