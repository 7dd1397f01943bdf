/** A tap device: Ethernet frames to and from the host's network stack. @see Documentation/networking/tuntap.rst of the kernel @module */
import { constants } from "node:os";
import { HostLinuxError } from "../error/host-linux-error.ts";
import { Fd } from "../fd/fd.ts";
import { call, callError, errnoName, tryCall } from "../native/libc.ts";

const O_RDWR_NONBLOCK_CLOEXEC = 0o2 | 0o4000 | 0o2000000;
const IFF_TAP = 2;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUN_F_CSUM = 1;
const TUN_F_TSO4 = 2;
const TUN_F_TSO6 = 4;
const TUN_F_TSO_ECN = 8;
const NAME_BYTES = 16;
const { EBUSY, EINVAL, ENODEV, ENOENT, ENXIO, EPERM } = constants.errno;

/** Bytes of the header in front of each frame: that of virtio without a number of buffers. */
export const TAP_HEADER_BYTES = 10;

/** Owns a tap device's descriptor. */
export class Tap extends Fd {
  #device: string;

  private constructor(number: number, device: string) {
    super(number);
    this.#device = device;
  }

  /** The device's name, as the kernel has it. */
  get device(): string {
    return this.#device;
  }

  /**
   * Opens a tap device, which is made where there is none and the process may do that.
   *
   * @param device - its name; `tap%d` makes one with a free number
   * @throws {@link HostLinuxError} `unsupported`, `system-call`, `invalid-argument`, each with what to do about it
   */
  static open(device: string): Tap {
    const name = new TextEncoder().encode(device);
    if (name.length === 0 || name.length >= NAME_BYTES || /[\s/]/.test(device)) {
      throw new HostLinuxError(
        "invalid-argument",
        `"${device}" can't be a device's name: 1 to ${NAME_BYTES - 1} bytes, no space, no slash`,
      );
    }
    const { result, errno } = tryCall("open", "/dev/net/tun", O_RDWR_NONBLOCK_CLOEXEC, 0);
    if (errno === ENOENT || errno === ENODEV || errno === ENXIO) {
      throw new HostLinuxError("unsupported", "there is no /dev/net/tun here: load the module tun, or pass the device into the container");
    }
    if (errno !== 0) throw callError("open", errno, "/dev/net/tun");
    const tap = new Tap(result, device);
    try {
      tap.#setUp(name);
    } catch (error) {
      tap[Symbol.dispose]();
      throw error;
    }
    return tap;
  }

  #setUp(name: Uint8Array): void {
    const request = new Uint8Array(40);
    request.set(name);
    new DataView(request.buffer).setUint16(NAME_BYTES, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true);
    const { errno } = tryCall("ioctl", this.number, TUNSETIFF, request);
    const remedy = this.#remedy(errno);
    if (remedy !== undefined) {
      throw new HostLinuxError("system-call", `the tap device ${this.device} can't be had (${errnoName(errno)}): ${remedy}`, {
        call: "ioctl",
        errno: errnoName(errno),
      });
    }
    if (errno !== 0) throw callError("ioctl", errno, this.device);
    // "tap%d" is any free one: the kernel says which.
    this.#device = new TextDecoder().decode(request.subarray(0, request.indexOf(0)));
    const size = new Uint8Array(4);
    new DataView(size.buffer).setInt32(0, TAP_HEADER_BYTES, true);
    call("ioctl", this.number, TUNSETVNETHDRSZ, size);
    call("ioctl", this.number, TUNSETOFFLOAD, BigInt(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN));
  }

  #remedy(errno: number): string | undefined {
    if (errno === EBUSY) return "somebody has it open: end that program, or choose another device";
    if (errno === EPERM) return `this user may not: run "ip tuntap add ${this.device} mode tap user $USER" as root first`;
    if (errno === EINVAL) return "there is such a device that is no tap, or one for several queues: choose another";
    return undefined;
  }
}
