/**
 * What a network card does for its host, done here: missing checksums, and large segments cut into frames for a wire. For
 * receivers that can take no more than that.
 *
 * @see RFC 1071 (checksums), RFC 9293 section 3.1 (TCP), RFC 768 (UDP)
 * @module
 */
import { BytesFrame } from "../frame/bytes-frame.ts";
import { foldedSum, partialSum } from "../frame/checksum.ts";
import { HEADER_BYTES, MAX_FRAME_BYTES } from "../frame/ethernet.ts";
import { copyFrame, type Frame } from "../frame/frame.ts";
import type { Offload } from "./offload.ts";

const VLAN = 0x8100;
const VLAN_BYTES = 4;
const IP6_BYTES = 40;
const UDP_BYTES = 8;
const TCP_FLAGS = 13;
const FIN_PSH = 0x09;
const CWR = 0x80;
/** Frames that one segment may become: 64 KiB of the smallest that TCP allows anybody. */
const MOST_FRAMES = 1024;

/** Where the headers of a large segment are; all were found inside of it. */
interface Headers {
  /** Where the IP header begins. */
  readonly network: number;
  /** Where the TCP or UDP header begins. */
  readonly transport: number;
  /** Where the payload begins. */
  readonly payload: number;
  readonly version: 4 | 6;
  readonly tcp: boolean;
}

/** Finishes frames in a buffer of its own. */
export class Segmenter {
  #whole = new Uint8Array(0);
  #piece = new Uint8Array(0);

  /**
   * Makes frames for a wire of a frame with something left to do.
   *
   * @returns undefined where its headers don't hold what it says of them
   */
  frames(frame: Frame): Iterable<Frame> | undefined {
    const { offload, length } = frame;
    if (length > MAX_FRAME_BYTES) return undefined;
    if (this.#whole.length === 0) {
      this.#whole = new Uint8Array(MAX_FRAME_BYTES);
      this.#piece = new Uint8Array(MAX_FRAME_BYTES);
    }
    const whole = this.#whole.subarray(0, length);
    if (copyFrame(frame, 0, whole) < length) return undefined;
    if (offload.segmentation !== "none") {
      const headers = findHeaders(whole, offload);
      if (headers === undefined || !fewEnough(length - headers.payload, offload.segmentSize)) return undefined;
      return this.#cut(whole, headers, offload.segmentSize);
    }
    return addChecksum(whole, offload) ? [new BytesFrame(whole)] : undefined;
  }

  *#cut(whole: Uint8Array, headers: Headers, size: number): Iterable<Frame> {
    const { payload } = headers;
    const count = Math.max(Math.ceil((whole.length - payload) / size), 1);
    for (let i = 0; i < count; i++) {
      const from = payload + i * size;
      const length = Math.min(size, whole.length - from);
      const piece = this.#piece.subarray(0, payload + length);
      piece.set(whole.subarray(0, payload));
      piece.set(whole.subarray(from, from + length), payload);
      finishHeaders(piece, headers, { index: i, last: i === count - 1, sent: i * size });
      yield new BytesFrame(piece);
    }
  }
}

const fewEnough = (bytes: number, size: number): boolean => size > 0 && Math.ceil(bytes / size) <= MOST_FRAMES;

/** Puts a checksum where it is missing: the pseudo-header's sum is there already. @returns whether there is a place for it */
function addChecksum(bytes: Uint8Array, { checksumStart, checksumOffset }: Offload): boolean {
  const at = checksumStart + checksumOffset;
  if (checksumStart >= bytes.length || at + 2 > bytes.length) return false;
  put16(bytes, at, foldedSum(partialSum(bytes, checksumStart, bytes.length)) || 0xffff);
  return true;
}

function findHeaders(bytes: Uint8Array, { segmentation, checksumStart }: Offload): Headers | undefined {
  const network = get16(bytes, 12) === VLAN ? HEADER_BYTES + VLAN_BYTES : HEADER_BYTES;
  const version = (bytes[network] ?? 0) >>> 4;
  const tcp = segmentation !== "udp";
  const least = version === 6 ? IP6_BYTES : ((bytes[network] ?? 0) & 15) * 4;
  if ((version !== 4 && version !== 6) || checksumStart < network + least || least < 20) return undefined;
  if ((segmentation === "tcp4" && version !== 4) || (segmentation === "tcp6" && version !== 6)) return undefined;
  const payload = checksumStart + (tcp ? ((bytes[checksumStart + 12] ?? 0) >>> 4) * 4 : UDP_BYTES);
  if (payload < checksumStart + (tcp ? 20 : UDP_BYTES) || payload > bytes.length) return undefined;
  return { network, transport: checksumStart, payload, version, tcp };
}

interface Part {
  readonly index: number;
  readonly last: boolean;
  /** Bytes of payload before this one. */
  readonly sent: number;
}

function finishHeaders(bytes: Uint8Array, headers: Headers, { index, last, sent }: Part): void {
  const { network, transport, version, tcp } = headers;
  if (version === 4) {
    put16(bytes, network + 2, bytes.length - network);
    put16(bytes, network + 4, get16(bytes, network + 4) + index);
    put16(bytes, network + 10, 0);
    put16(bytes, network + 10, foldedSum(partialSum(bytes, network, network + ((bytes[network] as number) & 15) * 4)));
  } else {
    put16(bytes, network + 4, bytes.length - network - IP6_BYTES);
  }
  if (tcp) {
    const sequence = get16(bytes, transport + 4) * 65536 + get16(bytes, transport + 6) + sent;
    put16(bytes, transport + 4, Math.floor(sequence / 65536));
    put16(bytes, transport + 6, sequence);
    // Only the last one ends the stream; only the first one says that the window was reduced.
    const flags = bytes[transport + TCP_FLAGS] as number;
    bytes[transport + TCP_FLAGS] = flags & ~(last ? 0 : FIN_PSH) & ~(index === 0 ? 0 : CWR);
  } else {
    put16(bytes, transport + 4, bytes.length - transport);
  }
  const at = transport + (tcp ? 16 : 6);
  put16(bytes, at, 0);
  put16(bytes, at, foldedSum(partialSum(bytes, transport, bytes.length, pseudoSum(bytes, headers))) || (tcp ? 0 : 0xffff));
}

/** The sum over addresses, protocol and length that TCP and UDP add to their own. */
function pseudoSum(bytes: Uint8Array, { network, transport, version, tcp }: Headers): number {
  const [from, to] = version === 4 ? [network + 12, network + 20] : [network + 8, network + IP6_BYTES];
  return partialSum(bytes, from, to) + (tcp ? 6 : 17) + (bytes.length - transport);
}

function get16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
}

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = (value >>> 8) & 0xff;
  bytes[at + 1] = value & 0xff;
}
