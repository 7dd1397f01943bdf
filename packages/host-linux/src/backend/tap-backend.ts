/** A tap device as a backend: frames with virtio's header, so that checksums and large segments stay undone across the border. @module */

import { constants } from "node:os";
import {
  type DropReason,
  type Frame,
  type NetworkBackend,
  type NetworkEndpoint,
  type NetworkPort,
  NO_OFFLOAD,
  type Offload,
  type OffloadSupport,
  type Segmentation,
} from "@virtspace/network";
import { tryCall } from "../native/libc.ts";
import { EventLoopPoller } from "../poll/event-loop-poller.ts";
import type { Poller } from "../poll/poller.ts";
import { TAP_HEADER_BYTES, Tap } from "../tap/tap.ts";
import { gather, MOST_FRAMED_BYTES } from "./frame-buffer.ts";
import { type FrameChannel, HostPort, type ReadFrame } from "./host-port.ts";

const NEEDS_CSUM = 1;
const DATA_VALID = 2;
const ECN = 0x80;
const KINDS: readonly (readonly [number, Segmentation])[] = [
  [0, "none"],
  [1, "tcp4"],
  [4, "tcp6"],
];
const ACCEPTS: OffloadSupport = { checksum: true, segmentation: ["tcp4", "tcp6"], ecn: true };
const { EAGAIN, ENOBUFS, EINVAL, EIO, ENETDOWN } = constants.errno;

/** How a backend of the host is made. */
export interface HostBackendOptions {
  /** Who waits; the event loop unless given. */
  readonly poller?: Poller;
  /** Told when the other side went away. */
  readonly onGone?: () => void;
}

/** Plugs one device into a tap device. */
export class TapBackend implements NetworkBackend {
  readonly name: string;
  readonly #device: string;
  readonly #options: HostBackendOptions;

  /** @param device - its name; opened when a device plugs in */
  constructor(device: string, options: HostBackendOptions = {}) {
    this.name = `tap ${device}`;
    this.#device = device;
    this.#options = options;
  }

  /** @throws `HostLinuxError`, as {@link Tap.open} does */
  plug(endpoint: NetworkEndpoint): NetworkPort {
    const { poller = new EventLoopPoller(), onGone = () => {} } = this.#options;
    return new HostPort(endpoint, new TapChannel(Tap.open(this.#device)), poller, onGone);
  }
}

class TapChannel implements FrameChannel {
  readonly fd: Tap;
  readonly accepts = ACCEPTS;
  readonly #in = new Uint8Array(MOST_FRAMED_BYTES);
  readonly #inView = new DataView(this.#in.buffer);
  readonly #out = new Uint8Array(MOST_FRAMED_BYTES);
  readonly #outView = new DataView(this.#out.buffer);

  constructor(tap: Tap) {
    this.fd = tap;
  }

  read(): ReadFrame | undefined | "ended" {
    for (;;) {
      const { result, errno } = tryCall("read", this.fd.number, this.#in, this.#in.length);
      if (errno === EAGAIN) return undefined;
      if (errno === EIO || errno === ENETDOWN) return undefined;
      if (errno !== 0) return "ended";
      const offload = this.#readHeader();
      if (result > TAP_HEADER_BYTES && offload !== undefined) return { bytes: this.#in.subarray(TAP_HEADER_BYTES, result), offload };
    }
  }

  #readHeader(): Offload | undefined {
    const view = this.#inView;
    const flags = view.getUint8(0);
    const gso = view.getUint8(1);
    if ((flags & (NEEDS_CSUM | DATA_VALID)) === 0 && gso === 0) return NO_OFFLOAD;
    const segmentation = KINDS.find(([number]) => number === (gso & ~ECN))?.[1];
    if (segmentation === undefined) return undefined;
    return {
      needsChecksum: (flags & NEEDS_CSUM) !== 0,
      dataValid: (flags & DATA_VALID) !== 0,
      segmentation,
      ecn: (gso & ECN) !== 0,
      headerLength: view.getUint16(2, true),
      segmentSize: view.getUint16(4, true),
      checksumStart: view.getUint16(6, true),
      checksumOffset: view.getUint16(8, true),
    };
  }

  write(frame: Frame): "sent" | "wait" | "ended" | DropReason {
    const { offload } = frame;
    const gso = KINDS.find(([, kind]) => kind === offload.segmentation)?.[0];
    const bytes = gather(frame, TAP_HEADER_BYTES, this.#out);
    if (bytes === undefined) return "gone";
    if (gso === undefined) return "offload";
    const view = this.#outView;
    view.setUint8(0, offload.needsChecksum ? NEEDS_CSUM : 0);
    view.setUint8(1, gso | (offload.ecn ? ECN : 0));
    view.setUint16(2, offload.headerLength, true);
    view.setUint16(4, offload.segmentSize, true);
    view.setUint16(6, offload.checksumStart, true);
    view.setUint16(8, offload.checksumOffset, true);
    const { errno } = tryCall("write", this.fd.number, bytes, bytes.length);
    if (errno === 0) return "sent";
    if (errno === EAGAIN || errno === ENOBUFS) return "wait";
    // What the host's stack does not take (a link that is down, a header that makes no sense) is lost, as on a wire.
    if (errno === EINVAL) return "offload";
    return errno === EIO || errno === ENETDOWN ? "unplugged" : "ended";
  }
}
