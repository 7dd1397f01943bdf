/* The bridge's calls and events. Its interrupt is an edge: there is no register that would let a level down. */
#include "vbus.h"

enum {
  EVENTQ_PORT = 0, FASTCALL_PORT = 4, SIGNAL_PORT = 8,
  BRIDGE_MAGIC = 0xbf53eef5, BRIDGE_VERSION = 1,
  NEGOTIATE = 0, QUEUES_ADD = 1, SLOWCALL = 2, FASTCALL_ADD = 3,
  DEVICE_OPEN = 0, DEVICE_CALL = 2, DEVICE_SHM = 3,
  DEVICE_ADDED = 0, DEVICE_DROPPED = 1, SIGNALLED = 2, SIGNAL_CLOSED = 3,
  CHANNEL = 0, QUEUES = 8, DEVICES = 8, SIGNALS = 8,
};

/* An address in what the host reads: 64 bits. */
struct address {
  u32 low, high;
};
struct call {
  u32 vector, length;
  struct address data;
};
struct event {
  u32 id, reserved, subject, subject_high;
  char type[TYPE_BYTES];
};
/* As many as there are priorities. */
struct queue {
  struct ioq ring;
  struct event events[RING_SIZE];
};

static struct vbus_place place;
/* The processor's own: a call is written here, its channel to a port, and the result is here. */
static volatile struct {
  struct call call;
  u32 result, reserved;
} fastcall __attribute__((aligned(8)));
static int is_fast;
static struct queue queues[QUEUES] __attribute__((aligned(8)));
static struct vbus_device devices[DEVICES];
/* The host knows each by its place here. */
static struct signal *signals[SIGNALS];

static struct address address_of(const volatile void *at) { return (struct address){(u32)at, 0}; }

/* A read of the window's first word makes the call that was written there. */
static int bridge_call(u32 vector, const volatile void *data, u32 length) {
  barrier();
  write32(place.window, vector);
  write32(place.window + 4, length);
  write32(place.window + 8, (u32)data);
  write32(place.window + 12, 0);
  int result = (int)read32(place.window);
  barrier();
  return result;
}

static int bus_call(u32 vector, const volatile void *data, u32 length) {
  struct call call = {vector, length, address_of(data)};
  if (!is_fast) return bridge_call(SLOWCALL, &call, sizeof call);
  fastcall.call = call;
  barrier();
  out32((u16)(place.port + FASTCALL_PORT), CHANNEL);
  barrier();
  return (int)fastcall.result;
}

static int same_text(const char *a, const char *b) {
  while (*a != 0 && *a == *b) a++, b++;
  return *a == *b;
}

/* A place is never used again: who holds it knows that its device went. */
static void device_added(const struct event *event) {
  for (struct vbus_device *device = devices; device < devices + DEVICES; device++) {
    if (device->id != 0) continue;
    memcpy(device->type, event->type, TYPE_BYTES);
    device->type[TYPE_BYTES - 1] = 0;
    device->id = event->subject;
    device->is_there = 1;
    return;
  }
}

static void device_dropped(u32 id) {
  for (struct vbus_device *device = devices; device < devices + DEVICES; device++)
    if (device->id == id) device->is_there = 0;
}

static void take_event(const struct event *event) {
  struct signal **signal = event->subject < SIGNALS ? &signals[event->subject] : 0;
  if (event->id == DEVICE_ADDED) device_added(event);
  else if (event->id == DEVICE_DROPPED) device_dropped(event->subject);
  else if (signal == 0 || *signal == 0) return;
  else if (event->id == SIGNALLED) signal_wake(*signal);
  else if (event->id == SIGNAL_CLOSED) *signal = 0;
}

/* What was taken is given back for more, and the host is told of it once. */
static void take_events(void *whose) {
  struct queue *queue = whose;
  int taken = 0;
  for (int at = ioq_worked(&queue->ring); at >= 0; at = ioq_worked(&queue->ring), taken++) {
    take_event(&queue->events[at]);
    ioq_give_back(&queue->ring);
  }
  if (taken > 0) signal_inject(&queue->ring.signal);
}

