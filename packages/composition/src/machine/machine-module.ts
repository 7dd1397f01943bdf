/** How the services of a machine are made from each other. @module */
import { AcpiPower, CMOS, Cmos, COM1, ExitPort, PIT_IRQ, Pit, POWER, ResetPorts, Uart } from "@virtspace/pc-platform";
import { GiB, gpa, type MemoryProvider, VirtAddressSpace } from "@virtspace/virt-address-space";
import { VirtioMmio } from "@virtspace/virtio";
import { ContainerModule } from "inversify";
import { deviceSlot } from "../device/device-slots.ts";
import type { AttachedDevice } from "./composed-machine.ts";
import { Service } from "./services.ts";

const PORTS = 0x1_0000;
/** From here to 4 GiB there are devices and interrupt controllers: more memory goes above. */
const LOW_MEMORY = 3 * GiB;

/** Each service is made once, when the first asks for it, and what it holds is given back by the teardown stack. */
export function machineModule(): ContainerModule {
  return new ContainerModule(({ bind }) => {
    bind(Service.Teardown).toConstantValue(new AsyncDisposableStack());
    bind(Service.Left).toConstantValue(Promise.withResolvers());
    bind(Service.Hypervisor)
      .toResolvedValue(
        async ({ hypervisor }, teardown) => {
          const opened = await hypervisor.open();
          teardown.defer(() => (opened as Partial<Disposable>)[Symbol.dispose]?.());
          return opened;
        },
        [Service.Description, Service.Teardown],
      )
      .inSingletonScope();
    bind(Service.Memory)
      .toResolvedValue(
        async ({ name = "machine", memory: size }, { onFault }, hypervisor, teardown) => {
          const memory = await hypervisor.createMemory(size);
          const space = teardown.use(VirtAddressSpace.create({ name, onFault }));
          mapRam(space, memory);
          return space;
        },
        [Service.Description, Service.Surroundings, Service.Hypervisor, Service.Teardown],
      )
      .inSingletonScope();
    bind(Service.Ports)
      .toResolvedValue(
        ({ name = "machine" }, { onFault }, teardown) =>
          teardown.use(VirtAddressSpace.create({ name: `${name}'s ports`, size: PORTS, onFault })),
        [Service.Description, Service.Surroundings, Service.Teardown],
      )
      .inSingletonScope();
    bind(Service.Machine)
      .toResolvedValue(
        async ({ vcpus = 1 }, hypervisor, memory, ports, teardown) =>
          teardown.use(await hypervisor.createMachine({ memory, ports, vcpus })),
        [Service.Description, Service.Hypervisor, Service.Memory, Service.Ports, Service.Teardown],
      )
      .inSingletonScope();
    bind(Service.Console)
      .toResolvedValue(
        (ports, machine, { onConsole, onConsoleRoom }, teardown) => {
          const line = teardown.use(machine.line(COM1.irq));
          return teardown.use(new Uart({ ports, onByte: onConsole, onRoom: onConsoleRoom, interrupt: (up) => line.setLevel(up) }));
        },
        [Service.Ports, Service.Machine, Service.Surroundings, Service.Teardown],
      )
      .inSingletonScope();
    bind(Service.Timer)
      .toResolvedValue(
        (hypervisor, ports, machine, teardown) => {
          // Some engines have one of their own.
          if (hypervisor.features.pit) return undefined;
          const line = teardown.use(machine.line(PIT_IRQ));
          return teardown.use(new Pit({ ports, interrupt: () => line.pulse() }));
        },
        [Service.Hypervisor, Service.Ports, Service.Machine, Service.Teardown],
      )
      .inSingletonScope();
    bind(Service.Clock)
      .toResolvedValue(
        (ports, machine, teardown) => {
          const line = teardown.use(machine.line(CMOS.irq));
          return teardown.use(new Cmos({ ports, interrupt: (up) => line.setLevel(up) }));
        },
        [Service.Ports, Service.Machine, Service.Teardown],
      )
      .inSingletonScope();
    bind(Service.Power)
      .toResolvedValue(
        (ports, machine, left, teardown) => {
          const line = teardown.use(machine.line(POWER.irq));
          const onPowerOff = (): void => left.resolve({ reason: "powered-off" });
          return teardown.use(new AcpiPower({ ports, onPowerOff, interrupt: (up) => line.setLevel(up) }));
        },
        [Service.Ports, Service.Machine, Service.Left, Service.Teardown],
      )
      .inSingletonScope();
    bind(Service.Reset)
      .toResolvedValue(
        (ports, left, teardown) => teardown.use(new ResetPorts({ ports, onReset: () => left.resolve({ reason: "reset" }) })),
        [Service.Ports, Service.Left, Service.Teardown],
      )
      .inSingletonScope();
    bind(Service.Exit)
      .toResolvedValue(
        (ports, left, teardown) => teardown.use(new ExitPort({ ports, onExit: (status) => left.resolve({ reason: "left", status }) })),
        [Service.Ports, Service.Left, Service.Teardown],
      )
      .inSingletonScope();
    bind(Service.Devices)
      .toResolvedValue(
        ({ name = "machine", devices = [] }, { network, log }, memory, machine, teardown) =>
          devices.map((each, index): AttachedDevice => {
            const slot = deviceSlot(index);
            const device = each.create({ machine: name, network });
            teardown.defer(() => (device as Partial<Disposable>)[Symbol.dispose]?.());
            teardown.use(memory.bind({ name: each.name }));
            const line = teardown.use(machine.line(slot.irq));
            const interrupt = (up: boolean): void => line.setLevel(up);
            return { ...slot, device, transport: teardown.use(new VirtioMmio({ space: memory, base: slot.base, device, interrupt, log })) };
          }),
        [Service.Description, Service.Surroundings, Service.Memory, Service.Machine, Service.Teardown],
      )
      .inSingletonScope();
  });
}

/** RAM from address 0, and from 4 GiB what is too much for below. */
function mapRam(space: VirtAddressSpace, memory: MemoryProvider): void {
  const low = Math.min(memory.size, LOW_MEMORY);
  space.map({ name: "ram", base: gpa(0), memory, size: low });
  if (memory.size > low) space.map({ name: "high ram", base: gpa(4 * GiB), memory, offset: low });
}
