/** Handlers for a vCPU's thread: a port and a memory window that answer what was written to them, and one. */
import { gpa, type IoHandler } from "@virtspace/virt-address-space";
import type { VcpuThreadModule } from "./thread-module.ts";

const setUp: VcpuThreadModule = async ({ memory, ports }) => {
  let last = 0;
  const handler: IoHandler = {
    read: () => last + 1,
    write: (_offset, _size, value) => {
      last = value;
    },
  };
  await ports.propose((change) => change.map({ kind: "io", name: "thread's port", base: gpa(0x600), size: 4, handler }));
  await memory.propose((change) => change.map({ kind: "io", name: "thread's window", base: gpa(0xd000_0000), size: 4096, handler }));
};
export default setUp;
