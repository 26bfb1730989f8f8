/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu.c - the run loop, and how a running vCPU is taken out of the guest.
 *
 * Leaving the guest: the asker sets the flag under the lock, sets .kicked, and sends SIG_KICK to
 * the thread. The signal handler sets immediate_exit in the thread's own kvm_run, so a signal that
 * comes between the thread's look at .kicked and KVM_RUN still makes KVM_RUN return at once
 * (KVM api.rst, 5, "immediate_exit"). The thread clears immediate_exit *before* it looks.
 *
 *	running --kick--> settled --> parked --resume--> running
 *	   \                              \
 *	    `---------- stop -------------`--> ended
 *
 * Settling: what a register or port access has read reaches the vCPU's registers only in the next
 * KVM_RUN (KVM api.rst, 5, "KVM_EXIT_MMIO"). So before it parks, a thread enters KVM_RUN once more
 * with immediate_exit set, which completes the access and runs nothing. A parked vCPU's state is
 * whole: it can be saved.
 */
#include "vmm/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/thread.h"

#define SIG_KICK SIGUSR1

/* i8042: a byte to this port pulses the reset line; `reboot=k` uses it, as on Firecracker. */
#define PORT_KEYBOARD_COMMAND 0x64
#define KEYBOARD_PULSE_RESET 0xfe

static __thread struct vcpu *this_vcpu;

int vcpu_current(uint64_t *out_pc)
{
	*out_pc = this_vcpu ? arch_vcpu_pc(this_vcpu->fd) : 0;
	return this_vcpu ? (int)this_vcpu->index : -1;
}

static void on_kick(int signal)
{
	(void)signal;
	if (this_vcpu)
		this_vcpu->run->immediate_exit = 1;
}

static int install_kick(struct error *err)
{
	struct sigaction action = { .sa_handler = on_kick };

	sigemptyset(&action.sa_mask);
	if (sigaction(SIG_KICK, &action, NULL))
		return error_set(err, -errno, "sigaction: %s", strerror(errno));
	return 0;
}

