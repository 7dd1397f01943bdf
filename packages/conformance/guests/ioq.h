/*
 * Memory that a guest shares with devices of a virtual bus: signals, and rings of descriptors. The guest owns it, and so is the north; the
 * host is the south.
 */
#pragma once
#include "machine.h"

/* Each side says whether it wants to be woken, whether it is being woken, and whether there is news. */
struct signal_side {
  u8 enabled, pending, dirty;
};
struct shm_signal {
  u32 magic, version;
  struct signal_side north, south;
  u8 reserved[2];
};

enum { RING_SIZE = 16 };
struct ioq_index {
  u32 head, tail;
  /* Of a head and a tail that are the same: whether all are between them, or none. */
  u8 full, reserved[3];
};
struct ioq_descriptor {
  u32 cookie, cookie_high, address, address_high, length, length_high;
  u8 valid, south_owns, reserved[6];
};
/*
 * What was posted is in one index. In the other is what was worked on; of a ring that the south only takes from, what it has still to take.
 */
struct ioq_memory {
  u32 magic, version;
  struct shm_signal signal;
  struct ioq_index posted, worked;
  u32 count, reserved;
  struct ioq_descriptor ring[RING_SIZE];
};

/* The guest's end of a signal. */
struct signal {
  volatile struct shm_signal *shared;
  /* The south is woken by this word at this port. */
  u16 port;
  u32 word;
  /* Called when the south has news. */
  void (*news)(void *);
  void *whose;
};
/* The guest's end of a ring. */
struct ioq {
  volatile struct ioq_memory memory __attribute__((aligned(8)));
  struct signal signal;
};

/* There is news for the south. */
void signal_inject(struct signal *signal);
/* Wants to be woken: where there is news already, at once. */
void signal_enable(struct signal *signal);
/* Looks by itself. */
void signal_disable(struct signal *signal);
/* The south called. */
void signal_wake(struct signal *signal);

/* Writes a fresh ring, before anybody is told of it. */
void ioq_make(struct ioq *ioq, void (*news)(void *), void *whose);
/* Where the next descriptor goes; -1 where all are posted. */
int ioq_free(struct ioq *ioq);
/* Posts it: it is the south's from here on. The caller tells, once for many. */
void ioq_post(struct ioq *ioq, const void *buffer, u32 length);
/* As ioq_post, for a ring that the south only takes from. */
void ioq_send(struct ioq *ioq, const void *buffer, u32 length);
/* The descriptor that the south has taken and given back next; -1 where there is none. */
int ioq_sent(struct ioq *ioq);
/* Its place is free again. */
void ioq_reclaim(struct ioq *ioq);
/* The descriptor that the south has worked on next; -1 where there is none. */
int ioq_worked(struct ioq *ioq);
/* Takes it out: its place is free again. */
void ioq_take(struct ioq *ioq);
/* Gives it back as it is: a ring of events is always posted. */
void ioq_give_back(struct ioq *ioq);
