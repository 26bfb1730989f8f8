/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * floor.c - the least that KVM asks for before a guest's first exit: the yardstick of
 * start.vs_floor, and of copies. A VM, split irqchip, one memory slot over a private mapping of a template, one
 * vCPU with its state set, KVM_RUN. No options, no devices, no threads, no files.
 *
 *	floor prepare FD SIZE	writes the template: tables and code for a guest in ring 3
 *	floor run FD SIZE	runs it; prints CLOCK_MONOTONIC in ns at open of /dev/kvm, first exit
 *	floor read FD SIZE	\
 *	floor write FD SIZE	 | times exits instead, for exit.cost: ns a line for each ROUND of them, "khz N"
 *	floor notify FD SIZE	/
 *	floor fork MIB SIZE	is copied by fork(2), of SIZE bytes on huge pages MIB were written to: for
 *				each line of its input, "FORK_NS EXIT_NS KIB", the call's time, that from
 *				it to the first exit of a new VM in the child, the child's private memory
 *
 * FD is an open memfd, SIZE its bytes. The guest is the one of guest.c, as bytes; to time exits it
 * is a loop over an address without memory, where for notify an eventfd is that nobody reads.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/bench/tsc.h"

/* Guest addresses in the template. */
#define GDT 0x1000u
#define TSS 0x2000u
#define PML4 0x8000u
#define PDPT 0x9000u
#define PD 0xa000u
#define CODE 0x200000u

#define USER_PAGE 0x7u /* present, writable, user */
#define HUGE_PAGE 0x80u
#define TSS_SIZE 0x68u
#define TSS_IOMAP 0x66u
#define TSS_LIMIT (TSS_SIZE + 8192u) /* a bit a port, and the closing byte */

#define CODE_SEGMENT 0x00affb000000ffffull /* 64-bit, ring 3 */
#define DATA_SEGMENT 0x00cff3000000ffffull /* ring 3 */
#define TSS_SEGMENT (0x0000890000000000ull | (uint64_t)TSS << 16 | TSS_LIMIT)

#define IOAPIC_PINS 24

/* Mapped by the tables, beyond any memory. */
#define NOWHERE 0x3ff00000u
#define ROUNDS 200
#define ROUND 100

static uint8_t *map(int fd, size_t size, int flags)
{
	uint8_t *ram = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (ram == MAP_FAILED)
		err(1, "mmap");
	return ram;
}

static void prepare(uint8_t *ram)
{
	static const uint8_t code[] = { 0xe6, 0x80 }; /* out %al, $0x80 */
	uint64_t *gdt = (uint64_t *)(void *)(ram + GDT);
	uint64_t *pd = (uint64_t *)(void *)(ram + PD);
	uint16_t iomap = TSS_SIZE;

	gdt[2] = CODE_SEGMENT;
	gdt[3] = DATA_SEGMENT;
	gdt[4] = TSS_SEGMENT;
	memcpy(ram + TSS + TSS_IOMAP, &iomap, sizeof(iomap));
	ram[TSS + TSS_LIMIT] = 0xff;
	*(uint64_t *)(void *)(ram + PML4) = PDPT | USER_PAGE;
	*(uint64_t *)(void *)(ram + PDPT) = PD | USER_PAGE;
	for (uint64_t i = 0; i < 512; i++)
		pd[i] = i << 21 | HUGE_PAGE | USER_PAGE;
	memcpy(ram + CODE, code, sizeof(code));
}

static void set_state(int vcpu)
{
	struct kvm_segment code = { .limit = 0xffffffff,
		                    .selector = 0x13,
		                    .type = 0xb,
		                    .present = 1,
		                    .dpl = 3,
		                    .s = 1,
		                    .l = 1,
		                    .g = 1 };
	struct kvm_segment data = { .limit = 0xffffffff,
		                    .selector = 0x1b,
		                    .type = 0x3,
		                    .present = 1,
		                    .dpl = 3,
		                    .s = 1,
		                    .db = 1,
		                    .g = 1 };
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		err(1, "KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.tr = (struct kvm_segment){
		.base = TSS, .limit = TSS_LIMIT, .selector = 0x20, .type = 0xb, .present = 1
	};
	sregs.gdt = (struct kvm_dtable){ .base = GDT, .limit = 0x2f };
	sregs.cr3 = PML4;
	sregs.cr4 |= 0x20;      /* PAE */
	sregs.cr0 = 0x80010033; /* PG WP NE ET MP PE */
	sregs.efer |= 0x500;    /* LMA LME */
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
		err(1, "the vCPU's state");
}

