/** The small PC around the vCPUs. @module */
import { AcpiPower, CMOS, Cmos, COM1, ExitPort, PIT_IRQ, Pit, POWER, ResetPorts, Uart } from "@virtspace/pc-platform";
import { ContainerModule } from "inversify";
import { Service } from "../machine/services.ts";

/** Serial port, timer, clock, power, reset and exit. */
export function platformModule(): ContainerModule {
  return new ContainerModule(({ bind }) => {
    bind(Service.Left).toConstantValue(Promise.withResolvers());
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
        (hypervisor, ports, machine, host, teardown) => {
          // Some engines have one of their own.
          if (hypervisor.features.pit) return undefined;
          const line = teardown.use(machine.line(PIT_IRQ));
          return teardown.use(new Pit({ ports, host, interrupt: () => line.pulse() }));
        },
        [Service.Hypervisor, Service.Ports, Service.Machine, Service.Host, Service.Teardown],
      )
      .inSingletonScope();
    bind(Service.Clock)
      .toResolvedValue(
        (ports, machine, host, teardown) => {
          const line = teardown.use(machine.line(CMOS.irq));
          return teardown.use(new Cmos({ ports, host, interrupt: (up) => line.setLevel(up) }));
        },
        [Service.Ports, Service.Machine, Service.Host, Service.Teardown],
      )
      .inSingletonScope();
    bind(Service.Power)
      .toResolvedValue(
        (ports, machine, host, left, teardown) => {
          const line = teardown.use(machine.line(POWER.irq));
          const onPowerOff = (): void => left.resolve({ reason: "powered-off" });
          return teardown.use(new AcpiPower({ ports, host, onPowerOff, interrupt: (up) => line.setLevel(up) }));
        },
        [Service.Ports, Service.Machine, Service.Host, Service.Left, Service.Teardown],
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
  });
}
