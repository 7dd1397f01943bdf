/** What any virtio device must do, this one too. */
import { deviceSuite } from "@virtspace/conformance";
import { expect } from "vitest";
import { echo } from "./device.ts";

deviceSuite({
  plugin: () => echo({ delay: 0 }),
  requests: [
    {
      readable: new TextEncoder().encode("hello"),
      writable: 8,
      answer: (written) => expect(new TextDecoder().decode(written)).toBe("HELLO"),
    },
    { readable: new Uint8Array(5000), writable: 8, answer: (written) => expect(written).toHaveLength(0) },
  ],
});
