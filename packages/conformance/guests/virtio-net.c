/* A network card over virtio-mmio. See virtio 1.3: 2.7, 2.8 (rings), 4.2 (registers), 5.1 (the card). */
#include "virtio-net.h"

enum {
  MAGIC = 0x000, VERSION = 0x004, DEVICE = 0x008, DEVICE_FEATURES = 0x010, DEVICE_FEATURES_SELECT = 0x014,
  DRIVER_FEATURES = 0x020, DRIVER_FEATURES_SELECT = 0x024, QUEUE_SELECT = 0x030, QUEUE_SIZE_MOST = 0x034, QUEUE_SIZE = 0x038,
  QUEUE_READY = 0x044, QUEUE_NOTIFY = 0x050, INTERRUPT_STATUS = 0x060, INTERRUPT_ACKNOWLEDGE = 0x064, STATUS = 0x070,
  QUEUE_DESCRIPTORS = 0x080, QUEUE_DRIVER = 0x090, QUEUE_DEVICE = 0x0a0, CONFIG = 0x100,

  ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8,
  FEATURE_MAC = 1 << 5, FEATURE_VERSION_1 = 1 << (32 - 32), FEATURE_PACKED = 1 << (34 - 32),

  SIZE = 16, BUFFER_BYTES = 2048, HEADER_BYTES = 12,
  WRITE = 2, PACKED_AVAILABLE = 1 << 7, PACKED_USED = 1 << 15,
};

/* A descriptor of a split ring, and one of a packed ring: 16 bytes each, and not the same. */
struct split_descriptor {
  u32 address, address_high, length;
  u16 flags, next;
};
struct packed_descriptor {
  u32 address, address_high, length;
  u16 id, flags;
};
struct ring {
  union {
    struct split_descriptor split[SIZE];
    struct packed_descriptor packed[SIZE];
  } descriptors;
  struct {
    u16 flags, index, slots[SIZE], event;
  } available;
  struct {
    u16 flags, index;
    struct {
      u32 id, length;
    } entries[SIZE];
    u16 event;
  } used;
  /* Where the driver stands: of a packed ring, with the wrap counters. */
  u16 next_available, next_used;
  u16 available_wrap, used_wrap;
} __attribute__((aligned(16)));

static struct ring rings[2];
static u8 buffers[2][SIZE][BUFFER_BYTES];
static u32 base;
static int packed;
static u8 mac[6];
static u32 sending;
static u16 free_slots;
static int received = -1;

static u32 get(u32 reg) { return read32(base + reg); }
static void set(u32 reg, u32 value) { write32(base + reg, value); }

/* Every buffer is one descriptor, and its number is its place among the buffers. */
static void offer(int queue, u32 slot, u32 length, u16 flags) {
  struct ring *ring = &rings[queue];
  u32 address = (u32)buffers[queue][slot];
  if (packed) {
    volatile struct packed_descriptor *descriptor = &ring->descriptors.packed[ring->next_available];
    descriptor->address = address;
    descriptor->length = length;
    descriptor->id = (u16)slot;
    barrier();
    descriptor->flags = (u16)(flags | (ring->available_wrap ? PACKED_AVAILABLE : PACKED_USED));
    if (++ring->next_available == SIZE) {
      ring->next_available = 0;
      ring->available_wrap ^= 1;
    }
  } else {
    struct split_descriptor *descriptor = &ring->descriptors.split[slot];
    descriptor->address = address;
    descriptor->length = length;
    descriptor->flags = flags;
    ring->available.slots[ring->next_available++ % SIZE] = (u16)slot;
    barrier();
    *(volatile u16 *)&ring->available.index = ring->next_available;
  }
}

/* The buffer that the device is done with, and what it wrote; -1 where there is none. What it says is not taken for true. */
static int take(int queue, u32 *length) {
  struct ring *ring = &rings[queue];
  u32 slot;
  if (packed) {
    volatile struct packed_descriptor *descriptor = &ring->descriptors.packed[ring->next_used];
    u16 flags = descriptor->flags;
    int is_available = (flags & PACKED_AVAILABLE) != 0, is_used = (flags & PACKED_USED) != 0;
    if (is_available != is_used || is_used != ring->used_wrap) return -1;
    barrier();
    slot = descriptor->id;
    *length = descriptor->length;
    if (++ring->next_used == SIZE) {
      ring->next_used = 0;
      ring->used_wrap ^= 1;
    }
  } else {
    if (*(volatile u16 *)&ring->used.index == ring->next_used) return -1;
    barrier();
    slot = ring->used.entries[ring->next_used % SIZE].id;
    *length = ring->used.entries[ring->next_used++ % SIZE].length;
  }
  if (slot < SIZE && *length <= BUFFER_BYTES) return (int)slot;
  print("the device is broken: it gave back what it was not given\n");
  leave(2);
}

