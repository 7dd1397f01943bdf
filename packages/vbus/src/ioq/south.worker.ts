/** The south's end of a ring in another thread: it adds 1 to each descriptor's length and gives it back. @module */
import { workerData } from "node:worker_threads";
import { SharedNotifier, type SpaceDescriptor, VirtAddressSpace } from "@virtspace/virt-address-space";
import { isErrno } from "../errno/errno.ts";
import { VbusMemctx } from "../memory/vbus-memctx.ts";
import { ShmSignal } from "../signal/shm-signal.ts";
import { Ioq } from "./ioq.ts";
import { IoqOffset, ioqSize } from "./ioq-layout.ts";

/** What the test gives it. */
export interface SouthData {
  readonly descriptor: SpaceDescriptor;
  readonly at: number;
  readonly count: number;
  /** Rung for this side, and by it. */
  readonly south: SharedArrayBuffer;
  readonly north: SharedArrayBuffer;
  readonly total: number;
}

const { descriptor, at, count, south, north, total } = workerData as SouthData;
const space = await VirtAddressSpace.attach(descriptor, { name: "south" });
const memctx = new VbusMemctx(space);
const shm = memctx.shm(at, ioqSize(count));
if (isErrno(shm)) throw new Error(shm);
const [mine, peer] = [new SharedNotifier(south), new SharedNotifier(north)];
const signal = new ShmSignal({ shm, offset: IoqOffset.signal, locale: "south", inject: () => peer.signal() });
const ring = Ioq.attach({ shm, locale: "south", signal }, count);
if (isErrno(ring)) throw new Error(ring);
const work = ring.iterator("inuse", { autoUpdate: true });
let done = 0;
signal.listener = () => {
  for (work.seek("tail"); work.mine && work.valid; done++) {
    work.len = work.len + 1;
    if (work.push() !== 0) return;
  }
};
signal.enable();
// A subscription alone keeps no process alive: this does, until all is done.
const alive = setInterval(() => {
  if (done < total) return;
  clearInterval(alive);
  mine[Symbol.dispose]();
  ring[Symbol.dispose]();
  shm.put();
  space[Symbol.dispose]();
}, 20);
mine.subscribe(() => signal.wake());
