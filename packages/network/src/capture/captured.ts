/** A backend that writes down what goes through it. @module */
import type { Frame } from "../frame/frame.ts";
import type { NetworkBackend, NetworkEndpoint, NetworkPort } from "../port/network-backend.ts";
import type { Direction } from "./pcapng.ts";

/** Who is shown what goes through: a `PcapngWriter`, or something that draws. */
export interface FrameWitness {
  /** A device was plugged in. @returns its number */
  addInterface(name: string): number;
  /** A frame went through: good within the call. */
  frame(number: number, frame: Frame, direction: Direction): void;
}

/** Puts a tap between devices and a backend: each device is an interface of the capture. */
export function captured(backend: NetworkBackend, writer: FrameWitness): NetworkBackend {
  return {
    name: backend.name,
    plug(endpoint) {
      const number = writer.addInterface(endpoint.name);
      const tapped: NetworkEndpoint = {
        name: endpoint.name,
        get accepts() {
          return endpoint.accepts;
        },
        receive: (frame) => {
          const took = endpoint.receive(frame);
          if (took) writer.frame(number, frame, "received");
          return took;
        },
        flush: () => endpoint.flush(),
      };
      return tap(backend.plug(tapped), (frame) => writer.frame(number, frame, "sent"));
    },
  };
}

function tap(port: NetworkPort, write: (frame: Frame) => void): NetworkPort {
  return {
    get accepts() {
      return port.accepts;
    },
    counters: port.counters,
    send: (frame) => {
      const sent = port.send(frame);
      if (sent) write(frame);
      return sent;
    },
    flush: () => port.flush(),
    roomAgain: () => port.roomAgain(),
    onRoom: (callback) => port.onRoom(callback),
    [Symbol.dispose]: () => port[Symbol.dispose](),
  };
}