/* It does not say which queue has news: the most urgent is looked at first. */
static void came(void) {
  for (int queue = QUEUES - 1; queue >= 0; queue--) signal_wake(&queues[queue].ring.signal);
}

static int add_queues(void) {
  struct {
    u32 count, reserved;
    struct {
      u32 count, reserved;
      struct address ring, events;
    } queues[QUEUES];
  } registration;
  memset(&registration, 0, sizeof registration);
  registration.count = QUEUES;
  for (int i = 0; i < QUEUES; i++) {
    struct queue *queue = &queues[i];
    ioq_make(&queue->ring, take_events, queue);
    queue->ring.signal.port = (u16)(place.port + EVENTQ_PORT);
    for (int event = 0; event < RING_SIZE; event++) ioq_post(&queue->ring, &queue->events[event], sizeof *queue->events);
    signal_enable(&queue->ring.signal);
    registration.queues[i].count = RING_SIZE;
    registration.queues[i].ring = address_of(&queue->ring.memory);
    registration.queues[i].events = address_of(queue->events);
  }
  return bridge_call(QUEUES_ADD, &registration, sizeof registration);
}

int vbus_open(const struct vbus_place *at, int slow) {
  place = *at;
  struct {
    u32 magic, version, capabilities[2];
  } terms = {BRIDGE_MAGIC, BRIDGE_VERSION, {0, 0}};
  if (bridge_call(NEGOTIATE, &terms, sizeof terms) != 0) return 0;
  interrupts_listen((int)place.line, EDGE, came);
  if (add_queues() != 0) return 0;
  struct call channel = {CHANNEL, sizeof fastcall, address_of(&fastcall)};
  is_fast = !slow && bridge_call(FASTCALL_ADD, &channel, sizeof channel) == 0;
  return 1;
}

struct vbus_device *vbus_wait_for(const char *type) {
  for (;; interrupts_wait())
    for (struct vbus_device *device = devices; device < devices + DEVICES; device++)
      if (device->is_there && same_text(device->type, type)) return device;
}

int vbus_device_open(struct vbus_device *device, u32 version) {
  struct {
    u32 id, version, handle[2];
  } open = {device->id, version, {0, 0}};
  int result = bus_call(DEVICE_OPEN, &open, sizeof open);
  memcpy(device->handle, open.handle, sizeof open.handle);
  return result;
}

int vbus_device_call(struct vbus_device *device, u32 function, void *data, u32 length) {
  struct {
    u32 handle[2], function, length, flags, reserved;
    struct address data;
  } call = {{device->handle[0], device->handle[1]}, function, length, 0, 0, address_of(data)};
  return bus_call(DEVICE_CALL, &call, sizeof call);
}

int vbus_device_ring(struct vbus_device *device, u32 id, u32 priority, struct ioq *ioq) {
  u32 cookie = 0;
  while (cookie < SIGNALS && signals[cookie] != 0) cookie++;
  if (cookie == SIGNALS) return -1;
  struct {
    u32 handle[2], id, length, flags, reserved, signal_offset, signal_priority, cookie, cookie_high;
    struct address memory;
  } shm = {
    {device->handle[0], device->handle[1]}, id, sizeof ioq->memory, 0, 0,
    (u32)&ioq->memory.signal - (u32)&ioq->memory, priority, cookie, 0, address_of(&ioq->memory),
  };
  signals[cookie] = &ioq->signal;
  int handle = bus_call(DEVICE_SHM, &shm, sizeof shm);
  if (handle < 0) {
    signals[cookie] = 0;
    return handle;
  }
  ioq->signal.port = (u16)(place.port + SIGNAL_PORT);
  ioq->signal.word = (u32)handle;
  return 0;
}
