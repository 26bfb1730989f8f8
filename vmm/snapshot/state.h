/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state.h - the state of a whole VM but for its RAM, as sections: the same for a fork, in memory, and
 * for a snapshot, in a file. Main thread.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_STATE_H
#define CLOCHE_VMM_SNAPSHOT_STATE_H

#include "vmm/snapshot/sections.h"
#include "vmm/vm.h"

/*
 * Encodes a VM that is QUIESCED (pause.h), its configuration left out. 0 or -errno.
 */
int state_save(const struct vm *vm, struct sections_writer *out, struct error *err);

/*
 * Gives a VM whose devices are fresh and whose vCPUs were created without a state the one in
 * [bytes, bytes+size), which has passed sections_check(). RAM is the guest's already. With @foreign,
 * for what may come from another host, the processor is compared, too. 0 or -errno; then the VM can't run.
 */
int state_restore(struct vm *vm, const uint8_t *bytes, size_t size, bool foreign,
                  struct error *err);

#endif