static void notify(int queue) {
  barrier();
  set(QUEUE_NOTIFY, (u32)queue);
}

static int open_queue(int queue) {
  struct ring *ring = &rings[queue];
  ring->available_wrap = ring->used_wrap = 1;
  set(QUEUE_SELECT, (u32)queue);
  if (get(QUEUE_SIZE_MOST) < SIZE) return 0;
  set(QUEUE_SIZE, SIZE);
  set(QUEUE_DESCRIPTORS, (u32)&ring->descriptors);
  set(QUEUE_DESCRIPTORS + 4, 0);
  set(QUEUE_DRIVER, (u32)&ring->available);
  set(QUEUE_DRIVER + 4, 0);
  set(QUEUE_DEVICE, (u32)&ring->used);
  set(QUEUE_DEVICE + 4, 0);
  set(QUEUE_READY, 1);
  return get(QUEUE_READY) == 1;
}

static u32 features(u32 half, u32 wanted) {
  set(DEVICE_FEATURES_SELECT, half);
  u32 taken = get(DEVICE_FEATURES) & wanted;
  set(DRIVER_FEATURES_SELECT, half);
  set(DRIVER_FEATURES, taken);
  return taken;
}

static void came(void) { set(INTERRUPT_ACKNOWLEDGE, get(INTERRUPT_STATUS)); }

int virtio_net_open(u32 at, int line, int want_packed) {
  base = at;
  if (get(MAGIC) != 0x74726976 || get(VERSION) != 2 || get(DEVICE) != 1) return 0;
  set(STATUS, 0);
  set(STATUS, ACKNOWLEDGE | DRIVER);
  if ((features(0, FEATURE_MAC) & FEATURE_MAC) == 0) return 0;
  u32 high = features(1, FEATURE_VERSION_1 | (want_packed ? FEATURE_PACKED : 0));
  if ((high & FEATURE_VERSION_1) == 0) return 0;
  packed = (high & FEATURE_PACKED) != 0;
  set(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
  if ((get(STATUS) & FEATURES_OK) == 0) return 0;
  for (u32 i = 0; i < 6; i++) mac[i] = *(volatile u8 *)(base + CONFIG + i);
  if (!open_queue(0) || !open_queue(1)) return 0;
  interrupts_listen(line, LEVEL, came);
  for (u32 slot = 0; slot < SIZE; slot++) offer(0, slot, BUFFER_BYTES, WRITE);
  free_slots = (u16)((1 << SIZE) - 1);
  set(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
  notify(0);
  return 1;
}

int virtio_net_is_packed(void) { return packed; }

/* Interrupts are off but for the wait: what came before it ends it at once. */
static u8 *frame(void) {
  u32 length;
  for (;;) {
    for (int slot = take(1, &length); slot >= 0; slot = take(1, &length)) free_slots |= (u16)(1 << slot);
    for (sending = 0; sending < SIZE; sending++)
      if (free_slots & (1 << sending)) return buffers[1][sending] + HEADER_BYTES;
    interrupts_wait();
  }
}

static void send(u32 length) {
  memset(buffers[1][sending], 0, HEADER_BYTES);
  free_slots &= (u16)~(1 << sending);
  offer(1, sending, HEADER_BYTES + length, 0);
  notify(1);
}

static void done(void) {
  if (received < 0) return;
  offer(0, (u32)received, BUFFER_BYTES, WRITE);
  received = -1;
  notify(0);
}

static u32 receive(u8 **frame) {
  u32 length;
  received = take(0, &length);
  if (received < 0) return 0;
  *frame = buffers[0][received] + HEADER_BYTES;
  if (length > HEADER_BYTES) return length - HEADER_BYTES;
  done();
  return 0;
}

/* Its lines have no name before them: it was here first. */
const struct card virtio_net = {"", mac, frame, send, receive, done};
