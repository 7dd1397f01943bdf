/** What a venet and its driver say to each other: version 1 of "virtual-ethernet". @module */

/** The ABI, by name. */
export const VENET_TYPE = "virtual-ethernet";
/** Its version. */
export const VENET_VERSION = 1;

/** Functions. */
export const VenetCall: {
  /** The link goes up: both queues must be there. */
  readonly linkUp: number;
  /** The link goes down. */
  readonly linkDown: number;
  /** The guest's address: six bytes. */
  readonly macQuery: number;
  /** Agrees on a group of capabilities. */
  readonly negotiate: number;
  /** Gives all buffers back. */
  readonly flushRx: number;
  /** Where the pool of pre-mapped descriptors goes. */
  readonly pmtdQuery: number;
  /** How the event queue is to be. */
  readonly eventqQuery: number;
  /** How large frames come in. */
  readonly l4roQuery: number;
} = { linkUp: 0, linkDown: 1, macQuery: 2, negotiate: 3, flushRx: 4, pmtdQuery: 5, eventqQuery: 6, l4roQuery: 7 };

/** Shared memory, by what it is for. */
export const VenetShm: {
  /** The ring of buffers for what comes in. */
  readonly rx: number;
  /** The ring of frames that go out. */
  readonly tx: number;
  /** Headers of frames that go out, mapped beforehand. */
  readonly pmtdPool: number;
  /** The events. */
  readonly eventPool: number;
  /** The ring of events. */
  readonly eventQueue: number;
  /** Headers of frames that come in. */
  readonly l4roPool: number;
  /** The ring of pages for what is larger than a buffer. */
  readonly pageQueue: number;
} = { rx: 0, tx: 1, pmtdPool: 100, eventPool: 101, eventQueue: 102, l4roPool: 103, pageQueue: 104 };

/** Groups of capabilities. */
export const VenetGroup: {
  /** Scatter and gather, and what comes with it. */
  readonly sg: number;
  /** Events. */
  readonly eventq: number;
  /** Large frames that come in. */
  readonly l4ro: number;
} = { sg: 0, eventq: 1, l4ro: 2 };

/** Capabilities of the first group; those of the third are the same, of frames that come in. */
export const SgCapability: {
  /** Frames in pieces, with a header. */
  readonly sg: number;
  /** Large segments of TCP over IPv4. */
  readonly tso4: number;
  /** Large segments of TCP over IPv6. */
  readonly tso6: number;
  /** Large segments with congestion marks. */
  readonly ecn: number;
  /** Large datagrams. */
  readonly ufo: number;
  /** Headers of frames that go out are mapped beforehand. */
  readonly pmtd: number;
} = { sg: 1, tso4: 2, tso6: 4, ecn: 8, ufo: 16, pmtd: 32 };

/** Capabilities of the second group. */
export const EventCapability: {
  /** Changes of the link. */
  readonly linkState: number;
  /** Frames that went out. */
  readonly txComplete: number;
} = { linkState: 1, txComplete: 2 };

/** An agreement on capabilities. */
export const NegotiateCaps: {
  /** The group, 32 bits. */
  readonly group: number;
  /** What is wished for, and then what is granted, 32 bits. */
  readonly bits: number;
  /** Bytes in all. */
  readonly size: number;
} = { group: 0, bits: 4, size: 8 };

/** A piece of a frame. */
export const VenetIov: {
  /** Bytes, 32 bits. */
  readonly len: number;
  /** Its address, 64 bits. */
  readonly ptr: number;
  /** Bytes in all. */
  readonly size: number;
} = { len: 0, ptr: 8, size: 16 };

/** What stands before the pieces of a frame. */
export const VenetSg: {
  /** The guest's own word, 64 bits. */
  readonly cookie: number;
  /** Which of what follows means something, 32 bits. */
  readonly flags: number;
  /** Bytes of the frame, 32 bits. */
  readonly len: number;
  /** Where the checksum begins, 16 bits. */
  readonly csumStart: number;
  /** Where it goes from there, 16 bits. */
  readonly csumOffset: number;
  /** Of large segments, which, 16 bits. */
  readonly gsoType: number;
  /** Bytes of headers, 16 bits. */
  readonly gsoHeader: number;
  /** Bytes of payload a segment, 16 bits. */
  readonly gsoSize: number;
  /** How many pieces, 32 bits. */
  readonly count: number;
  /** The pieces. */
  readonly iov: number;
} = { cookie: 0, flags: 8, len: 12, csumStart: 16, csumOffset: 18, gsoType: 20, gsoHeader: 22, gsoSize: 24, count: 28, iov: 32 };

/** Flags of a frame. */
export const SgFlag: {
  /** Its checksum is to be taken. */
  readonly needsCsum: number;
  /** It is a large segment. */
  readonly gso: number;
  /** It carries congestion marks. */
  readonly ecn: number;
} = { needsCsum: 1, gso: 2, ecn: 4 };

/** Kinds of large segments. */
export const GsoType: {
  /** TCP over IPv4. */
  readonly tcp4: number;
  /** A datagram. */
  readonly udp: number;
  /** TCP over IPv6. */
  readonly tcp6: number;
} = { tcp4: 0, udp: 1, tcp6: 2 };

/** How the event queue is to be. */
export const EventqQuery: {
  /** Flags, 32 bits. */
  readonly flags: number;
  /** Bytes of an event, 32 bits. */
  readonly eventSize: number;
  /** What the events' memory is given as, 32 bits. */
  readonly pool: number;
  /** What their ring is given as, 32 bits. */
  readonly queue: number;
  /** Bytes in all. */
  readonly size: number;
} = { flags: 0, eventSize: 4, pool: 8, queue: 12, size: 32 };

/** How large frames come in. */
export const L4roQuery: {
  /** Flags, 32 bits. */
  readonly flags: number;
  /** What the headers' memory is given as, 32 bits. */
  readonly pool: number;
  /** What the ring of pages is given as, 32 bits. */
  readonly pages: number;
  /** Bytes in all. */
  readonly size: number;
} = { flags: 0, pool: 4, pages: 8, size: 32 };

/** Events. */
export const VenetEvent: {
  /** The link changed. */
  readonly linkState: number;
  /** A frame went out. */
  readonly txComplete: number;
} = { linkState: 0, txComplete: 1 };

/** An event's bytes. */
export const VenetEventDesc: {
  /** Flags, 32 bits. */
  readonly flags: number;
  /** Its own bytes, 32 bits. */
  readonly size: number;
  /** Which, 32 bits. */
  readonly id: number;
  /** Whether the link is up, 8 bits. */
  readonly linkState: number;
  /** Which queue the frame went out by, 32 bits. */
  readonly txQueue: number;
  /** The frame's word, 64 bits. */
  readonly cookie: number;
  /** Bytes of a change of the link. */
  readonly linkSize: number;
  /** Bytes of a frame that went out. */
  readonly txSize: number;
} = { flags: 0, size: 4, id: 8, linkState: 12, txQueue: 12, cookie: 16, linkSize: 16, txSize: 24 };

/** The most descriptors of a ring. */
export const MOST_VENET_DESCRIPTORS = 1024;
/** The most pieces of a frame. */
export const MOST_PIECES = 64;
/** The longest of large segments, bytes. */
export const MOST_GSO = 65_536;
