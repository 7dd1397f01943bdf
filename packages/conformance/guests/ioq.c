/* Signals and rings in shared memory. The other side may be another processor: the order of what is written is what they agree by. */
#include "ioq.h"

enum { SIGNAL_MAGIC = 0x58fa39df, SIGNAL_VERSION = 1, RING_MAGIC = 0x47fa2fe4, RING_VERSION = 4 };

/* On x86 stores stay in their order, and loads too, but a load may pass an earlier store: this keeps it behind. */
static u8 exchange(volatile u8 *at, u8 value) {
  __asm__ volatile("xchgb %0, %1" : "+q"(value), "+m"(*at)::"memory");
  return value;
}

void signal_inject(struct signal *signal) {
  volatile struct signal_side *south = &signal->shared->south;
  exchange(&south->dirty, 1);
  if (south->enabled && !exchange(&south->pending, 1)) out32(signal->port, signal->word);
}

/* Pending goes last: until then the other side sends nothing. What came in the moment before is seen by the next look. */
void signal_wake(struct signal *signal) {
  volatile struct signal_side *north = &signal->shared->north;
  while (north->enabled && (north->dirty || north->pending)) {
    exchange(&north->dirty, 0);
    if (signal->news != 0) signal->news(signal->whose);
    if (north->enabled && !north->dirty) exchange(&north->pending, 0);
  }
}

void signal_enable(struct signal *signal) {
  exchange(&signal->shared->north.enabled, 1);
  signal_wake(signal);
}

void signal_disable(struct signal *signal) { exchange(&signal->shared->north.enabled, 0); }

void ioq_make(struct ioq *ioq, void (*news)(void *), void *whose) {
  volatile struct ioq_memory *memory = &ioq->memory;
  memset((void *)memory, 0, sizeof *memory);
  memory->magic = RING_MAGIC;
  memory->version = RING_VERSION;
  memory->signal.magic = SIGNAL_MAGIC;
  memory->signal.version = SIGNAL_VERSION;
  memory->count = RING_SIZE;
  ioq->signal.shared = &memory->signal;
  ioq->signal.news = news;
  ioq->signal.whose = whose;
}

static u32 after(u32 position) { return position + 1 == RING_SIZE ? 0 : position + 1; }

static void pop(volatile struct ioq_index *index) {
  index->head = after(index->head);
  index->full = 0;
}

/* A south that pops between the look and the word has said before it that there is room: it would be full with nothing to pop. */
static void push(volatile struct ioq_index *index) {
  index->tail = after(index->tail);
  if (index->tail != index->head) return;
  exchange(&index->full, 1);
  if (index->tail != index->head) index->full = 0;
}

int ioq_free(struct ioq *ioq) {
  volatile struct ioq_index *posted = &ioq->memory.posted;
  return posted->full || ioq->memory.ring[posted->tail].south_owns ? -1 : (int)posted->tail;
}

static volatile struct ioq_descriptor *fill(struct ioq *ioq, const void *buffer, u32 length) {
  volatile struct ioq_descriptor *descriptor = &ioq->memory.ring[ioq->memory.posted.tail];
  descriptor->address = (u32)buffer;
  descriptor->length = length;
  descriptor->valid = 1;
  return descriptor;
}

void ioq_post(struct ioq *ioq, const void *buffer, u32 length) {
  volatile struct ioq_descriptor *descriptor = fill(ioq, buffer, length);
  push(&ioq->memory.posted);
  barrier();
  descriptor->south_owns = 1;
}

void ioq_send(struct ioq *ioq, const void *buffer, u32 length) {
  volatile struct ioq_descriptor *descriptor = fill(ioq, buffer, length);
  push(&ioq->memory.posted);
  push(&ioq->memory.worked);
  barrier();
  descriptor->south_owns = 1;
}

int ioq_sent(struct ioq *ioq) {
  volatile struct ioq_index *posted = &ioq->memory.posted;
  if (posted->head == posted->tail && !posted->full) return -1;
  volatile struct ioq_descriptor *descriptor = &ioq->memory.ring[posted->head];
  if (descriptor->south_owns || !descriptor->valid) return -1;
  barrier();
  return (int)posted->head;
}

void ioq_reclaim(struct ioq *ioq) {
  ioq->memory.ring[ioq->memory.posted.head].valid = 0;
  pop(&ioq->memory.posted);
}

int ioq_worked(struct ioq *ioq) {
  volatile struct ioq_index *worked = &ioq->memory.worked;
  if (worked->head == worked->tail && !worked->full) return -1;
  /*
   * The index moves before its descriptor is given back. And a south that fills the ring while places are taken may say that it is full
   * a moment after it was: what was taken is not valid any more, and not taken for what came back.
   */
  volatile struct ioq_descriptor *descriptor = &ioq->memory.ring[worked->head];
  if (descriptor->south_owns || !descriptor->valid) return -1;
  barrier();
  return (int)worked->head;
}

void ioq_take(struct ioq *ioq) {
  ioq->memory.ring[ioq->memory.worked.head].valid = 0;
  pop(&ioq->memory.worked);
  pop(&ioq->memory.posted);
}

void ioq_give_back(struct ioq *ioq) {
  volatile struct ioq_descriptor *descriptor = &ioq->memory.ring[ioq->memory.worked.head];
  pop(&ioq->memory.worked);
  barrier();
  descriptor->south_owns = 1;
}
