/* A network card over virtio-mmio, version 2: the driver's side. */
#pragma once
#include "card.h"

extern const struct card virtio_net;

/* Opens the card. 0: there is none, or it is no virtio-net of version 1. */
int virtio_net_open(u32 base, int line, int want_packed);
/* Whether its rings are packed. */
int virtio_net_is_packed(void);
