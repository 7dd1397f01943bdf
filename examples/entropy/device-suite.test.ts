/** What any virtio device must do, this one too. */
import { deviceSuite } from "@virtspace/conformance";
import { expect } from "vitest";
import entropy from "./device.ts";

deviceSuite({
  plugin: entropy,
  surroundings: { random: (bytes) => bytes.fill(7) },
  requests: [
    { writable: 9, answer: (written) => expect([...written]).toEqual([7, 7, 7, 7, 7, 7, 7, 7, 7]) },
    { readable: new Uint8Array(5), answer: (written) => expect(written).toHaveLength(0) },
  ],
});
