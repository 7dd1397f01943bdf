/* Where an image begins: in flat 32-bit mode, by a multiboot loader or with a jump to its entry. */

#define MAGIC 0x1badb002
#define HAS_ADDRESSES 0x10000
#define CODE 0x08
#define DATA 0x10

.section .multiboot, "a"
.balign 4
header:
  .long MAGIC, HAS_ADDRESSES, -(MAGIC + HAS_ADDRESSES)
  .long header, image_start, image_data_end, image_end, start

.text
.global start
start:
  cli
  cld
  movl $stack_end, %esp
  /* A loader without multiboot leaves anything in these. */
  pushl %ebx
  pushl %eax
  lgdt gdt_pointer
  ljmp $CODE, $1f
1:
  movl $DATA, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %fs
  movl %eax, %gs
  movl %eax, %ss
  call guest_main
0:
  cli
  hlt
  jmp 0b

/* One entry for each interrupt line: it calls interrupt(line), and returns without iret, which not every engine runs. */
.macro entry line
.global line_\line
line_\line:
  pushfl
  pushal
  cld
  pushl $\line
  call interrupt
  addl $4, %esp
  popal
  popfl
  sti
  lret $4
.endm

.irp line, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
entry \line
.endr

.section .rodata
.balign 8
gdt:
  .quad 0
  .quad 0x00cf9b000000ffff
  .quad 0x00cf93000000ffff
gdt_pointer:
  .word gdt_pointer - gdt - 1
  .long gdt

.global line_entries
.balign 4
line_entries:
.irp line, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
  .long line_\line
.endr

.bss
.balign 16
.skip 16384
stack_end:
