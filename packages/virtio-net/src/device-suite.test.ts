/** What any virtio device must do, a network card too. */
import { deviceSuite } from "@virtspace/conformance";
import { Loopback } from "@virtspace/network";
import { expect } from "vitest";
import { virtioNet } from "./index.ts";

deviceSuite({
  name: "net, on a loopback",
  plugin: () => virtioNet({ backend: new Loopback(), mac: "52:54:00:00:00:01" }),
  keeps: ["receive 0"],
  requests: [
    { queue: "transmit 0", readable: new Uint8Array(12 + 60), answer: (written) => expect(written).toHaveLength(0) },
    // VIRTIO_NET_CTRL_RX_PROMISC, on.
    { queue: "control", readable: Uint8Array.from([0, 0, 1]), writable: 1, answer: (written) => expect([...written]).toEqual([0]) },
  ],
});
