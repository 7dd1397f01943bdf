/*
 * Counts edges of an interrupt line, and writes each count but the last to a port: then the next one may come. Were the last written too,
 * a host that answers each with an edge would leave it no moment to be done.
 *
 * Options: line=5, interrupts=10 (so many, then it is done).
 */
#include "machine.h"

enum { COUNT_PORT = 0x510 };

static volatile u32 count;
static u32 wanted;

static void came(void) {
  if (++count < wanted) out32(COUNT_PORT, count);
}

void guest_main(u32 magic, u32 information);
void guest_main(u32 magic, u32 information) {
  const char *line = command_line(magic, information);
  wanted = number_option(line, "interrupts", 10);
  interrupts_set_up();
  interrupts_listen((int)(number_option(line, "line", 5) & 15), EDGE, came);
  out32(COUNT_PORT, 0);
  interrupts_off();
  while (count < wanted) interrupts_wait();
  print_number(count);
  print(" interrupts\n");
  leave(0);
}