struct machine {
	uint64_t opened_ns;
	int vm, vcpu;
	struct kvm_run *state;
	uint8_t *ram;
};

/* A machine over @ram, or over a private mapping of @fd if that is NULL. */
static struct machine create(int fd, uint8_t *ram, size_t size)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { IOAPIC_PINS } };
	uint64_t opened_ns = clock_now_ns();
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);

	if (vm < 0 || ioctl(vm, KVM_ENABLE_CAP, &split))
		err(1, "/dev/kvm");
	if (!ram)
		ram = map(fd, size, MAP_PRIVATE | MAP_NORESERVE);
	struct kvm_userspace_memory_region slot = { .memory_size = size,
		                                    .userspace_addr = (uintptr_t)ram };
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot))
		err(1, "KVM_SET_USER_MEMORY_REGION");
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	int run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vcpu < 0 || run_size <= 0)
		err(1, "KVM_CREATE_VCPU");
	struct kvm_run *state =
		mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (state == MAP_FAILED)
		err(1, "mmap of the vCPU");
	set_state(vcpu);
	return (struct machine){ opened_ns, vm, vcpu, state, ram };
}

static void run_to_exit(const struct machine *machine, uint32_t reason)
{
	if (ioctl(machine->vcpu, KVM_RUN, 0))
		err(1, "KVM_RUN");
	if (machine->state->exit_reason != reason)
		errx(1, "exit reason %u", machine->state->exit_reason);
}

static void run(int fd, size_t size)
{
	struct machine machine = create(fd, NULL, size);

	run_to_exit(&machine, KVM_EXIT_IO);
	uint64_t exit_ns = clock_now_ns();
	if (machine.state->io.port != 0x80)
		errx(1, "port %u", machine.state->io.port);
	printf("%llu %llu\n", (unsigned long long)machine.opened_ns, (unsigned long long)exit_ns);
}

static unsigned private_kib(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "re");
	char line[128];
	unsigned kib, total = 0;

	if (!file)
		err(1, "smaps_rollup");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Private_Clean: %u", &kib) == 1 ||
		    sscanf(line, "Private_Dirty: %u", &kib) == 1)
			total += kib;
	fclose(file);
	return total;
}

/* What the child says of itself. */
struct child {
	uint64_t exit_ns;
	unsigned private_kib;
};

static void run_child(int out, uint8_t *ram, size_t size)
{
	struct machine machine = create(-1, ram, size);

	run_to_exit(&machine, KVM_EXIT_IO);
	struct child said = { .exit_ns = clock_now_ns() };
	said.private_kib = private_kib();
	if (write(out, &said, sizeof(said)) != sizeof(said))
		err(1, "write");
	_exit(0);
}

static void fork_once(uint8_t *ram, size_t size)
{
	int ends[2], status;
	struct child said;

	if (pipe2(ends, O_CLOEXEC))
		err(1, "pipe");
	uint64_t begun_ns = clock_now_ns();
	pid_t pid = fork();
	if (pid == 0)
		run_child(ends[1], ram, size);
	uint64_t forked_ns = clock_now_ns();
	close(ends[1]);
	if (pid < 0 || read(ends[0], &said, sizeof(said)) != sizeof(said))
		errx(1, "no child");
	close(ends[0]);
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "the child's status is %d", status);
	printf("%llu %llu %u\n", (unsigned long long)(forked_ns - begun_ns),
	       (unsigned long long)(said.exit_ns - begun_ns), said.private_kib);
	fflush(stdout);
}

