/** How a machine stands while nobody runs it: what has to be the same in the new place. */
import { createHash } from "node:crypto";
import type { ComposedMachine, MachineSnapshot } from "@virtspace/composition";
import { type GuestAddress, gpa, KiB, type VirtAddressSpace } from "@virtspace/virt-address-space";

/** What it is about, and how that stands. */
export type Standing = Readonly<Record<string, string>>;

/** Where the guest laid a queue out in its memory. */
interface Ring {
  readonly name: string;
  /** What the driver writes: flags, then the index of what it offered. */
  readonly driver: GuestAddress;
  /** What the device writes: flags, then the index of what it gave back. */
  readonly device: GuestAddress;
}

/** The rings of a machine that was saved: its devices serve them no more, and the snapshot says where they are. */
export function savedRings({ devices }: ComposedMachine, snapshot: MachineSnapshot): Ring[] {
  return devices
    .filter((each) => each.bus === "virtio")
    .flatMap(({ device }, index) => {
      const queues = snapshot.devices[index]?.state.queues ?? [];
      return queues.flatMap(({ ready, driver, device: used }, number) =>
        ready ? [{ name: device.queues[number]?.name ?? "queue", driver: gpa(driver), device: gpa(used) }] : [],
      );
    });
}

/** The rings that a machine's devices serve. */
export function servedRings({ devices }: ComposedMachine): Ring[] {
  return devices
    .filter((each) => each.bus === "virtio")
    .flatMap(({ device, transport }) =>
      device.queues.flatMap(({ name }, number) => {
        const queue = transport.runner.queue(number);
        return queue === undefined ? [] : [{ name, driver: queue.rings.driver, device: queue.rings.device }];
      }),
    );
}

/** Looks at a machine that does not run. */
export async function standing({ memory, machine }: ComposedMachine, rings: readonly Ring[]): Promise<Standing> {
  const lines: Record<string, string> = { memory: digest(memory) };
  for (const vcpu of machine.vcpus) {
    const { rip, rsp } = await vcpu.registers();
    lines[`vcpu ${vcpu.index}`] = `rip ${hex(rip)}, rsp ${hex(rsp)}`;
  }
  for (const { name, driver, device } of rings) {
    const [offered, back] = [memory.readU16(gpa(driver + 2)), memory.readU16(gpa(device + 2))];
    lines[name] = `ring at ${hex(driver)}: ${offered} buffers offered, ${back} given back`;
  }
  return lines;
}

/** The sum of all RAM. */
function digest(memory: VirtAddressSpace): string {
  const hash = createHash("sha256");
  let length = 0;
  for (const { start, end, region } of memory.view().ranges) {
    if (region.kind !== "ram") continue;
    const bytes = new Uint8Array(end - start);
    memory.copyFrom(start, bytes);
    hash.update(bytes);
    length += bytes.length;
  }
  return `${length / KiB} KiB, sha256 ${hash.digest("hex").slice(0, 16)}`;
}

const hex = (value: number | bigint): string => `0x${value.toString(16).padStart(8, "0")}`;
