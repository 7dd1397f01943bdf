/* Says a line, and is done. */
#include "machine.h"

void guest_main(void);
void guest_main(void) {
  print("hello from the guest\n");
  leave(0);
}
