/**
 * The one door to native code: the calls of the C library that this package makes. Each is made at its first use, so that
 * importing the package works anywhere.
 *
 * @module
 */
import { constants } from "node:os";
import koffi from "koffi";
import { HostLinuxError } from "../error/host-linux-error.ts";

const SIGNATURES = {
  close: "int close(int fd)",
  eventfd: "int eventfd(unsigned int count, int flags)",
  memfd_create: "int memfd_create(const char *name, unsigned int flags)",
  ftruncate: "int ftruncate(int fd, int64_t length)",
  fallocate: "int fallocate(int fd, int mode, int64_t offset, int64_t length)",
  fcntl: "int fcntl(int fd, int command, int argument)",
  mmap: "void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)",
  munmap: "int munmap(void *address, size_t length)",
  madvise: "int madvise(void *address, size_t length, int advice)",
  read: "int64_t read(int fd, void *bytes, size_t length)",
  write: "int64_t write(int fd, const void *bytes, size_t length)",
  readv: "int64_t readv(int fd, const void *iov, int count)",
  writev: "int64_t writev(int fd, const void *iov, int count)",
  socket: "int socket(int domain, int type, int protocol)",
  socketpair: "int socketpair(int domain, int type, int protocol, void *fds)",
  bind: "int bind(int fd, const void *address, unsigned int length)",
  listen: "int listen(int fd, int backlog)",
  accept4: "int accept4(int fd, void *address, void *length, int flags)",
  connect: "int connect(int fd, const void *address, unsigned int length)",
  sendmsg: "int64_t sendmsg(int fd, const void *message, int flags)",
  recvmsg: "int64_t recvmsg(int fd, void *message, int flags)",
  getsockopt: "int getsockopt(int fd, int level, int name, void *value, void *length)",
  setsockopt: "int setsockopt(int fd, int level, int name, const void *value, unsigned int length)",
  shutdown: "int shutdown(int fd, int how)",
  open: "int open(const char *path, int flags, int mode)",
  ioctl: "int ioctl(int fd, unsigned long request, void *argument)",
  ioctl_number: "int ioctl(int fd, unsigned long request, long argument)",
  gettid: "int gettid()",
  tgkill: "int tgkill(int process, int thread, int signal)",
  sigaction: "int sigaction(int signal, const void *action, void *old)",
  dlsym: "void *dlsym(void *library, const char *name)",
  epoll_create1: "int epoll_create1(int flags)",
  epoll_ctl: "int epoll_ctl(int epoll, int operation, int fd, void *event)",
  preadv2: "int64_t preadv2(int fd, const void *iov, int count, int64_t offset, int flags)",
  io_setup: "long syscall(long number, unsigned int events, void *context)",
  io_submit: "long syscall(long number, uint64_t context, long count, void *requests)",
  poll: "int poll(void *fds, unsigned long count, int timeout)",
} as const;

type Name = keyof typeof SIGNATURES;
type Native = (...args: readonly (number | bigint | string | Uint8Array | null)[]) => number | bigint;

let library: ReturnType<typeof koffi.load> | undefined;
const functions = new Map<Name, Native>();

function native(name: Name): Native {
  const known = functions.get(name);
  if (known !== undefined) return known;
  try {
    library ??= koffi.load("libc.so.6");
  } catch (cause) {
    throw new HostLinuxError("unsupported", "this needs Linux with glibc: the C library could not be loaded", {}, { cause });
  }
  const made = library.func(SIGNATURES[name]) as unknown as Native;
  functions.set(name, made);
  return made;
}

const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(constants.errno).map(([name, value]) => [value, name]));
const EINTR = constants.errno.EINTR;
/** After a signal the descriptor of `close` is closed (its number may be another's by now), and the time of `poll` has passed. */
const ONCE: ReadonlySet<Name> = new Set(["close", "poll"]);

/** The name of an error number. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}

/** What a call came to: its result, or the number of its error. */
export interface CallOutcome {
  /** What it returned; -1 where it failed. */
  readonly result: number;
  /** 0 where it succeeded. */
  readonly errno: number;
}

/** Makes a call, again where a signal came between and that makes sense. For calls whose failure is part of the plan. */
export function tryCall(name: Name, ...args: readonly (number | bigint | string | Uint8Array | null)[]): CallOutcome {
  const call = native(name);
  for (;;) {
    const result = Number(call(...args));
    if (result !== -1) return { result, errno: 0 };
    const errno = koffi.errno();
    if (errno !== EINTR || ONCE.has(name)) return { result, errno };
  }
}

/**
 * Makes a call that has to succeed.
 *
 * @throws {@link HostLinuxError} `system-call` with the call and its error
 */
export function call(name: Name, ...args: readonly (number | bigint | string | Uint8Array | null)[]): number {
  const { result, errno } = tryCall(name, ...args);
  if (errno !== 0) throw callError(name, errno);
  return result;
}

/** The error of a call. */
export function callError(name: string, errno: number, path?: string): HostLinuxError {
  const text = errnoName(errno);
  const where = path === undefined ? "" : ` (${path})`;
  return new HostLinuxError("system-call", `${name} failed with ${text}${where}`, {
    call: name,
    errno: text,
    ...(path !== undefined && { path }),
  });
}

/**
 * Maps memory. What is not to be written is a copy as soon as it is: an array can't be made read-only, and a write to memory
 * that is would kill the process.
 *
 * @returns its address
 */
export function map(length: number, writable: boolean, fd: number, offset: number): bigint {
  const READ_WRITE = 3;
  const SHARED = 1;
  const PRIVATE = 2;
  const NORESERVE = 0x4000;
  const result = BigInt.asUintN(64, BigInt(native("mmap")(null, length, READ_WRITE, writable ? SHARED : PRIVATE | NORESERVE, fd, offset)));
  if (result === 0xffff_ffff_ffff_ffffn) throw callError("mmap", koffi.errno());
  return result;
}

/** Maps what a device shows. @returns its address */
export function mapDevice(length: number, fd: number): bigint {
  return map(length, true, fd, 0);
}

/** A call of ioctl(2) with nothing on the way, for loops that do little else: it answers the errno, or 0, and a signal ends it. */
export function directCall(fd: number, request: number): () => number {
  const ioctl = native("ioctl_number");
  return () => (ioctl(fd, request, 0) === -1 ? koffi.errno() : 0);
}

/** The address of a function that takes a number, and does nothing. */
export function withoutEffect(): bigint {
  return BigInt.asUintN(64, BigInt(native("dlsym")(null, "abs")));
}

/** The bytes at an address, as long as they are mapped. */
export function bytesAt(address: bigint, length: number): ArrayBuffer {
  return koffi.view(address, length);
}

/** Native memory that is never moved: for the structures that calls take. */
export function nativeBlock(length: number): { readonly address: bigint; readonly view: DataView; readonly bytes: Uint8Array } {
  const block = koffi.alloc("uint8_t", length);
  const buffer = koffi.view(block, length);
  return { address: koffi.address(block), view: new DataView(buffer), bytes: new Uint8Array(buffer) };
}

/** Frees it; no array may show it any more. */
export function freeBlock(address: bigint): void {
  koffi.free(address);
}
