/** A vCPU's thread: it runs the guest, and has accesses performed. @module */
import { parentPort, workerData } from "node:worker_threads";
import { DeviceFile, DeviceMapping, NativeBlock, threadId } from "@virtspace/host-linux";
import { Kvm, Size } from "../kvm/kvm-layout.ts";
import { ExitChannel } from "./exit-channel.ts";
import { runVcpu } from "./vcpu-loop.ts";
import type { FromVcpuThread, ToVcpuThread, VcpuThreadStart } from "./vcpu-messages.ts";

const REGS_RIP = 128;
const { index, fd, mapLength, buffer } = workerData as VcpuThreadStart;
const port = parentPort;
if (port === null) throw new Error("this file is a thread of a machine, and not to be run by itself");

const vcpu = new DeviceFile(fd);
const mapping = new DeviceMapping(vcpu, mapLength);
const run = new DataView(mapping.bytes.buffer);
const registers = new NativeBlock(Size.regs);
const channel = new ExitChannel(buffer);
channel.thread = threadId();
const enter = vcpu.repeated(Kvm.RUN);

port.on("message", (message: ToVcpuThread) => {
  if (message === "end") {
    mapping[Symbol.dispose]();
    registers[Symbol.dispose]();
    // The descriptor itself is the machine's.
    vcpu.release();
    port.close();
    return;
  }
  const end = runVcpu({
    index,
    enter,
    run,
    channel,
    perform: (access) => channel.forward(access),
    kicked: () => {},
    instructionPointer: () => {
      vcpu.control("KVM_GET_REGS", Kvm.GET_REGS, registers);
      return Number(registers.view.getBigUint64(REGS_RIP, true));
    },
  });
  port.postMessage({ stopped: end } satisfies FromVcpuThread);
});
