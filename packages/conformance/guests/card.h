/* A network card as net.c sees it: each driver has one. */
#pragma once
#include "machine.h"

enum { FRAME_BYTES = 1514 };

struct card {
  /* What its lines on the console begin with. */
  const char *prefix;
  /* Its address, 6 bytes, once it is open. */
  const u8 *mac;
  /* Where the next frame to be sent is made: FRAME_BYTES. Waits where all are on their way. */
  u8 *(*frame)(void);
  void (*send)(u32 length);
  /* The frame that came, and its length; 0 where none is there. done gives its buffer back. */
  u32 (*receive)(u8 **frame);
  void (*done)(void);
};
