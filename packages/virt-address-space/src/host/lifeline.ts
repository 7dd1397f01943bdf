/**
 * Word of a thread's end, for hosts whose message ports keep silent about it: browsers don't close a port whose worker
 * was terminated. A lock of the Web Locks API does tell: it is held for as long as its thread lives.
 *
 * @module
 */

/** Makes and watches lines that end with their thread. */
export interface Lifelines {
  /** Holds a line of this thread. */
  hold(): Lifeline;
  /** Calls back once a line that was held has ended. @returns what stops watching */
  watch(name: string, ended: () => void): () => void;
}

/** A line of this thread. */
export interface Lifeline {
  /** Its name, once it is held; undefined where the host refuses it. */
  readonly held: Promise<string | undefined>;
  /** Ends it. */
  letGo(): void;
}

interface LockManager {
  request(name: string, options: { readonly signal?: unknown }, granted: () => unknown): Promise<unknown>;
}

interface Globals {
  readonly navigator?: { readonly locks?: LockManager };
  readonly crypto?: { randomUUID?(): string };
  readonly AbortController: new () => { readonly signal: unknown; abort(): void };
  readonly MessagePort?: { readonly prototype: object };
}

/** The lifelines of a host, or undefined where ports tell by themselves (Node), or nothing does. */
export function lifelinesOf(globals: object): Lifelines | undefined {
  const { navigator, crypto, AbortController, MessagePort } = globals as Globals;
  const locks = navigator?.locks;
  const portsTell = MessagePort !== undefined && "unref" in MessagePort.prototype;
  if (locks === undefined || crypto?.randomUUID === undefined || portsTell) return undefined;
  return {
    hold() {
      const name = `virtspace ${crypto.randomUUID?.()}`;
      const { promise: end, resolve: letGo } = Promise.withResolvers<void>();
      const { promise: held, resolve } = Promise.withResolvers<string | undefined>();
      const granted = (): Promise<void> => {
        resolve(name);
        return end;
      };
      locks.request(name, {}, granted).catch(() => resolve(undefined));
      return { held, letGo };
    },
    watch(name, ended) {
      const stop = new AbortController();
      // An abandoned request is rejected; so is one in a page that goes away.
      locks.request(name, { signal: stop.signal }, ended).catch(() => {});
      return () => stop.abort();
    },
  };
}
