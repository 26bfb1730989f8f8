/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * copy.h - copies of a running VM: sessions (fork) and files (snapshot).
 *
 * Both are the same to the guest: the VM is brought to rest (pause.h), its state is encoded, the process
 * forks, and the VM runs on. The child owns all RAM as it was at that moment, copy-on-write. It becomes
 * either a VM of its own (clone.h) or the writer of a file, which ends when that is written (save.h).
 *
 * fork(2) must not happen inside the event loop, whose callbacks the child would go on with. So requests
 * are kept, the loop is stopped, and vm_run() calls copies_make(). I/O thread.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_COPY_H
#define CLOCHE_VMM_SNAPSHOT_COPY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/error.h"
#include "vmm/snapshot/file.h"
#include "vmm/virtio/net.h"

#define COPY_CLONES_MAX 64u

struct vm;

/* A session to be made by a fork. Absolute paths; all strings are owned. */
struct clone_plan {
	char *name, *control, *vsock, *report, *console, *log;
	char *vnc; /* NULL: no socket for viewers */
	char *net; /* what its card is plugged into, as --net has it; NULL: nothing */
	uint64_t ttl_s;
};

/* How a request has ended. Borrowed by the callback. */
struct copy_result {
	struct error err; /* .code 0: it is done */
	const pid_t *pids;
	unsigned pid_count;
	uint64_t pause_ns; /* from the last instruction of the vCPUs to their next */
	struct snapshot_id id;
};

typedef void copy_done(void *arg, const struct copy_result *result);

/*
 * Asks for @count clones of this VM (1 to COPY_CLONES_MAX), all of the same moment. @plans are stolen.
 * @done is called once, later, in the original only.
 */
void copies_fork(struct vm *vm, struct clone_plan *plans, unsigned count, copy_done *done,
                 void *arg);

/*
 * Asks for a snapshot file at @path, a difference to the one at @parent (or NULL); both are absolute and
 * stolen. The writer tells its progress on @progress_fd, which is taken over. @done is called when the
 * VM runs on.
 */
void copies_snapshot(struct vm *vm, char *path, char *parent, int progress_fd, copy_done *done,
                     void *arg);

void clone_plan_finish(struct clone_plan *plan);

/*
 * What a copy waits for may have come: all memory is there, and a guest that is a copy itself has
 * acknowledged, so that each generation is acknowledged by the guest that it was given to.
 */
void copies_go_on(struct vm *vm);

/*
 * Makes all copies that were asked for; the loop isn't running. NULL in the original. In a child that is
 * to become a VM: its plan, owned by the process; the caller then goes on in clone.h. A child that
 * writes a file doesn't return.
 */
const struct clone_plan *copies_make(struct vm *vm);

/* The session ends: whoever still waits for a copy is told. */
void copies_end(struct vm *vm);

#endif
