/* The processor and the PC around it, as far as the images need them. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

static inline void out8(u16 port, u8 value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static inline void out32(u16 port, u32 value) { __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }
static inline u8 in8(u16 port) {
  u8 value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static inline u32 read32(u32 address) { return *(volatile u32 *)address; }
static inline void write32(u32 address, u32 value) { *(volatile u32 *)address = value; }
static inline void barrier(void) { __asm__ volatile("" ::: "memory"); }

/* The console: the first serial port. */
void print(const char *text);
void print_number(u32 number);
void print_hex(u32 number, int digits);

/* Interrupts. Each line's handler runs with interrupts off. */
void interrupts_set_up(void);
enum trigger { EDGE, LEVEL };
void interrupts_listen(int line, enum trigger trigger, void (*handler)(void));
static inline void interrupts_off(void) { __asm__ volatile("cli" ::: "memory"); }
static inline void interrupts_on(void) { __asm__ volatile("sti" ::: "memory"); }
/* Waits for an interrupt; call it with interrupts off: none is missed between the look and the wait. They are off again after it. */
static inline void interrupts_wait(void) { __asm__ volatile("sti; hlt; cli" ::: "memory"); }

/* Says that the guest is done, and stops. */
__attribute__((noreturn)) void leave(u32 status);

/* What gcc makes calls of. */
void *memcpy(void *to, const void *from, u32 length);
void *memset(void *to, int value, u32 length);

/* Where a line to be told is, if a multiboot loader left one; else an empty one. */
const char *command_line(u32 magic, u32 information);

/* A word of that line, name or name=value: what is behind the sign; 0 where there is none. */
const char *option(const char *line, const char *name);
/* Reads a number, decimal or with 0x, and goes behind it. */
u32 number_at(const char **text);
u32 number_option(const char *line, const char *name, u32 otherwise);
