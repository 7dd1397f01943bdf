/** The spaces of a machine, and the hypervisor that runs from them. @module */
import { GiB, gpa, type MemoryProvider, VirtAddressSpace } from "@virtspace/virt-address-space";
import { ContainerModule } from "inversify";
import { passSpace } from "../machine/pass-space.ts";
import { Service } from "../machine/services.ts";

const PORTS = 0x1_0000;
/** From here to 4 GiB there are devices and interrupt controllers: more memory goes above. */
const LOW_MEMORY = 3 * GiB;

/** Memory, ports, hypervisor and its machine. */
export function engineModule(): ContainerModule {
  return new ContainerModule(({ bind }) => {
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
        async ({ name = "machine", memory: size, regions = [] }, { onFault }, hypervisor, teardown) => {
          const memory = await hypervisor.createMemory(size);
          const space = teardown.use(VirtAddressSpace.create({ name, onFault }));
          mapRam(space, memory);
          for (const region of regions) space.map(region);
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
        async ({ vcpus = 1 }, hypervisor, space, portSpace, teardown) => {
          // The machine binds to them, and has a hold of its own then.
          using memory = await passSpace(space, hypervisor.name);
          using ports = await passSpace(portSpace, hypervisor.name);
          return teardown.use(await hypervisor.createMachine({ memory, ports, vcpus }));
        },
        [Service.Description, Service.Hypervisor, Service.Memory, Service.Ports, Service.Teardown],
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
