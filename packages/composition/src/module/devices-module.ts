/** The devices of a machine, and the bus that some of them are on. @module */
import type { VbusFault } from "@virtspace/vbus";
import { type Container, ContainerModule, type Newable } from "inversify";
import { DeviceRack } from "../device/device-rack.ts";
import { DeviceSlots } from "../device/device-slots.ts";
import { MachineBus } from "../device/machine-bus.ts";
import { bindingError } from "../machine/binding-error.ts";
import { passSpace } from "../machine/pass-space.ts";
import { Service } from "../machine/services.ts";

/** Slots, bus and rack. @param container - the machine's: it makes devices whose classes have things injected */
export function devicesModule(container: Container): ContainerModule {
  return new ContainerModule(({ bind }) => {
    bind(Service.Slots).toConstantValue(new DeviceSlots());
    bind(Service.Bus)
      .toResolvedValue(
        async ({ name: machine = "machine", devices = [], vbus = devices.some(({ bus }) => bus === "vbus") }, ...parts) => {
          if (!vbus) return undefined;
          const [space, ports, vm, slots, host, notifier, log, teardown] = parts;
          const name = `${machine}'s bus`;
          const memory = teardown.use(await passSpace(space, name));
          const onFault = ({ name, cause }: VbusFault): void => log.error(`${name} failed`, { cause });
          const bus = teardown.use(new MachineBus({ name, memory, ports, vm, host, notifier, onFault, slot: slots.takeBridge() }));
          if (typeof vbus === "function") vbus(bus.admin);
          return bus;
        },
        [
          Service.Description,
          Service.Memory,
          Service.Ports,
          Service.Machine,
          Service.Slots,
          Service.Host,
          Service.Notifier,
          Service.Log,
          Service.Teardown,
        ],
      )
      .inSingletonScope();
    bind(Service.Devices)
      .toResolvedValue(
        async ({ name: machine = "machine", devices = [], stopMilliseconds }, { network }, ...parts) => {
          const [memory, vm, slots, bus, host, notifier, log, random, teardown] = parts;
          const surroundings = { machine, network, log, random };
          const make = <T>(made: Newable<T>): T => {
            if (!container.isCurrentBound(made)) container.bind(made).toSelf();
            try {
              return container.get(made);
            } catch (error) {
              throw bindingError(error);
            }
          };
          const rack = teardown.use(new DeviceRack({ memory, vm, slots, bus, host, notifier, surroundings, make, stopMilliseconds }));
          for (const each of devices) await rack.add(each);
          return rack;
        },
        [
          Service.Description,
          Service.Surroundings,
          Service.Memory,
          Service.Machine,
          Service.Slots,
          Service.Bus,
          Service.Host,
          Service.Notifier,
          Service.Log,
          Service.Random,
          Service.Teardown,
        ],
      )
      .inSingletonScope();
  });
}
