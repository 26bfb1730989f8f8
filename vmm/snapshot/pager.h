/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pager.h - guest RAM that comes from a snapshot file when it is touched, and by and by all the same.
 *
 * The order is: pager_create() in place of loading; pager_start() before anything of the VMM's looks
 * at RAM; when handlers.finished() was called, or the VM ends, pager_finish(). All of it by the main
 * thread. RAM that isn't there yet stops whoever touches it, in KVM_RUN, in a system call or in the
 * VMM itself, until it is there: between create and start that is for ever.
 *
 * What can't be read is never there: no wrong byte is ever seen, but who touched it stays where it is.
 * So handlers.failed() must be able to end the process without the help of any other thread.
 *
 * A forked copy has no pager: fork when it has finished. guest_memory_discard() says -EAGAIN until
 * then.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_PAGER_H
#define CLOCHE_VMM_SNAPSHOT_PAGER_H

#include "vmm/memory.h"
#include "vmm/snapshot/file.h"

#define PAGER_PATIENCE_S 30u /* a fault that waits longer is a failure */

/* While an order is recorded nothing is loaded ahead: until this long without a fault, or in all. */
#define PAGER_RECORD_QUIET_S 10u
#define PAGER_RECORD_MAX_S 300u

struct pager;

struct pager_config {
	/* May be NULL, a hint: a first-touch order (touch.h) to load first; warned of when unfit. */
	const char *touch;
	/*
	 * May be NULL: where to write the order of this run: first @touch's, which it is the better for,
	 * then what was missed. Written when recording ends: as above, by pager_hurry(), by the end.
	 */
	const char *record;
};

struct pager_handlers {
	void *arg;
	/* A chunk that can't be read, or a fault that waits too long. At most once, from any thread. */
	void (*failed)(void *arg, const char *message);
	/* All RAM is there, and the pager's out of the way. Once, from a thread of the pager's. */
	void (*finished)(void *arg);
};

/*
 * Takes @memory's RAM, which is fresh from guest_memory_init(), into its care. @memory and @file are
 * borrowed and stay where they are until pager_finish(). 0; -ENOTSUP: userfaultfd isn't to be had
 * here, and RAM is still as it was; -errno with @err. Reads none of the RAM's contents.
 */
int pager_create(struct guest_memory *memory, const struct snapshot_file *file,
                 const struct pager_config *config, struct pager **out_pager, struct error *err);

/* Starts its threads. 0 or -errno with @err: then end with pager_finish(). */
int pager_start(struct pager *pager, const struct pager_handlers *handlers, struct error *err);

/*
 * Somebody waits for all of RAM (a fork, a snapshot): no more idle priority, no more recording. Any
 * thread, any number of times; doesn't block.
 */
void pager_hurry(struct pager *pager);

/* All RAM is there. Any thread. */
bool pager_is_complete(const struct pager *pager);

/*
 * Stops and frees; takes NULL. Waits for its threads, which may be reading the file, and for the end
 * of a handler: not to be called from one. Unless the pager is complete RAM is good for nothing
 * afterwards: no vCPU may run any more, as what is missing now reads as zeros.
 */
void pager_finish(struct pager *pager);

#endif
