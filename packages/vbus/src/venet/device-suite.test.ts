/** What any device of a bus must do, its network card too. */
import { vbusDeviceSuite } from "@virtspace/conformance";
import { Loopback } from "@virtspace/network";
import { expect } from "vitest";
import { venet } from "../index.ts";
import { VenetCall } from "./venet-abi.ts";

vbusDeviceSuite({
  name: "venet, on a loopback",
  plugin: () => venet({ backend: new Loopback(), mac: 0x5254_0000_0001 }),
  calls: [
    {
      func: VenetCall.macQuery,
      data: new Uint8Array(6),
      result: 0,
      answer: (mac) => expect([...mac]).toEqual([0x52, 0x54, 0, 0, 0, 1]),
    },
  ],
});
