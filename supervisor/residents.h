/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * residents.h - the folder of resident templates: raw guest memory on the tmpfs of the sessions, which
 * VMMs make (cloche-vmm(1), --templates) and share. It lies among the sessions, as ".templates": no
 * session's name begins with a dot. Single thread.
 */
#ifndef CLOCHE_SUPERVISOR_RESIDENTS_H
#define CLOCHE_SUPERVISOR_RESIDENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/template.h"

struct residents {
	int fd;     /* owned */
	char *path; /* owned, absolute */
};

#define RESIDENTS_INIT                                                                             \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/* Opens the folder, making it. -1: no place for it, or one that isn't ours. */
int residents_open(struct residents *out_residents, struct failure *failure);
void residents_close(struct residents *residents);
#define cleanup_residents __attribute__((cleanup(residents_close)))

/* True if the snapshot @id is there, or @bytes of it would find room and leave some. */
bool residents_can_hold(const struct residents *residents, const char *id, uint64_t bytes);

/* Removes those of snapshots that no template of @folder uses; sessions keep what they have mapped. */
void residents_prune(const struct residents *residents, const struct template_folder *folder);

#endif
