/**
 * What a Linux host gives: the only native code of the project.
 *
 * @packageDocumentation
 */
export { DatagramBackend, type DatagramPaths, StreamBackend } from "./backend/socket-backend.ts";
export { StreamListener, type StreamListenerOptions } from "./backend/stream-listener.ts";
export { type HostBackendOptions, TapBackend } from "./backend/tap-backend.ts";
export { DeviceFile, DeviceMapping } from "./device/device-file.ts";
export { NativeBlock } from "./device/native-block.ts";
export { interruptThread, prepareInterrupts, threadId } from "./device/thread-signal.ts";
export { HostLinuxError, type HostLinuxErrorCode, type HostLinuxErrorFields } from "./error/host-linux-error.ts";
export { EventFd, isEventFd } from "./fd/event-fd.ts";
export { EventFdNotifier, eventFdOpener } from "./fd/event-fd-notifier.ts";
export { Fd } from "./fd/fd.ts";
export { type PollerOption, passSpace, takeSpace } from "./link/pass-space.ts";
export { SocketLink } from "./link/socket-link.ts";
export { Mapping, type MappingOptions } from "./memory/mapping.ts";
export { Memfd, Seal, sealsOf, sizeOf } from "./memory/memfd.ts";
export { MemfdMemory, memfdMemory, memfdOpener } from "./memory/memfd-memory.ts";
export { punchHole } from "./memory/punch-hole.ts";
export type { CallOutcome } from "./native/libc.ts";
export { BlockingPoller, type BlockingPollerOptions } from "./poll/blocking-poller.ts";
export { EventLoopPoller } from "./poll/event-loop-poller.ts";
export type { Interest, Poller, PollFault, Readiness, Watch } from "./poll/poller.ts";
export { MOST_BYTES, MOST_FDS, type Received } from "./socket/message-block.ts";
export { type Credentials, type ListenOptions, SocketType, UnixDatagramSocket, UnixListener, UnixSocket } from "./socket/unix-socket.ts";
export { TAP_HEADER_BYTES, Tap } from "./tap/tap.ts";
