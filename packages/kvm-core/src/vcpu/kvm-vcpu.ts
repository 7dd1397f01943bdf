/** A vCPU as its machine has it: its descriptor, and a thread that runs it, made when it is first needed. @module */
import { type MessagePort, Worker } from "node:worker_threads";
import { type DeviceFile, type DeviceMapping, interruptThread } from "@virtspace/host-linux";
import type { MachineEnd, Vcpu, X86Registers } from "@virtspace/hypervisor";
import { Kvm, Run } from "../kvm/kvm-layout.ts";
import { ExitChannel, type Perform } from "./exit-channel.ts";
import { readRegisters, writeRegisters } from "./kvm-registers.ts";
import type { ThreadModules } from "./thread-spaces.ts";
import type { FromVcpuThread, ToVcpuThread, VcpuThreadStart } from "./vcpu-messages.ts";

/** The thread's file: beside this one, and of its kind (source, or built). */
const THREAD = new URL(`./vcpu-thread${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url);

/** What a vCPU asks of its machine. */
export interface KvmVcpuOwner {
  readonly perform: Perform;
  /** @throws {@link HypervisorError} `running`, `closed` */
  requireStopped(): void;
  /** What the vCPU's thread attaches and loads, where it has handlers of its own. */
  threadModules(): { readonly modules: ThreadModules; readonly transfer: readonly unknown[] } | undefined;
  /** The vCPU left the guest, by itself where there is an end. */
  left(end: MachineEnd | undefined): void;
}

/** A vCPU. */
export class KvmVcpu implements Vcpu, AsyncDisposable {
  readonly index: number;
  /** For requests while it is not in the guest. */
  readonly device: DeviceFile;
  readonly #owner: KvmVcpuOwner;
  readonly #run: DataView;
  readonly #channel = new ExitChannel();
  readonly #mapLength: number;
  #thread: Worker | undefined;
  #gone: Promise<unknown> | undefined;
  #wanted = false;
  /** From when the thread is told to run until it says that it stopped. */
  #inGuest: PromiseWithResolvers<void> | undefined;

  /** @param mapping - `struct kvm_run`; its owner unmaps it, and closes the device, after the vCPU was disposed */
  constructor(index: number, device: DeviceFile, mapping: DeviceMapping, owner: KvmVcpuOwner) {
    this.index = index;
    this.device = device;
    this.#mapLength = mapping.bytes.length;
    this.#run = new DataView(mapping.bytes.buffer);
    this.#owner = owner;
  }

  get portAccesses(): number {
    return this.#channel.portAccesses;
  }

  get memoryAccesses(): number {
    return this.#channel.memoryAccesses;
  }

  async registers(): Promise<X86Registers> {
    this.#owner.requireStopped();
    return readRegisters(this.device);
  }

  async setRegisters(registers: Partial<X86Registers>): Promise<void> {
    this.#owner.requireStopped();
    writeRegisters(this.device, registers);
  }

  /** Enters the guest; where it is on its way out, once it is. */
  enter(): void {
    this.#wanted = true;
    if (this.#inGuest === undefined) this.#begin();
  }

  /** Takes the vCPU out of the guest. @returns once it is out */
  async leave(): Promise<void> {
    this.kickOut();
    await this.#inGuest?.promise;
  }

  /** As {@link leave}, without waiting: for a process that ends. */
  kickOut(): void {
    this.#wanted = false;
    this.#channel.stop = true;
    this.kick();
  }

  /** Has the vCPU's thread look at what has happened, and enter the guest again. */
  kick(): void {
    this.#run.setUint8(Run.immediateExit, 1);
    if (this.#channel.thread !== 0) interruptThread(this.#channel.thread);
  }

  /** Completes an access that the guest is in the midst of: its state is whole then. */
  complete(): void {
    this.#run.setUint8(Run.immediateExit, 1);
    this.device.repeated(Kvm.RUN)();
    this.#run.setUint8(Run.immediateExit, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave();
    if (this.#thread !== undefined) {
      this.#send("end");
      await this.#gone;
    }
    this.#channel.close();
  }

  #begin(): void {
    this.#inGuest = Promise.withResolvers();
    this.#channel.stop = false;
    this.#send("run");
  }

  #send(message: ToVcpuThread): void {
    this.#thread ??= this.#start();
    this.#thread.postMessage(message);
  }

  #start(): Worker {
    const loaded = this.#owner.threadModules();
    const workerData: VcpuThreadStart = {
      index: this.index,
      fd: this.device.number,
      mapLength: this.#mapLength,
      buffer: this.#channel.buffer,
      ...(loaded !== undefined && { modules: loaded.modules }),
    };
    // Options of the program's own may make no sense for a file: --input-type, say.
    const thread = new Worker(THREAD, {
      workerData,
      name: `vcpu ${this.index}`,
      execArgv: [],
      transferList: [...((loaded?.transfer ?? []) as MessagePort[])],
    });
    thread.on("message", ({ stopped }: FromVcpuThread) => this.#left(stopped));
    thread.on("error", (error) => this.#left({ reason: "engine-failed", message: `a vCPU's thread failed: ${error.message}` }));
    // Not by events.once: that fails where the thread does.
    this.#gone = new Promise((resolve) => void thread.once("exit", resolve));
    void this.#channel.serve(this.#owner.perform);
    return thread;
  }

  #left(end: MachineEnd | undefined): void {
    const inGuest = this.#inGuest;
    this.#inGuest = undefined;
    this.#owner.left(end);
    inGuest?.resolve();
    if (this.#wanted && end === undefined) this.#begin();
  }
}
