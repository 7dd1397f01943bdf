/** A machine's spaces in a vCPU's thread, which seldom returns to its event loop. @module */
import { receiveMessageOnPort } from "node:worker_threads";
import { EventLoopPoller, eventFdOpener, memfdOpener } from "@virtspace/host-linux";
import { type SpaceDescriptor, VirtAddressSpace } from "@virtspace/virt-address-space";
import { Access, type ExitChannel, type Perform } from "./exit-channel.ts";
import { performerOf } from "./space-access.ts";
import type { VcpuThreadModule } from "./thread-module.ts";

/** What a thread attaches, and loads. */
export interface ThreadModules {
  readonly memory: SpaceDescriptor;
  readonly ports: SpaceDescriptor;
  /** URLs of modules whose default export is a `VcpuThreadModule`. */
  readonly modules: readonly string[];
}

/** The spaces of one thread. Dispose them to let go. */
export class ThreadSpaces implements Disposable {
  readonly #memory: VirtAddressSpace;
  readonly #ports: VirtAddressSpace;

  private constructor(memory: VirtAddressSpace, ports: VirtAddressSpace) {
    this.#memory = memory;
    this.#ports = ports;
  }

  /** Attaches the spaces, and has each module map what it wants. Throws what a module throws. */
  static async attach(vcpu: number, { memory, ports, modules }: ThreadModules): Promise<ThreadSpaces> {
    const options = {
      name: `vcpu ${vcpu}`,
      memory: [memfdOpener],
      notifiers: [eventFdOpener(new EventLoopPoller())],
      receive: receiveMessageOnPort,
    };
    const spaces = new ThreadSpaces(await VirtAddressSpace.attach(memory, options), await VirtAddressSpace.attach(ports, options));
    for (const url of modules) {
      const { default: setUp } = (await import(url)) as { readonly default?: VcpuThreadModule };
      if (typeof setUp !== "function") throw new TypeError(`${url} has no function as its default export`);
      await setUp({ vcpu, memory: spaces.#memory, ports: spaces.#ports });
    }
    return spaces;
  }

  /** Performs an access here where its handler is, and has the other thread do the rest. */
  performer(channel: ExitChannel): Perform {
    const here = performerOf(this.#memory, this.#ports);
    return (access) => {
      this.follow();
      const space = access.kind === Access.readPort || access.kind === Access.writePort ? this.#ports : this.#memory;
      if (space.view().find(access.address)?.handler === undefined) channel.forward(access);
      else here(access);
    };
  }

  /** Takes in what was committed: nobody waits for this thread then. */
  follow(): void {
    if (!this.#memory.current) this.#memory.quiesce();
    if (!this.#ports.current) this.#ports.quiesce();
  }

  [Symbol.dispose](): void {
    this.#memory[Symbol.dispose]();
    this.#ports[Symbol.dispose]();
  }
}