static int vcpu_create(struct vcpu *cpu, struct vcpu_group *group, const struct kvm *kvm,
                       unsigned index, const struct guest_memory *memory,
                       const struct arch_entry *entry, struct error *err)
{
	cpu->group = group;
	cpu->index = index;
	cpu->run_size = kvm->run_size;
	cpu->fd = ioctl(kvm->vm_fd, KVM_CREATE_VCPU, index);
	if (cpu->fd < 0)
		return error_set(err, -errno, "KVM_CREATE_VCPU %u: %s", index, strerror(errno));
	void *run = mmap(NULL, cpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
	if (run == MAP_FAILED)
		return error_set(err, -errno, "cannot map vCPU %u: %s", index, strerror(errno));
	cpu->run = run;
	/* In a forked child it would keep this VM alive when its own VMM has long ended. */
	if (madvise(run, cpu->run_size, MADV_DONTFORK))
		return error_set(err, -errno, "cannot keep vCPU %u from forks: %s", index,
		                 strerror(errno));
	if (!entry)
		return 0;
	return arch_vcpu_init(kvm->fd, cpu->fd, index, group->count, memory, entry, err);
}

int vcpu_group_init(struct vcpu_group *group, const struct kvm *kvm, unsigned count,
                    const struct guest_memory *memory, const struct arch_entry *entry,
                    struct bus *mmio, const struct vcpu_handlers *handlers, struct error *err)
{
	ASSERT(count >= 1 && count <= ARCH_CPUS_MAX);
	*group = (struct vcpu_group){ .count = count, .mmio = mmio, .handlers = *handlers };
	pthread_mutex_init(&group->lock, NULL);
	pthread_cond_init(&group->changed, NULL);
	for (unsigned i = 0; i < count; i++)
		group->cpus[i].fd = -1;

	int ret = install_kick(err);
	for (unsigned i = 0; i < count && ret == 0; i++)
		ret = vcpu_create(&group->cpus[i], group, kvm, i, memory, entry, err);
	if (ret)
		vcpu_group_finish(group);
	return ret;
}

/* Waits while a pause is wanted. False: the thread shall end. */
static bool park(struct vcpu *cpu)
{
	struct vcpu_group *group = cpu->group;

	pthread_mutex_lock(&group->lock);
	if (group->pause_wanted && !group->stop_wanted) {
		group->parked++;
		/* Once, not at each wake: parked vCPUs would keep waking each other. */
		pthread_cond_broadcast(&group->changed);
		while (group->pause_wanted && !group->stop_wanted)
			pthread_cond_wait(&group->changed, &group->lock);
		group->parked--;
	}
	bool go_on = !group->stop_wanted;
	pthread_mutex_unlock(&group->lock);
	return go_on;
}

static void count(atomic_ullong *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void handle_mmio(struct vcpu *cpu)
{
	struct kvm_run *run = cpu->run;
	uint64_t value = 0;
	unsigned size = run->mmio.len <= 8 ? run->mmio.len : 8;

	count(&cpu->exits_mmio);
	if (run->mmio.is_write) {
		memcpy(&value, run->mmio.data, size);
		bus_write(cpu->group->mmio, GPA(run->mmio.phys_addr), size, value);
		return;
	}
	bus_read(cpu->group->mmio, GPA(run->mmio.phys_addr), size, &value);
	memcpy(run->mmio.data, &value, sizeof(value));
}

/* No port has a device but the reset line: reads float, writes are dropped. True: reset. */
static bool handle_pio(struct vcpu *cpu)
{
	struct kvm_run *run = cpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	size_t bytes = (size_t)run->io.size * run->io.count;

	count(&cpu->exits_pio);
	if (run->io.direction == KVM_EXIT_IO_OUT)
		return run->io.port == PORT_KEYBOARD_COMMAND && bytes > 0 &&
		       data[0] == KEYBOARD_PULSE_RESET;
	/* The keyboard controller is never busy, or `reboot=k` would wait for it. */
	memset(data, run->io.port == PORT_KEYBOARD_COMMAND ? 0 : 0xff, bytes);
	return false;
}

static void stopped(struct vcpu *cpu, enum vcpu_stop why, const char *detail)
{
	const struct vcpu_handlers *handlers = &cpu->group->handlers;

	handlers->stopped(handlers->arg, cpu->index, why, arch_vcpu_pc(cpu->fd), detail);
}

static void stopped_internal(struct vcpu *cpu)
{
	const struct kvm_run *run = cpu->run;
	char detail[192];

	snprintf(detail, sizeof(detail), "KVM_EXIT_INTERNAL_ERROR suberror %u%s",
	         run->internal.suberror,
	         run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION
	                 ? ": KVM cannot emulate an instruction (`cloche doctor` tells whether "
	                   "this host interprets guest kernels)"
	                 : "");
	stopped(cpu, VCPU_INTERNAL_ERROR, detail);
}

/* One exit. False: this vCPU runs no further. */
static bool handle_exit(struct vcpu *cpu)
{
	char detail[96];

	switch (cpu->run->exit_reason) {
	case KVM_EXIT_MMIO:
		handle_mmio(cpu);
		return true;
	case KVM_EXIT_IO:
		if (!handle_pio(cpu))
			return true;
		stopped(cpu, VCPU_RESET, "the guest pulled the reset line");
		return false;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_IOAPIC_EOI: /* level pins only; older hosts send it for edge pins too */
		count(&cpu->exits_other);
		return true;
	case KVM_EXIT_SHUTDOWN:
		stopped(cpu, VCPU_TRIPLE_FAULT,
		        "triple fault: the CPU met an exception it could not deliver");
		return false;
	case KVM_EXIT_INTERNAL_ERROR:
		stopped_internal(cpu);
		return false;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(detail, sizeof(detail), "KVM_EXIT_FAIL_ENTRY, hardware reason 0x%llx",
		         cpu->run->fail_entry.hardware_entry_failure_reason);
		stopped(cpu, VCPU_INTERNAL_ERROR, detail);
		return false;
	default:
		snprintf(detail, sizeof(detail), "KVM exit reason %u has no handler",
		         cpu->run->exit_reason);
		stopped(cpu, VCPU_INTERNAL_ERROR, detail);
		return false;
	}
}

static void note_first_exit(struct vcpu_group *group)
{
	if (!atomic_load_explicit(&group->first_exit_seen, memory_order_relaxed) &&
	    !atomic_exchange(&group->first_exit_seen, true))
		group->handlers.first_exit(group->handlers.arg);
}

static bool run_once(struct vcpu *cpu)
{
	if (ioctl(cpu->fd, KVM_RUN, 0) == 0) {
		note_first_exit(cpu->group);
		return handle_exit(cpu);
	}
	if (errno == EINTR || errno == EAGAIN)
		return true;
	char detail[96];
	snprintf(detail, sizeof(detail), "KVM_RUN: %s", strerror(errno));
	stopped(cpu, VCPU_RUN_FAILED, detail);
	return false;
}

/* Completes the access that the last exit was for. False: this vCPU runs no further. */
static bool settle(struct vcpu *cpu)
{
	for (;;) {
		cpu->run->immediate_exit = 1;
		if (ioctl(cpu->fd, KVM_RUN, 0) < 0)
			return errno == EINTR || errno == EAGAIN;
		/* An access in several pieces exits once for each. */
		if (!handle_exit(cpu))
			return false;
	}
}

static void *vcpu_main(void *arg)
{
	struct vcpu *cpu = arg;
	bool running = true, entered = false;

	this_vcpu = cpu;
	while (running) {
		if (atomic_load(&cpu->group->kicked)) {
			if (entered && !settle(cpu)) {
				running = false;
				break;
			}
			if (!park(cpu))
				break;
		}
		cpu->run->immediate_exit = 0;
		/* Looked at once more: a kick before the line above would be forgotten. */
		if (atomic_load(&cpu->group->kicked))
			continue;
		entered = true;
		running = run_once(cpu);
	}
	/* A vCPU that can't go on still counts as parked for whoever pauses. */
	while (!running && park(cpu)) {
		pthread_mutex_lock(&cpu->group->lock);
		while (!cpu->group->pause_wanted && !cpu->group->stop_wanted)
			pthread_cond_wait(&cpu->group->changed, &cpu->group->lock);
		pthread_mutex_unlock(&cpu->group->lock);
	}
	this_vcpu = NULL;
	return NULL;
}

int vcpu_group_start(struct vcpu_group *group, bool paused, struct error *err)
{
	char name[16];
	int ret = 0;

	group->pause_wanted = paused;
	atomic_store(&group->kicked, paused);
	for (unsigned i = 0; i < group->count && ret == 0; i++) {
		snprintf(name, sizeof(name), "vcpu %u", i);
		ret = thread_start(&group->cpus[i].thread, name, SIG_KICK, vcpu_main,
		                   &group->cpus[i]);
		group->cpus[i].started = ret == 0;
	}
	if (ret)
		return error_set(err, ret, "cannot start a vCPU thread: %s", strerror(-ret));
	return 0;
}

static void kick_all(struct vcpu_group *group)
{
	atomic_store(&group->kicked, true);
	for (unsigned i = 0; i < group->count; i++)
		if (group->cpus[i].started)
			pthread_kill(group->cpus[i].thread, SIG_KICK);
	pthread_cond_broadcast(&group->changed);
}

static unsigned started_count(const struct vcpu_group *group)
{
	unsigned started = 0;

	for (unsigned i = 0; i < group->count; i++)
		started += group->cpus[i].started;
	return started;
}

void vcpu_group_pause(struct vcpu_group *group)
{
	pthread_mutex_lock(&group->lock);
	group->pause_wanted = true;
	kick_all(group);
	while (group->parked < started_count(group) && !group->stop_wanted)
		pthread_cond_wait(&group->changed, &group->lock);
	pthread_mutex_unlock(&group->lock);
}

void vcpu_group_resume(struct vcpu_group *group)
{
	pthread_mutex_lock(&group->lock);
	group->pause_wanted = false;
	atomic_store(&group->kicked, group->stop_wanted);
	pthread_cond_broadcast(&group->changed);
	pthread_mutex_unlock(&group->lock);
}

void vcpu_group_finish(struct vcpu_group *group)
{
	if (group->count == 0)
		return;
	pthread_mutex_lock(&group->lock);
	group->stop_wanted = true;
	kick_all(group);
	pthread_mutex_unlock(&group->lock);
	for (unsigned i = 0; i < group->count; i++) {
		struct vcpu *cpu = &group->cpus[i];

		if (cpu->started)
			pthread_join(cpu->thread, NULL);
		if (cpu->run)
			munmap(cpu->run, cpu->run_size);
		close_fd(&cpu->fd);
	}
	pthread_cond_destroy(&group->changed);
	pthread_mutex_destroy(&group->lock);
	group->count = 0;
}
