/** A device of the kernel that is driven by ioctl(2): /dev/kvm, and the descriptors that it gives. @module */
import { Fd } from "../fd/fd.ts";
import { bytesAt, type CallOutcome, call, callError, directCall, mapDevice, tryCall } from "../native/libc.ts";
import type { NativeBlock } from "./native-block.ts";

const O_RDWR_CLOEXEC = 0o2 | 0o2000000;

/** Owns a device's descriptor. */
export class DeviceFile extends Fd {
  /** @throws {@link HostLinuxError} `system-call` with the errno and the path; `unsupported` */
  static open(path: string): DeviceFile {
    const { result, errno } = tryCall("open", path, O_RDWR_CLOEXEC, 0);
    if (errno !== 0) throw callError("open", errno, path);
    return new DeviceFile(result);
  }

  /**
   * Asks the device for something, where failure is part of the plan.
   *
   * @param request - the number of the request, size and direction in it
   * @param argument - a number, or a structure
   */
  tryControl(request: number, argument: number | NativeBlock = 0): CallOutcome {
    return typeof argument === "number"
      ? tryCall("ioctl_number", this.number, request, argument)
      : tryCall("ioctl", this.number, request, argument.address);
  }

  /**
   * Asks the device for something.
   *
   * @param name - of the request, for errors
   * @throws {@link HostLinuxError} `system-call` with the request's name and the errno
   */
  control(name: string, request: number, argument: number | NativeBlock = 0): number {
    const { result, errno } = this.tryControl(request, argument);
    if (errno !== 0) throw callError(name, errno);
    return result;
  }

  /** A request without argument that is made again and again, and that a signal interrupts. @returns what makes it; it answers the errno, or 0 */
  repeated(request: number): () => number {
    return directCall(this.number, request);
  }
}

/** Memory that a device shows, mapped into this process. */
export class DeviceMapping implements Disposable {
  readonly #address: bigint;
  readonly #length: number;
  #bytes: Uint8Array;

  /** @throws {@link HostLinuxError} `system-call` */
  constructor(device: Fd, length: number) {
    this.#length = length;
    this.#address = mapDevice(length, device.number);
    this.#bytes = new Uint8Array(bytesAt(this.#address, length));
  }

  /** The memory; empty once it was unmapped. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Unmaps it: arrays over it become empty first. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#bytes.length === 0) return;
    (this.#bytes.buffer as ArrayBuffer).transfer();
    this.#bytes = new Uint8Array(0);
    call("munmap", this.#address, this.#length);
  }
}
