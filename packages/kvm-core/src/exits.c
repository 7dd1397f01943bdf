/*
 * The counterpart of exits.bench.ts: the least that a program in C does for the same guest, whose memory is in a file.
 *
 * exits FILE     nanoseconds between its writes to two ports
 * doorbell FILE  the median of nanoseconds from one doorbell to the next: it waits to be answered in memory
 * irqfd FILE     the median of nanoseconds from a signal of an irqfd to the handler's count in memory
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
  MEMORY = 1 << 20, CODE = 0x1000, GDT = 0x3000, IDT = 0x4000, ANSWER = 0x6000, STACK = 0x8000,
  START = 0x500, END = 0x504, DOORBELL = 0x700, LINE = 5, TIMES = 2000, PAUSE_NANOSECONDS = 100000,
};

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e9 + time.tv_nsec;
}

static int checked(int result, const char *what) {
  if (result >= 0) return result;
  perror(what);
  exit(1);
}

static int vm, vcpu;
static char *memory;
static struct kvm_run *run;

/* Makes a machine with the guest of a file. */
static void make(const char *file) {
  int kvm = checked(open("/dev/kvm", O_RDWR), "/dev/kvm");
  vm = checked(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
  checked(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
  checked(ioctl(vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
  memory = mmap(0, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  FILE *image = fopen(file, "r");
  if (image == 0 || fread(memory, 1, MEMORY, image) == 0) checked(-1, file);
  fclose(image);
  struct kvm_userspace_memory_region region = {.memory_size = MEMORY, .userspace_addr = (unsigned long)memory};
  checked(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
  vcpu = checked(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
  run = mmap(0, checked(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "mmap size"), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
  struct kvm_sregs sregs;
  checked(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
  struct kvm_segment code = {.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .db = 1, .s = 1, .g = 1}, data = code;
  data.selector = 16;
  data.type = 3;
  sregs.cs = code;
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
  sregs.gdt.base = GDT;
  sregs.gdt.limit = 23;
  sregs.idt.base = IDT;
  sregs.idt.limit = 0x17f;
  sregs.cr0 = 1;
  checked(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
  struct kvm_regs regs = {.rip = CODE, .rsp = STACK, .rflags = 2};
  checked(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

/* Runs the guest. @return nanoseconds between what it writes to START and to END */
static double exits(void) {
  double start = 0;
  volatile unsigned last = 0;
  for (;;) {
    checked(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
    if (run->exit_reason == KVM_EXIT_IO) {
      unsigned value = *(unsigned *)((char *)run + run->io.data_offset);
      if (run->io.port == START) start = now();
      else if (run->io.port == END) return now() - start;
      else last = value;
    } else if (run->exit_reason == KVM_EXIT_MMIO) memcpy((void *)&last, run->mmio.data, 4);
    else checked(-1, "exit");
  }
}

static void *guest(void *nothing) {
  exits();
  return nothing;
}

static int ascending(const void *a, const void *b) { return *(double *)a < *(double *)b ? -1 : 1; }
static double median(double *samples) {
  qsort(samples, TIMES, sizeof *samples, ascending);
  return samples[TIMES / 2];
}

static double samples[TIMES];

static double doorbell(void) {
  int bell = checked(eventfd(0, EFD_NONBLOCK), "eventfd");
  struct kvm_ioeventfd wire = {.addr = DOORBELL, .len = 4, .fd = bell, .flags = KVM_IOEVENTFD_FLAG_PIO};
  checked(ioctl(vm, KVM_IOEVENTFD, &wire), "KVM_IOEVENTFD");
  pthread_t thread;
  pthread_create(&thread, 0, guest, 0);
  double before = 0;
  for (int i = -1; i < TIMES; i++) {
    struct pollfd wait = {.fd = bell, .events = POLLIN};
    unsigned long long count;
    checked(poll(&wait, 1, -1), "poll");
    if (read(bell, &count, 8) != 8) checked(-1, "read");
    double at = now();
    if (i >= 0) samples[i] = at - before;
    before = at;
    __atomic_store_n((unsigned *)(memory + ANSWER), 1, __ATOMIC_SEQ_CST);
  }
  return median(samples);
}

static double irqfd(void) {
  int signal = checked(eventfd(0, EFD_NONBLOCK), "eventfd");
  struct kvm_irqfd wire = {.fd = signal, .gsi = LINE};
  checked(ioctl(vm, KVM_IRQFD, &wire), "KVM_IRQFD");
  pthread_t thread;
  pthread_create(&thread, 0, guest, 0);
  unsigned *count = (unsigned *)(memory + ANSWER);
  usleep(300000);
  for (int i = 0; i < TIMES; i++) {
    unsigned before = __atomic_load_n(count, __ATOMIC_SEQ_CST);
    unsigned long long one = 1;
    double start = now();
    if (write(signal, &one, 8) != 8) checked(-1, "write");
    while (__atomic_load_n(count, __ATOMIC_SEQ_CST) == before) {
    }
    samples[i] = now() - start;
    /* The guest halts again. */
    for (double end = now() + PAUSE_NANOSECONDS; now() < end;) {
    }
  }
  return median(samples);
}

int main(int count, char **words) {
  if (count != 3) return 2;
  make(words[2]);
  const char *what = words[1];
  printf("%.0f\n", strcmp(what, "exits") == 0 ? exits() : strcmp(what, "doorbell") == 0 ? doorbell() : irqfd());
  return 0;
}
