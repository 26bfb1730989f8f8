/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * generation.h - the guest as a clone: hearing from the kernel that it has become one. The verb
 * "generation" is there too. The agent's thread.
 */
#ifndef CLOCHE_GUEST_GENERATION_H
#define CLOCHE_GUEST_GENERATION_H

#include <stdbool.h>
#include <stddef.h>

struct agent;
struct generation; /* opaque */

/*
 * Follows the kernel's log from here on; outside of a guest there is nothing to follow. A log that
 * can't be had is said, and fails the verb later. 0 or -ENOMEM.
 */
int generation_create(struct agent *agent, struct generation **out_generation);

/* Requests under way must have been cancelled. Takes NULL. */
void generation_destroy(struct generation *generation);

/*
 * True for a record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg) in which the kernel itself
 * says that it has reseeded for a new generation. Pure.
 */
bool generation_is_announced(const char *record, size_t size);

#endif
