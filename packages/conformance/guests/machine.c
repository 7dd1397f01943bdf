/* The processor and the PC around it. */
#include "machine.h"

enum {
  COM1 = 0x3f8,
  LINE_STATUS = 5,
  HOLDING_EMPTY = 0x20,
  EXIT_PORT = 0xf4,
  PIC_MASTER = 0x20,
  PIC_SLAVE = 0xa0,
  LEVELS = 0x4d0,
  END_OF_INTERRUPT = 0x20,
  FIRST_VECTOR = 0x20,
  LINES = 16,
  VECTORS = FIRST_VECTOR + LINES,
  CODE = 8,
  GATE = 0x8e00,
  BOOTED = 0x2badb002,
  HAS_COMMAND_LINE = 4,
  COMMAND_LINE_AT = 16,
};

static void print_byte(u8 byte) {
  while ((in8(COM1 + LINE_STATUS) & HOLDING_EMPTY) == 0) {
  }
  out8(COM1, byte);
}

void print(const char *text) {
  for (; *text != 0; text++) print_byte((u8)*text);
}

void print_number(u32 number) {
  char digits[11];
  int at = 10;
  digits[at] = 0;
  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  print(digits + at);
}

void print_hex(u32 number, int digits) {
  while (digits-- > 0) print_byte((u8) "0123456789abcdef"[(number >> (4 * digits)) & 15]);
}

static struct {
  u16 low, selector, kind, high;
} idt[VECTORS];
static struct __attribute__((packed)) {
  u16 limit;
  u32 base;
} idt_pointer;
static void (*handlers[LINES])(void);
static u16 masked = 0xffff & ~(1 << 2);
extern const u32 line_entries[LINES];

static void set_masks(void) {
  out8(PIC_MASTER + 1, (u8)masked);
  out8(PIC_SLAVE + 1, (u8)(masked >> 8));
}

void interrupts_set_up(void) {
  for (int line = 0; line < LINES; line++) {
    idt[FIRST_VECTOR + line].low = (u16)line_entries[line];
    idt[FIRST_VECTOR + line].high = (u16)(line_entries[line] >> 16);
    idt[FIRST_VECTOR + line].selector = CODE;
    idt[FIRST_VECTOR + line].kind = GATE;
  }
  idt_pointer.limit = sizeof idt - 1;
  idt_pointer.base = (u32)idt;
  __asm__ volatile("lidt %0" ::"m"(idt_pointer));
  out8(PIC_MASTER, 0x11);
  out8(PIC_SLAVE, 0x11);
  out8(PIC_MASTER + 1, FIRST_VECTOR);
  out8(PIC_SLAVE + 1, FIRST_VECTOR + 8);
  out8(PIC_MASTER + 1, 4);
  out8(PIC_SLAVE + 1, 2);
  out8(PIC_MASTER + 1, 1);
  out8(PIC_SLAVE + 1, 1);
  set_masks();
}

void interrupts_listen(int line, enum trigger trigger, void (*handler)(void)) {
  u16 port = (u16)(LEVELS + (line >= 8));
  u8 bit = (u8)(1 << (line & 7));
  handlers[line] = handler;
  masked &= (u16)~(1 << line);
  out8(port, trigger == LEVEL ? in8(port) | bit : in8(port) & (u8)~bit);
  set_masks();
}

/* Called from boot.S. */
void interrupt(u32 line);
void interrupt(u32 line) {
  if (handlers[line] != 0) handlers[line]();
  if (line >= 8) out8(PIC_SLAVE, END_OF_INTERRUPT);
  out8(PIC_MASTER, END_OF_INTERRUPT);
}

void leave(u32 status) {
  out32(EXIT_PORT, status);
  for (;;) __asm__ volatile("cli; hlt");
}

void *memcpy(void *to, const void *from, u32 length) {
  void *end = to;
  __asm__ volatile("rep movsb" : "+D"(end), "+S"(from), "+c"(length)::"memory");
  return to;
}

void *memset(void *to, int value, u32 length) {
  void *end = to;
  __asm__ volatile("rep stosb" : "+D"(end), "+c"(length) : "a"(value) : "memory");
  return to;
}

const char *command_line(u32 magic, u32 information) {
  if (magic != BOOTED || (read32(information) & HAS_COMMAND_LINE) == 0) return "";
  return (const char *)read32(information + COMMAND_LINE_AT);
}

static int starts_with(const char *text, const char *start) {
  for (; *start != 0; text++, start++)
    if (*text != *start) return 0;
  return 1;
}

const char *option(const char *line, const char *name) {
  for (int fresh = 1; *line != 0; fresh = *line++ == ' ') {
    if (!fresh || !starts_with(line, name)) continue;
    const char *end = line;
    for (const char *each = name; *each != 0; each++) end++;
    if (*end == 0 || *end == ' ' || *end == '=') return *end == '=' ? end + 1 : end;
  }
  return 0;
}

u32 number_at(const char **text) {
  u32 base = 10, value = 0;
  if (starts_with(*text, "0x")) {
    base = 16;
    *text += 2;
  }
  for (;; (*text)++) {
    u8 letter = (u8)**text;
    u32 digit = letter >= '0' && letter <= '9' ? letter - (u32)'0' : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10u : 99;
    if (digit >= base) return value;
    value = value * base + digit;
  }
}

u32 number_option(const char *line, const char *name, u32 otherwise) {
  const char *text = option(line, name);
  return text == 0 ? otherwise : number_at(&text);
}