static void fork_rounds(size_t touched, size_t size)
{
	const size_t huge = 2u << 20;
	uint8_t *ram = map(-1, size + huge, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	int c;

	ram += huge - (uintptr_t)ram % huge;
	if (touched > size || madvise(ram, size, MADV_HUGEPAGE))
		err(1, "madvise");
	memset(ram, 1, touched);
	memset(ram, 0, CODE);
	prepare(ram);
	while ((c = getchar()) != EOF)
		if (c == '\n')
			fork_once(ram, size);
}

/* Every @exits exits are a round. */
static void print_rounds(const struct machine *machine, uint32_t reason, unsigned exits)
{
	struct tsc_mark begun = tsc_mark();

	run_to_exit(machine, reason);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t begun_ns = clock_now_ns();

		for (unsigned k = 0; k < exits; k++)
			run_to_exit(machine, reason);
		printf("%llu\n", (unsigned long long)(clock_now_ns() - begun_ns));
	}
	tsc_print_rate(begun);
}

static void time_accesses(int fd, size_t size, const uint8_t *code, size_t code_size)
{
	struct machine machine = create(fd, NULL, size);

	memcpy(machine.ram + CODE, code, code_size);
	print_rounds(&machine, KVM_EXIT_MMIO, ROUND);
}

static void time_notifications(int fd, size_t size, const uint8_t *code, size_t code_size)
{
	struct machine machine = create(fd, NULL, size);
	struct kvm_ioeventfd notify = { .addr = NOWHERE,
		                        .len = 4,
		                        .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		                        .flags = KVM_IOEVENTFD_FLAG_DATAMATCH };

	if (notify.fd < 0 || ioctl(machine.vm, KVM_IOEVENTFD, &notify))
		err(1, "KVM_IOEVENTFD");
	memcpy(machine.ram + CODE, code, code_size);
	print_rounds(&machine, KVM_EXIT_IO, 1);
}

/* The loops, each from: mov $NOWHERE, %edx; xor %eax, %eax */
#define LOOP_HEAD 0xba, 0x00, 0x00, 0xf0, 0x3f, 0x31, 0xc0

static bool time_exits(const char *what, int fd, size_t size)
{
	/* 1: mov (%rdx), %ecx; jmp 1b */
	static const uint8_t reads[] = { LOOP_HEAD, 0x8b, 0x0a, 0xeb, 0xfc };
	/* 1: mov %eax, (%rdx); jmp 1b */
	static const uint8_t writes[] = { LOOP_HEAD, 0x89, 0x02, 0xeb, 0xfc };
	/* 1: mov $ROUND, %ecx; 2: mov %eax, (%rdx); dec %ecx; jnz 2b; out %al, $0x80; jmp 1b */
	static const uint8_t notifies[] = { LOOP_HEAD, 0xb9, ROUND, 0,    0,    0,    0x89, 0x02,
		                            0xff,      0xc9, 0x75,  0xfa, 0xe6, 0x80, 0xeb, 0xf1 };

	if (strcmp(what, "read") == 0)
		time_accesses(fd, size, reads, sizeof(reads));
	else if (strcmp(what, "write") == 0)
		time_accesses(fd, size, writes, sizeof(writes));
	else if (strcmp(what, "notify") == 0)
		time_notifications(fd, size, notifies, sizeof(notifies));
	else
		return false;
	return true;
}

int main(int argc, char *argv[])
{
	if (argc != 4)
		errx(2, "usage: floor prepare|run|read|write|notify FD SIZE, floor fork MIB SIZE");
	int fd = atoi(argv[2]);
	size_t size = strtoull(argv[3], NULL, 10);

	if (strcmp(argv[1], "prepare") == 0)
		prepare(map(fd, size, MAP_SHARED));
	else if (strcmp(argv[1], "fork") == 0)
		fork_rounds((size_t)fd << 20, size);
	else if (!time_exits(argv[1], fd, size))
		run(fd, size);
	return 0;
}
