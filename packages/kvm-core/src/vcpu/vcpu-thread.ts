/** A vCPU's thread: it runs the guest, and has accesses performed. @module */
import { parentPort, workerData } from "node:worker_threads";
import { DeviceFile, DeviceMapping, NativeBlock, threadId } from "@virtspace/host-linux";
import { Kvm, Size } from "../kvm/kvm-layout.ts";
import { ExitChannel } from "./exit-channel.ts";
import { ThreadSpaces } from "./thread-spaces.ts";
import { runVcpu, type VcpuParts } from "./vcpu-loop.ts";
import type { FromVcpuThread, ToVcpuThread, VcpuThreadStart } from "./vcpu-messages.ts";

const REGS_RIP = 128;
const { index, fd, mapLength, buffer, modules } = workerData as VcpuThreadStart;
const port = parentPort;
if (port === null) throw new Error("this file is a thread of a machine, and not to be run by itself");

const spaces = modules === undefined ? undefined : await ThreadSpaces.attach(index, modules);
const vcpu = new DeviceFile(fd);
const mapping = new DeviceMapping(vcpu, mapLength);
const registers = new NativeBlock(Size.regs);
const channel = new ExitChannel(buffer);
channel.thread = threadId();
const parts: VcpuParts = {
  index,
  enter: vcpu.repeated(Kvm.RUN),
  run: new DataView(mapping.bytes.buffer),
  channel,
  perform: spaces?.performer(channel) ?? ((access) => channel.forward(access)),
  kicked: () => spaces?.follow(),
  instructionPointer: () => {
    vcpu.control("KVM_GET_REGS", Kvm.GET_REGS, registers);
    return Number(registers.view.getBigUint64(REGS_RIP, true));
  },
};

function end(): void {
  spaces?.[Symbol.dispose]();
  mapping[Symbol.dispose]();
  registers[Symbol.dispose]();
  // The descriptor itself is the machine's.
  vcpu.release();
  port?.close();
}

port.on("message", (message: ToVcpuThread) => {
  if (message === "end") end();
  else port.postMessage({ stopped: runVcpu(parts) } satisfies FromVcpuThread);
});
