/** The other process of the tests: attaches a space at a socket, and does what it is told. */
import { readdirSync } from "node:fs";
import { gpa, sharedMemory, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { EventFdNotifier, EventLoopPoller, memfdMemory, takeSpace, UnixSocket } from "../index.ts";

const poller = new EventLoopPoller();
let space: VirtAddressSpace | undefined;
let batch: Disposable | undefined;

const taken = (): VirtAddressSpace => {
  if (space === undefined) throw new Error("no space yet");
  return space;
};

const deeds: Record<string, (...args: never[]) => unknown> = {
  attach: async (path: string) => {
    space = await takeSpace("the guest's memory", UnixSocket.connect(path), { name: "the other process", poller });
    return space.regions.length;
  },
  read: (address: number) => taken().readU32(gpa(address)) ?? null,
  write: (address: number, value: number) => taken().writeU32(gpa(address), value),
  hold: () => {
    batch = taken().batch();
  },
  letGo: () => batch?.[Symbol.dispose](),
  propose: async () => {
    const memory = memfdMemory(4096);
    memory.bytes()[0] = 77;
    await taken().propose((change) => change.map({ name: "from elsewhere", base: gpa(0x5000_0000), memory }));
  },
  proposeThreads: () =>
    taken()
      .propose((change) => change.map({ name: "no", base: gpa(0x6000_0000), memory: sharedMemory(4096) }))
      .then(
        () => "mapped",
        (error: { code: string }) => error.code,
      ),
  doorbell: async () => {
    const notifier = new EventFdNotifier(poller);
    const rung = new Promise((resolve) => notifier.subscribe(resolve));
    await taken().propose((change) => change.addDoorbell({ address: gpa(0x7000_0000), length: 4, notifier }));
    void rung.then((count) => process.send?.({ rung: count }));
  },
  detach: () => {
    space?.[Symbol.dispose]();
    space = undefined;
  },
  fds: () => readdirSync("/proc/self/fd").length,
};

process.on("message", async ({ id, deed, args }: { id: number; deed: string; args: never[] }) => {
  try {
    process.send?.({ id, answer: (await deeds[deed]?.(...args)) ?? null });
  } catch (error) {
    process.send?.({ id, error: String(error) });
  }
});
