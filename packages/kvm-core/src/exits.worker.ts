/** The counterpart of exits.c's loop: windows whose handlers do as little, in the vCPU's thread. */
import { gpa } from "@virtspace/virt-address-space";
import type { VcpuThreadModule } from "./index.ts";

const setUp: VcpuThreadModule = async ({ memory, ports }) => {
  let last = 0;
  const handler = {
    read: () => last,
    write: (_offset: number, _size: number, value: number) => {
      last = value;
    },
  };
  await ports.propose((change) => change.map({ kind: "io", name: "port", base: gpa(0x600), size: 4, handler }));
  await memory.propose((change) => change.map({ kind: "io", name: "window", base: gpa(0xd000_0000), size: 4096, handler }));
};
export default setUp;
