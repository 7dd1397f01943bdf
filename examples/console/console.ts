/** A console device: ports that join streams of the host with a guest. Linux has them as /dev/hvc0 and /dev/vport0p1. */
import {
  ConfigBytes,
  type DefinedQueue,
  type DeviceParts,
  defineDevice,
  FeatureSet,
  VirtioDeviceType,
  type VirtioPlugin,
} from "@virtspace/virtio";
import { Control } from "./control.ts";
import { Feature } from "./format.ts";
import { Port, type PortOptions } from "./port.ts";

/** A console. */
export interface ConsoleOptions {
  /** The ports of a machine, by its name. A driver that knows no ports, only a console, has the first one. */
  ports(machine: string): readonly PortOptions[];
}

const QUEUE_SIZE = 64;

/** A console, for a machine's description or the command. */
export function virtioConsole({ ports: portsOf }: ConsoleOptions): VirtioPlugin {
  return defineDevice({
    name: "console",
    create({ machine, log }): DeviceParts {
      const ports = portsOf(machine).map((options) => new Port(options));
      const [first] = ports;
      if (first === undefined) throw new Error("a console has a port, or several: give one");
      for (const [number, { options }] of ports.entries()) {
        // Where the stream fails the port is closed, and the device goes on.
        options.stream.on("error", (cause) => log.warn(`port ${number} is lost`, { cause }));
      }
      const control = new Control(ports);
      const { stream } = first.options;
      const config = new ConfigBytes(12);
      config.data.setUint32(4, ports.length, true);
      const measure = (): void => {
        config.data.setUint16(0, stream.columns ?? 0, true);
        config.data.setUint16(2, stream.rows ?? 0, true);
      };
      measure();
      return {
        type: VirtioDeviceType.Console,
        features: FeatureSet.of(Feature.Multiport, ...(stream.columns === undefined ? [] : [Feature.Size])),
        queues: queuesOf(ports.length),
        config,
        start({ queues, features, configChanged }) {
          const pair = (name: string): [DefinedQueue, DefinedQueue] =>
            [queues[`${name} in`], queues[`${name} out`]] as [DefinedQueue, DefinedQueue];
          using stack = new DisposableStack();
          for (const [number, port] of ports.entries()) stack.defer(port.serve(...pair(`port ${number}`)));
          stack.defer(control.serve(...pair("control")));
          const resized = (): void => {
            measure();
            configChanged();
          };
          stream.on("resize", resized);
          stack.defer(() => stream.off("resize", resized));
          // Who knows nothing of opening has it open.
          if (!features.has(Feature.Multiport)) first.setOpened(true);
          const started = stack.move();
          return () => started.dispose();
        },
        stop() {
          for (const { options } of ports) options.stream.destroy();
        },
      };
    },
  });
}

/** The control queues stand between the first port's and the others'. */
function queuesOf(ports: number): { readonly name: string; readonly size: number }[] {
  const [first, ...others] = Array.from({ length: ports }, (_, number) => `port ${number}`);
  return [first, "control", ...others].flatMap((name) => ["in", "out"].map((way) => ({ name: `${name} ${way}`, size: QUEUE_SIZE })));
}
