/** Puts a machine together, loads its guest, and lets it run. @module */
import { Container } from "inversify";
import { devicesModule } from "../module/devices-module.ts";
import { engineModule } from "../module/engine-module.ts";
import { platformModule } from "../module/platform-module.ts";
import { surroundingsModule } from "../module/surroundings-module.ts";
import { bindingError } from "./binding-error.ts";
import type { ComposedMachine } from "./composed-machine.ts";
import { type MachineDescription, requireDescription } from "./machine-description.ts";
import { restoreMachine, saveMachine } from "./machine-snapshot.ts";
import { completed, type MachineSurroundings } from "./machine-surroundings.ts";
import { Service } from "./services.ts";

/**
 * Puts a machine together from its description. The guest is loaded, or restored, and stands still: `machine.machine.run()` lets it go.
 *
 * What fails on the way takes down what was made before, in the reverse order.
 *
 * @throws {@link CompositionError}; what the hypervisor, the loader and the devices say
 */
export async function compose(description: MachineDescription, surroundings: MachineSurroundings = {}): Promise<ComposedMachine> {
  const { name = "machine", vcpus = 1, boot, modules = [] } = requireDescription(description);
  const container = new Container(surroundings.container === undefined ? {} : { parent: surroundings.container });
  container.bind(Service.Description).toConstantValue(description);
  container.bind(Service.Surroundings).toConstantValue(completed(surroundings));
  await container.load(surroundingsModule(), engineModule(), platformModule(), devicesModule(container));
  const teardown = container.get(Service.Teardown);
  try {
    await container.load(...modules);
    const hypervisor = await container.getAsync(Service.Hypervisor);
    const memory = await container.getAsync(Service.Memory);
    const ports = await container.getAsync(Service.Ports);
    const machine = await container.getAsync(Service.Machine);
    const rack = await container.getAsync(Service.Devices);
    const bus = await container.getAsync(Service.Bus);
    const console = await container.getAsync(Service.Console);
    await container.getAsync(Service.Timer);
    await container.getAsync(Service.Clock);
    const power = await container.getAsync(Service.Power);
    await container.getAsync(Service.Reset);
    const exit = await container.getAsync(Service.Exit);
    const devices = rack.devices.filter((each) => each.bus === "virtio");
    if (surroundings.from === undefined) await machine.vcpus[0]?.setRegisters(boot.load(memory, { vcpus, devices, bridge: bus?.slot }));
    else await restoreMachine(container, surroundings.from);
    const outcome = Promise.race([container.get(Service.Left).promise, machine.ended]);
    return {
      ...{ name, container, hypervisor, memory, ports, machine, bus, console, power, exit, outcome },
      get devices() {
        return rack.devices;
      },
      add: (plugin) => rack.add(plugin),
      remove: (device) => rack.remove(device),
      save: () => saveMachine(container),
      [Symbol.asyncDispose]: () => teardown.disposeAsync(),
    };
  } catch (error) {
    // What fails on the way down, too, must not hide why.
    await teardown.disposeAsync().catch(() => {});
    throw bindingError(error);
  }
}

/**
 * As {@link compose}, and the guest runs.
 *
 * @throws as {@link compose} does
 */
export async function boot(description: MachineDescription, surroundings: MachineSurroundings = {}): Promise<ComposedMachine> {
  const composed = await compose(description, surroundings);
  composed.machine.run();
  return composed;
}
