import { Loopback } from "@virtspace/network";
import { expect, test } from "vitest";
import { Vbus } from "../device/vbus.ts";
import { Turns } from "../host/turns-scenarios.ts";
import { Ioq } from "../ioq/ioq.ts";
import { IoqOffset, ioqSize } from "../ioq/ioq-layout.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";
import { Venet } from "../venet/venet.ts";
import { VenetCall, VenetShm } from "../venet/venet-abi.ts";
import { LocalConnector, type LocalShm } from "./local-connector.ts";

const MAC = 0x5254_0000_0001;
const COUNT = 8;

test("a program in this process uses a network card as a guest does", () => {
  const turns = new Turns();
  const bus = new Vbus({ name: "bus" });
  const venet = new Venet({ backend: new Loopback(), mac: MAC, host: turns });
  bus.connect(venet.device);
  const connector = new LocalConnector({ bus, host: turns });
  const handle = connector.open(1, 1) as number;
  const mac = new Uint8Array(6);
  expect([connector.call(handle, VenetCall.macQuery, mac), [...mac]]).toEqual([0, [0x52, 0x54, 0, 0, 0, 1]]);

  const ringOf = (id: number): { ring: Ioq; shm: VbusShm } => {
    const format = (shm: VbusShm): void => Ioq.create({ shm, count: COUNT, inject: () => {} })[Symbol.dispose]();
    const { shm, signal } = connector.share(handle, id, ioqSize(COUNT), format, IoqOffset.signal) as Required<LocalShm>;
    return { ring: Ioq.attach({ shm, locale: "north", signal: signal as never }, COUNT) as Ioq, shm };
  };
  const [rx, tx] = [ringOf(VenetShm.rx), ringOf(VenetShm.tx)];
  const BUFFERS = 0x8_0000;
  const IN = 0x9_0000;
  const post = rx.ring.iterator("valid", { autoUpdate: true });
  for (let i = 0; i < COUNT; i++) {
    Object.assign(post, { ptr: IN + i * 2048, len: 1514, valid: true });
    expect(post.push()).toBe(0);
  }
  expect(connector.call(handle, VenetCall.linkUp)).toBe(0);

  const frame = Uint8Array.from({ length: 60 }, (_, i) => i);
  connector.memctx.copyTo(BUFFERS, frame);
  const send = tx.ring.iterator("inuse", { both: true });
  expect(send.seek("tail")).toBe(0);
  Object.assign(send, { ptr: BUFFERS, len: frame.length, valid: true });
  expect(send.push()).toBe(0);
  turns.settle();
  const came = rx.ring.iterator("inuse");
  came.seek("head");
  const bytes = new Uint8Array(came.len);
  expect([connector.memctx.copyFrom(bytes, came.ptr), bytes, came.mine]).toEqual([0, frame, true]);
  expect([connector.close(handle), connector.close(handle), connector.call(handle, 0)]).toEqual([0, "ENOENT", "ENOENT"]);
  rx.ring[Symbol.dispose]();
  tx.ring[Symbol.dispose]();
  connector[Symbol.dispose]();
  connector[Symbol.dispose]();
});

test("it has no more memory than it was given", () => {
  const bus = new Vbus({ name: "bus" });
  bus.connect(new Venet({ backend: new Loopback(), mac: MAC }).device);
  using connector = new LocalConnector({ bus, memory: 4096 });
  const handle = connector.open(1, 1) as number;
  expect(connector.call(handle, VenetCall.macQuery, new Uint8Array(4096))).toBe("ENOMEM");
  expect(connector.share(handle, VenetShm.rx, 4096, () => {})).toBe("ENOMEM");
  expect(connector.share(handle, VenetShm.rx, 64, () => {})).toBe("EINVAL");
});
