/** What a machine's parts ask of their host: each replaceable by a binding. @module */
import { AsyncDisposableStack, LocalNotifier } from "@virtspace/virt-address-space";
import { defaultRandom } from "@virtspace/virtio";
import { ContainerModule } from "inversify";
import { defaultMachineHost } from "../machine/machine-host.ts";
import { Service } from "../machine/services.ts";

/** Log, clock, chance and notifiers. */
export function surroundingsModule(): ContainerModule {
  return new ContainerModule(({ bind }) => {
    bind(Service.Teardown).toConstantValue(new AsyncDisposableStack());
    bind(Service.Log)
      .toResolvedValue(({ log }) => log, [Service.Surroundings])
      .inSingletonScope();
    bind(Service.Host).toConstantValue(defaultMachineHost);
    bind(Service.Random).toConstantValue(defaultRandom);
    bind(Service.Notifier).toConstantValue(() => new LocalNotifier());
  });
}
