/** A device for tests: keeps what it gets, and has as much room as it is told. */
import {
  BytesFrame,
  copyFrame,
  type Frame,
  macAddress,
  type NetworkBackend,
  type NetworkEndpoint,
  type NetworkPort,
  NO_OFFLOAD_SUPPORT,
  type Offload,
  type OffloadSupport,
  writeHeader,
} from "../index.ts";

/** An address of a station. */
export const mac = (number: number): number => macAddress(`52:54:00:00:00:${number.toString(16).padStart(2, "0")}`);

/** A device. */
export class Station implements NetworkEndpoint {
  readonly name: string;
  readonly mac: number;
  readonly got: Uint8Array[] = [];
  readonly port: NetworkPort;
  accepts: OffloadSupport = NO_OFFLOAD_SUPPORT;
  room = Number.POSITIVE_INFINITY;
  flushes = 0;

  constructor(backend: NetworkBackend, number: number) {
    this.name = `station ${number}`;
    this.mac = mac(number);
    this.port = backend.plug(this);
  }

  receive(frame: Frame): boolean {
    if (this.room === 0) return false;
    this.room--;
    const bytes = new Uint8Array(frame.length);
    copyFrame(frame, 0, bytes);
    this.got.push(bytes);
    return true;
  }

  flush(): void {
    this.flushes++;
  }

  /** Makes room, as a driver does that gives new buffers. */
  makeRoom(frames: number): void {
    this.room = frames;
    this.port.roomAgain();
  }

  /** Sends a frame with a payload. */
  send(target: number, payload: readonly number[] = [1, 2, 3], source: number = this.mac, offload?: Offload): boolean {
    const bytes = new Uint8Array(14 + payload.length);
    writeHeader(bytes, target, source, 0x88b5);
    bytes.set(payload, 14);
    const sent = this.port.send(new BytesFrame(bytes, offload));
    this.port.flush();
    return sent;
  }

  /** Takes what it got. */
  take(): number[][] {
    return this.got.splice(0).map((bytes) => [...bytes.subarray(14)]);
  }
}
