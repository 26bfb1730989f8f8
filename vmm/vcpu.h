/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu.h - one thread that runs one virtual CPU: KVM_RUN, decode the exit, nothing else.
 *
 * vcpu_create/start/stop/destroy are called by the main thread. The group's pause and resume are
 * called by the I/O thread. What an exit means is decided by the handlers that the group was given;
 * they run on the vCPU's thread.
 */
#ifndef CLOCHE_VMM_VCPU_H
#define CLOCHE_VMM_VCPU_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "vmm/arch/arch.h"
#include "vmm/bus.h"
#include "vmm/kvm.h"

enum vcpu_stop { VCPU_TRIPLE_FAULT, VCPU_RESET, VCPU_INTERNAL_ERROR, VCPU_RUN_FAILED };

/* What a vCPU tells its owner; from a vCPU thread, once a VM that matters: the first one wins. */
struct vcpu_handlers {
	void *arg;
	/* The guest can't go on. @detail is one line; @pc may be 0. */
	void (*stopped)(void *arg, unsigned index, enum vcpu_stop why, uint64_t pc,
	                const char *detail);
	/* The first exit of all has come. */
	void (*first_exit)(void *arg);
};

struct vcpu {
	struct vcpu_group *group; /* borrowed */
	unsigned index;
	int fd;              /* owned */
	struct kvm_run *run; /* owned: shared with KVM */
	size_t run_size;
	pthread_t thread;
	bool started;
	atomic_ullong exits_mmio, exits_pio, exits_other;
};

struct vcpu_group {
	struct vcpu cpus[ARCH_CPUS_MAX];
	unsigned count;
	struct bus *mmio; /* borrowed */
	struct vcpu_handlers handlers;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t changed;
	bool pause_wanted, stop_wanted;
	unsigned parked;
	atomic_bool kicked; /* pause_wanted or stop_wanted: the vCPU threads' quick look */
	atomic_bool first_exit_seen;
};

/*
 * Creates @count vCPUs in the state of @entry, or, when that is NULL, in none: arch_vcpu_restore()
 * gives them theirs. No thread runs yet. 0 or -errno.
 */
int vcpu_group_init(struct vcpu_group *group, const struct kvm *kvm, unsigned count,
                    const struct guest_memory *memory, const struct arch_entry *entry,
                    struct bus *mmio, const struct vcpu_handlers *handlers, struct error *err);

/* Starts all threads, paused when @paused. 0 or -errno; then vcpu_group_finish() cleans up. */
int vcpu_group_start(struct vcpu_group *group, bool paused, struct error *err);

/*
 * The index of the vCPU whose thread calls, and where it is: for a register write, right behind the
 * instruction that did it. On any other thread -1 and 0.
 */
int vcpu_current(uint64_t *out_pc);

/*
 * Takes every vCPU out of the guest and parks it; returns when all are parked. Until they are
 * resumed their state is whole and may be read and written (KVM_GET_…) by the caller. Idempotent.
 */
void vcpu_group_pause(struct vcpu_group *group);

/* Lets parked vCPUs run again. Idempotent. */
void vcpu_group_resume(struct vcpu_group *group);

/* Stops and joins all threads, then frees the vCPUs. Takes a zeroed group. */
void vcpu_group_finish(struct vcpu_group *group);

#endif
