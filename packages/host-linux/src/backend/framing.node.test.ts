/** A stream's frames do not depend on how its bytes come. */
import { BytesFrame, copyFrame, NO_OFFLOAD_SUPPORT } from "@virtspace/network";
import { expect, test } from "vitest";
import { StreamBackend, UnixSocket } from "../index.ts";
import type { Poller, Readiness } from "../poll/poller.ts";

/** Numbers that look random and are the same each time. */
function numbers(seed: number): (below: number) => number {
  let state = seed * 2_654_435_761 + 1;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test.each(Array.from({ length: 100 }, (_, seed) => seed))("however a stream is cut, the frames are the same (%i)", (seed) => {
  const random = numbers(seed);
  const sizes = Array.from({ length: 1 + random(20) }, () => 14 + random(random(2) === 0 ? 80 : 9000));
  const [mine, its] = UnixSocket.pair();
  let ready: (readiness: Readiness) => void = () => {};
  const poller: Poller = {
    watch: (_fd, _interest, callback) => {
      ready = callback;
      return { change: () => {}, [Symbol.dispose]: () => {} };
    },
  };
  const got: Uint8Array[] = [];
  const receive = (frame: Parameters<typeof copyFrame>[0]): boolean => {
    const bytes = new Uint8Array(frame.length);
    copyFrame(frame, 0, bytes);
    return got.push(bytes) > 0;
  };
  using port = new StreamBackend(mine, { poller }).plug({ name: "test", accepts: NO_OFFLOAD_SUPPORT, receive, flush: () => {} });
  const frames = sizes.map((size, i) => Uint8Array.from({ length: size }, (_, at) => i * 31 + at));
  const stream = frames.flatMap((frame) => [0, 0, frame.length >>> 8, frame.length & 255, ...frame]);
  for (let at = 0; at < stream.length; ) {
    const piece = 1 + random(random(2) === 0 ? 8 : 4000);
    its.send(Uint8Array.from(stream.slice(at, at + piece)));
    ready({ readable: true, writable: false });
    at += piece;
  }
  expect(got).toEqual(frames);
  // And the same back, by the port's own framing.
  for (const frame of frames.slice(0, 3)) port.send(new BytesFrame(frame));
  const back = new Uint8Array(40_000);
  const length = its.receive(back)?.length ?? 0;
  expect([...back.subarray(0, length)]).toEqual(stream.slice(0, length));
  its[Symbol.dispose]();
});
