/** A device for the tests of backends: keeps what it gets, has as much room as it is told, and sends all that it has. */
import {
  BytesFrame,
  copyFrame,
  type Frame,
  type NetworkBackend,
  type NetworkEndpoint,
  type NetworkPort,
  NO_OFFLOAD_SUPPORT,
  type Offload,
  type OffloadSupport,
} from "@virtspace/network";

/** A frame that a device got. */
export interface Got {
  readonly bytes: Uint8Array;
  readonly offload: Offload;
}

/** A frame of some bytes, with a number in it. */
export function numbered(number: number, length = 64): Uint8Array {
  const bytes = new Uint8Array(length);
  new DataView(bytes.buffer).setUint32(14, number);
  return bytes;
}

/** The number of a frame. */
export const numberOf = ({ bytes }: Got): number => new DataView(bytes.buffer).getUint32(14);

/** A device. */
export class Station implements NetworkEndpoint, Disposable {
  readonly name = "station";
  readonly got: Got[] = [];
  readonly port: NetworkPort;
  accepts: OffloadSupport = NO_OFFLOAD_SUPPORT;
  room: number = Number.POSITIVE_INFINITY;
  flushes = 0;
  /** Times that there was room again. */
  rooms = 0;

  constructor(backend: NetworkBackend) {
    this.port = backend.plug(this);
    this.port.onRoom(() => void this.rooms++);
  }

  receive(frame: Frame): boolean {
    if (this.room === 0) return false;
    this.room--;
    const bytes = new Uint8Array(frame.length);
    copyFrame(frame, 0, bytes);
    this.got.push({ bytes, offload: frame.offload });
    return true;
  }

  flush(): void {
    this.flushes++;
  }

  makeRoom(frames: number): void {
    this.room = frames;
    this.port.roomAgain();
  }

  send(bytes: Uint8Array, offload?: Offload): boolean {
    return this.port.send(new BytesFrame(bytes, offload));
  }

  /** Sends frames as fast as there is room. @returns how often there was none */
  sendAll(count: number, frame: (number: number) => Uint8Array): { readonly waits: number; readonly sent: number } {
    const state = { waits: 0, sent: 0 };
    const go = (): void => {
      for (; state.sent < count; state.sent++) {
        if (this.send(frame(state.sent))) continue;
        state.waits++;
        return;
      }
    };
    this.port.onRoom(go);
    go();
    return state;
  }

  [Symbol.dispose](): void {
    this.port[Symbol.dispose]();
  }
}
