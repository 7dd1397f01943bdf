/* A virtual bus behind its bridge, version 2 of the ABI: devices by type, calls, and shared memory with signals. */
#pragma once
#include "ioq.h"

/* Where a guest finds the bridge: a window in memory for calls, ports for what is to be quick, a line for events. */
struct vbus_place {
  u32 window, port, line;
};

enum { TYPE_BYTES = 128 };
struct vbus_device {
  char type[TYPE_BYTES];
  u32 id, handle[2];
  int is_there;
};

/* Agrees with the bridge, and has its events come. slow: all calls by the window. 0: there is none. */
int vbus_open(const struct vbus_place *place, int slow);
/* Waits until a device of a type is there. */
struct vbus_device *vbus_wait_for(const char *type);

/* These give what the device does; less than 0 is an error. */
int vbus_device_open(struct vbus_device *device, u32 version);
int vbus_device_call(struct vbus_device *device, u32 function, void *data, u32 length);
/* Gives the device a ring that was made, with its signal. The highest priority, 7, comes first. */
int vbus_device_ring(struct vbus_device *device, u32 id, u32 priority, struct ioq *ioq);
