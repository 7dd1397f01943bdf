/** Puts a machine together, loads its guest, and lets it run. @module */
import { Container } from "inversify";
import type { ComposedMachine } from "./composed-machine.ts";
import { type MachineDescription, requireDescription } from "./machine-description.ts";
import { machineModule } from "./machine-module.ts";
import { completed, type MachineSurroundings } from "./machine-surroundings.ts";
import { Service } from "./services.ts";

/**
 * Puts a machine together from its description. The guest is loaded and stands still: `machine.machine.run()` lets it go.
 *
 * What fails on the way takes down what was made before, in the reverse order.
 *
 * @throws {@link CompositionError}; what the hypervisor, the loader and the devices say
 */
export async function compose(description: MachineDescription, surroundings: MachineSurroundings = {}): Promise<ComposedMachine> {
  const { name = "machine", vcpus = 1, boot } = requireDescription(description);
  const container = new Container();
  container.bind(Service.Description).toConstantValue(description);
  container.bind(Service.Surroundings).toConstantValue(completed(surroundings));
  await container.load(machineModule());
  const teardown = container.get(Service.Teardown);
  try {
    const hypervisor = await container.getAsync(Service.Hypervisor);
    const memory = await container.getAsync(Service.Memory);
    const ports = container.get(Service.Ports);
    const machine = await container.getAsync(Service.Machine);
    const devices = await container.getAsync(Service.Devices);
    const console = await container.getAsync(Service.Console);
    await container.getAsync(Service.Timer);
    await container.getAsync(Service.Clock);
    const power = await container.getAsync(Service.Power);
    container.get(Service.Reset);
    const exit = container.get(Service.Exit);
    await machine.vcpus[0]?.setRegisters(boot.load(memory, { vcpus, devices }));
    const outcome = Promise.race([container.get(Service.Left).promise, machine.ended]);
    const parts = { name, hypervisor, memory, ports, machine, devices, console, power, exit, outcome };
    return { ...parts, [Symbol.asyncDispose]: () => teardown.disposeAsync() };
  } catch (error) {
    await teardown.disposeAsync();
    throw error;
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
