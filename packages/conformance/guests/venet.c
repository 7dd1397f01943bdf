/* The driver of a venet. */
#include "venet.h"

enum {
  LINK_UP = 0, MAC_QUERY = 2, NEGOTIATE = 3, GROUP_SG = 0, SG = 1,
  RX = 0, TX = 1, RX_PRIORITY = 4, TX_PRIORITY = 2,
  /* Frames go out as two pieces: what says where to, and the rest. */
  PIECES = 2, ETHERNET_BYTES = 14,
};

struct piece {
  u32 length, reserved, address, address_high;
};
struct buffer {
  struct {
    u32 cookie[2], flags, length;
    u16 checksum_start, checksum_offset, gso_type, gso_header, gso_size, reserved;
    u32 count;
  } header;
  struct piece pieces[PIECES];
  u8 frame[FRAME_BYTES];
} __attribute__((aligned(8)));

static struct vbus_device *device;
static struct ioq rings[2];
static u8 received_frames[RING_SIZE][FRAME_BYTES];
static struct buffer sent_frames[RING_SIZE];
static u8 mac[6];
static int has_pieces;

/* Each place of a ring has its buffer. */
static void post(int at) { ioq_post(&rings[RX], received_frames[at], FRAME_BYTES); }

static int open_ring(int ring, u32 priority) {
  ioq_make(&rings[ring], 0, 0);
  return vbus_device_ring(device, (u32)ring, priority, &rings[ring]) == 0;
}

int venet_open(int want_pieces) {
  device = vbus_wait_for("virtual-ethernet");
  if (vbus_device_open(device, 1) != 0) return 0;
  u32 capabilities[2] = {GROUP_SG, want_pieces ? SG : 0};
  if (vbus_device_call(device, NEGOTIATE, capabilities, sizeof capabilities) != 0) return 0;
  has_pieces = (capabilities[1] & SG) != 0;
  if (!open_ring(RX, RX_PRIORITY) || !open_ring(TX, TX_PRIORITY)) return 0;
  if (vbus_device_call(device, MAC_QUERY, mac, sizeof mac) != 0) return 0;
  for (int at = ioq_free(&rings[RX]); at >= 0; at = ioq_free(&rings[RX])) post(at);
  signal_enable(&rings[RX].signal);
  return vbus_device_call(device, LINK_UP, 0, 0) == 0;
}

int venet_has_pieces(void) { return has_pieces; }

static void check(void) {
  if (device->is_there) return;
  print("venet: it was taken off the bus\n");
  leave(3);
}

/* What went out is looked for when its place is needed: only who waits for one wants to be woken. */
static u8 *frame(void) {
  struct ioq *ring = &rings[TX];
  for (;;) {
    while (ioq_sent(ring) >= 0) ioq_reclaim(ring);
    int at = ioq_free(ring);
    if (at >= 0) {
      signal_disable(&ring->signal);
      return sent_frames[at].frame;
    }
    check();
    signal_enable(&ring->signal);
    if (ioq_sent(ring) < 0) interrupts_wait();
  }
}

static void send(u32 length) {
  struct ioq *ring = &rings[TX];
  struct buffer *buffer = &sent_frames[ioq_free(ring)];
  if (has_pieces) {
    memset(&buffer->header, 0, sizeof buffer->header);
    buffer->header.length = length;
    buffer->header.count = PIECES;
    buffer->pieces[0] = (struct piece){ETHERNET_BYTES, 0, (u32)buffer->frame, 0};
    buffer->pieces[1] = (struct piece){length - ETHERNET_BYTES, 0, (u32)buffer->frame + ETHERNET_BYTES, 0};
    ioq_send(ring, buffer, sizeof buffer->header + sizeof buffer->pieces);
  } else
    ioq_send(ring, buffer->frame, length);
  signal_inject(&ring->signal);
}

static int received = -1;

static void done(void) {
  if (received < 0) return;
  ioq_take(&rings[RX]);
  post(ioq_free(&rings[RX]));
  received = -1;
  signal_inject(&rings[RX].signal);
}

/* The signal has no listener: whoever waits for frames looks after every interrupt. */
static u32 receive(u8 **frame) {
  check();
  received = ioq_worked(&rings[RX]);
  if (received < 0) return 0;
  *frame = received_frames[received];
  u32 length = rings[RX].memory.ring[received].length;
  if (length > 0 && length <= FRAME_BYTES) return length;
  done();
  return 0;
}

const struct card venet = {"venet: ", mac, frame, send, receive, done};
