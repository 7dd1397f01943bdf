/**
 * Passing a space to another process: the thread's descriptor, over a unix socket, with the memory's files beside it.
 *
 * @module
 */
import { type AttachOptions, type DescriptorOptions, VirtAddressSpace } from "@virtspace/virt-address-space";
import { eventFdOpener } from "../fd/event-fd-notifier.ts";
import { memfdOpener } from "../memory/memfd-memory.ts";
import { EventLoopPoller } from "../poll/event-loop-poller.ts";
import type { Poller } from "../poll/poller.ts";
import type { UnixSocket } from "../socket/unix-socket.ts";
import { SocketLink } from "./socket-link.ts";

/** Who waits for the socket. */
export interface PollerOption {
  /** The event loop unless given. */
  readonly poller?: Poller;
}

/**
 * Lets the process at the other end of a socket attach a space; the socket is the space's from now on. The holder hears of each
 * change of the map, an unmap waits for it, and its death is noticed. What it wrote is in no dirty log: while it is attached, and
 * at its end, all memory counts as dirty.
 *
 * Throws `VirtAddressSpaceError`, as `space.admit` does: `not-shareable` for a space with memory that no other thread can have.
 * Memory that threads share but processes can't (SharedArrayBuffer) is mapped there without its bytes.
 */
export function passSpace(space: VirtAddressSpace, socket: UnixSocket, options: DescriptorOptions & PollerOption = {}): void {
  const { poller = new EventLoopPoller(), memory = [], notifiers = [], ...rest } = options;
  const link = new SocketLink(socket, poller);
  space.admit(link, { ...rest, memory: [memfdOpener, ...memory], notifiers: [eventFdOpener(poller), ...notifiers] });
}

/**
 * Attaches the space that the process at the other end passes; the socket is the space's from now on.
 *
 * Throws `VirtAddressSpaceError`, as `VirtAddressSpace.join` does: `attach-timeout`, `orphaned`.
 *
 * @param name - what the space is called here
 */
export function takeSpace(name: string, socket: UnixSocket, options: AttachOptions & PollerOption = {}): Promise<VirtAddressSpace> {
  const { poller = new EventLoopPoller(), memory = [], notifiers = [], ...rest } = options;
  const link = new SocketLink(socket, poller);
  return VirtAddressSpace.join(name, link, { ...rest, memory: [memfdOpener, ...memory], notifiers: [eventFdOpener(poller), ...notifiers] });
}
