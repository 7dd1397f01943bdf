/* A network card over virtio-mmio, version 2: the driver's side. */
#pragma once
#include "machine.h"

enum { FRAME_BYTES = 1514 };

/* Opens the card. 0: there is none, or it is no virtio-net of version 1. */
int net_open(u32 base, int line, int want_packed);
/* Whether its rings are packed. */
int net_is_packed(void);
/* Its address, 6 bytes. */
const u8 *net_mac(void);

/* Where the next frame to be sent is made: FRAME_BYTES. */
u8 *net_frame(void);
void net_send(u32 length);

/* The frame that came, and its length; 0 where none is there. net_done gives its buffer back. */
u32 net_receive(u8 **frame);
void net_done(void);
/* Waits until something came. */
void net_wait(void);
