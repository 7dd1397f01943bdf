/** What a machine has around it. @module */
import type { NetworkBackend } from "@virtspace/network";
import type { SpaceFault } from "@virtspace/virt-address-space";
import { type Logger, silentLogger } from "@virtspace/virtio";
import type { Container } from "inversify";
import type { MachineSnapshot } from "./machine-snapshot.ts";

/** What a machine has around it. */
export interface MachineSurroundings {
  /** Told of each byte that the guest writes to its console: `consoleLines` makes lines of them. */
  readonly onConsole?: (byte: number) => void;
  /** Told when the console has room again for what the guest is to read. */
  readonly onConsoleRoom?: () => void;
  /** What each network is plugged through: `(backend) => captured(backend, writer)`, say. */
  readonly network?: (backend: NetworkBackend) => NetworkBackend;
  /** Says what devices do; silent unless given. */
  readonly log?: Logger;
  /** Told of what a plug-in's code did wrong. */
  readonly onFault?: (fault: SpaceFault) => void;
  /** A container of yours: the machine's is a child of it, and sees what is bound there. */
  readonly container?: Container | undefined;
  /** A machine of the same description that was saved: this one goes on where it stood, and loads no guest. */
  readonly from?: MachineSnapshot | undefined;
}

/** What is not given. */
export function completed(surroundings: MachineSurroundings): Required<MachineSurroundings> {
  return {
    onConsole: () => {},
    onConsoleRoom: () => {},
    network: (backend) => backend,
    log: silentLogger,
    onFault: () => {},
    container: undefined,
    from: undefined,
    ...surroundings,
  };
}
