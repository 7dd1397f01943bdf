/*
 * The counterpart of exits.bench.ts: the least that a program in C does for the same guest. It prints nanoseconds for an exit to a port,
 * and to memory.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

enum { MEMORY = 1 << 20, CODE = 0x1000, START = 0x500, END = 0x504 };

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

/* Runs the guest in a file. @return nanoseconds between what it writes to START and to END */
static double run(int kvm, const char *file) {
  int vm = checked(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
  checked(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
  checked(ioctl(vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
  char *memory = mmap(0, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  FILE *image = fopen(file, "r");
  if (image == 0 || fread(memory + CODE, 1, 4096, image) == 0) checked(-1, file);
  fclose(image);
  struct kvm_userspace_memory_region region = {.memory_size = MEMORY, .userspace_addr = (unsigned long)memory};
  checked(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
  int vcpu = checked(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
  struct kvm_run *run = mmap(0, checked(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "mmap size"), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
  struct kvm_sregs sregs;
  checked(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
  struct kvm_segment code = {.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .db = 1, .s = 1, .g = 1}, data = code;
  data.selector = 16;
  data.type = 3;
  sregs.cs = code;
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
  sregs.cr0 = 1;
  checked(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
  struct kvm_regs regs = {.rip = CODE, .rflags = 2};
  checked(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
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

int main(int count, char **files) {
  int kvm = checked(open("/dev/kvm", O_RDWR), "/dev/kvm");
  for (int i = 1; i < count; i++) printf("%.0f\n", run(kvm, files[i]));
  return 0;
}
