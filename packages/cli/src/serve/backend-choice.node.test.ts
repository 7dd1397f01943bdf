/** The network of a choice: what its switch does with a frame for somebody who has no room. */
import { BROADCAST, BytesFrame, type NetworkEndpoint, type NetworkPort, NO_OFFLOAD_SUPPORT, writeHeader } from "@virtspace/network";
import { expect, test, vi } from "vitest";
import { makeBackend } from "./backend-choice.ts";

const [SENDER, RECEIVER] = [0x5254_0000_0001, 0x5254_0000_0002];

function frame(target: number, source: number): BytesFrame {
  const bytes = new Uint8Array(60);
  writeHeader(bytes, target, source, 0x88b5);
  return new BytesFrame(bytes);
}

const endpoint = (name: string, hasRoom: boolean): NetworkEndpoint => ({
  name,
  accepts: NO_OFFLOAD_SUPPORT,
  receive: () => hasRoom,
  flush: () => {},
});

/** A switch with a sender, and a receiver that is known and has no room. */
async function trial(whenFull: "drop" | "wait" | "pace", body: (sender: NetworkPort, receiver: NetworkPort) => unknown): Promise<void> {
  await using made = makeBackend({ backend: "switch", whenFull, onGone: () => {}, onFault: () => {}, onSkipped: () => {} });
  const sender = made.backend.plug(endpoint("sender", true));
  const receiver = made.backend.plug(endpoint("receiver", false));
  receiver.send(frame(BROADCAST, RECEIVER));
  receiver.flush();
  await body(sender, receiver);
}

test.each([
  ["drop", true, 1],
  ["wait", false, 0],
] as const)("%s: a sender may go on: %s", async (whenFull, goesOn, drops) => {
  await trial(whenFull, (sender, receiver) => {
    expect([sender.send(frame(RECEIVER, SENDER)), receiver.counters.drops["no-room"] ?? 0]).toEqual([goesOn, drops]);
  });
});

test("pace: a sender waits, and goes on without one that takes nothing", async () => {
  await trial("pace", async (sender, receiver) => {
    const room = vi.fn();
    sender.onRoom(room);
    expect([sender.send(frame(RECEIVER, SENDER)), receiver.counters.drops]).toEqual([false, {}]);
    await vi.waitFor(() => expect(room).toHaveBeenCalledTimes(1));
    expect([sender.send(frame(RECEIVER, SENDER)), receiver.counters.drops]).toEqual([true, { "no-room": 1 }]);
  });
});
