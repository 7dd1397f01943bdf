/** A notifier that is an eventfd: kicks and calls for other processes, and for KVM. @module */
import { type Notifier, type NotifierDescriptor, type NotifierOpener, VirtAddressSpaceError } from "@virtspace/virt-address-space";
import { HostLinuxError } from "../error/host-linux-error.ts";
import type { Poller, Watch } from "../poll/poller.ts";
import { EventFd, isEventFd } from "./event-fd.ts";
import { Fd } from "./fd.ts";

const KIND = "eventfd";

/** A notifier over an eventfd, which is its own. */
export class EventFdNotifier implements Notifier {
  readonly #eventFd: EventFd;
  readonly #poller: Poller;
  #watch: Watch | undefined;

  constructor(poller: Poller, eventFd: EventFd = EventFd.create()) {
    this.#poller = poller;
    this.#eventFd = eventFd;
  }

  /** The eventfd. */
  get eventFd(): EventFd {
    return this.#eventFd;
  }

  signal(count = 1): void {
    this.#eventFd.signal(count);
  }

  take(): number {
    return this.#eventFd.take();
  }

  subscribe(callback: (count: number) => void): Disposable {
    if (this.#watch !== undefined) {
      throw new VirtAddressSpaceError("busy", "somebody has this notifier's count already: one subscriber at a time");
    }
    const watch = this.#poller.watch(this.#eventFd, { readable: true }, () => {
      const count = this.#eventFd.take();
      if (count > 0) callback(count);
    });
    this.#watch = watch;
    return {
      [Symbol.dispose]: () => {
        watch[Symbol.dispose]();
        if (this.#watch === watch) this.#watch = undefined;
      },
    };
  }

  share(): NotifierDescriptor {
    return { kind: KIND, fds: [this.#eventFd.number] };
  }

  /** Ends the subscription, and closes the eventfd. */
  [Symbol.dispose](): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
    this.#eventFd[Symbol.dispose]();
  }
}

/** Opens notifiers that came from another process. The descriptors in them stay the caller's. */
export function eventFdOpener(poller: Poller): NotifierOpener {
  return {
    kind: KIND,
    open({ fds }) {
      const [number] = fds ?? [];
      if (typeof number !== "number") throw new TypeError("this notifier's descriptor came without its eventfd");
      const own = Fd.copyOf(number);
      // It may be anything: a file that can't be waited for, a socket that is ready for ever.
      if (!isEventFd(own)) {
        own[Symbol.dispose]();
        throw new HostLinuxError("protocol", "what came as a notifier is no eventfd");
      }
      return new EventFdNotifier(poller, EventFd.adopt(own));
    },
  };
}
