/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clone.h - what a forked child does to become a VM of its own. Its only thread.
 *
 * It inherits the original's memory, guest RAM among it, and copies of all its descriptors. It keeps the
 * RAM, the mapping of the root image and /dev/kvm, and nothing else: sockets, clients, eventfds and the
 * VM itself stay the original's. What the original had on its heap is left where it is: touching it,
 * if only to free it, would make private what is shared.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_CLONE_H
#define CLOCHE_VMM_SNAPSHOT_CLONE_H

#include "lib/error.h"
#include "vmm/snapshot/copy.h"
#include "vmm/vm.h"

/* Closes every descriptor but stdin, stdout, stderr and *@keep, which moves to number 3. */
void clone_close_others(int *keep);

/*
 * Right after copies_make() has returned @plan: leaves the original's process group, logs to plan->log
 * from now on, and makes of *@vm one that has memory, state, and a configuration, *@config, of its own.
 * vm_adopt() and the steps behind it go on (vm.h). 0 or -errno.
 */
int clone_begin(struct vm *vm, struct vm_config *config, const struct clone_plan *plan,
                struct error *err);

#endif
