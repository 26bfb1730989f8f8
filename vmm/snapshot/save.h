/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * save.h - a forked child that writes a snapshot file and ends. Its first thread; compressing is done by
 * workers of its own, which have a lower priority than the guest.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_SAVE_H
#define CLOCHE_VMM_SNAPSHOT_SAVE_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/snapshot/file.h"
#include "vmm/vm.h"

/* All borrowed. */
struct save {
	const char *path, *parent; /* parent: NULL for a whole file */
	int progress_fd;           /* JSON lines go there, cloche-protocol(7) */
	struct snapshot_id id;
	const uint8_t *state;
	size_t state_size;
};

/* Writes the RAM of @vm and the state. Ends the process: 0, or 1 after having said why. */
__attribute__((noreturn)) void save_run(struct vm *vm, const struct save *save);

#endif
