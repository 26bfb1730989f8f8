/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording_seen.h - which pixels were stored before, and under which number: a table by their hash.
 *
 * The hash is XXH3-128 with a secret drawn for the table: a page can't be painted so that two tiles of
 * it are taken for one. A table that is full forgets all; what comes again is then stored again. Single
 * thread.
 */
#ifndef CLOCHE_SUPERVISOR_RECORDING_SEEN_H
#define CLOCHE_SUPERVISOR_RECORDING_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEEN_SECRET_SIZE 192u
#define SEEN_SLOTS_MIN ((size_t)1 << 12)

struct seen_entry {
	uint64_t low, high; /* the hash; both 0: empty */
	uint32_t number;
};

struct seen {
	struct seen_entry *entries; /* owned */
	size_t slots, slots_max;    /* powers of two */
	size_t used;
	uint8_t secret[SEEN_SECRET_SIZE];
};

/* At most @slots_max entries, 24 bytes each, three quarters of them used. 0 or -errno. */
int seen_init(struct seen *seen, size_t slots_max);

/* Takes one that is all zeros. */
void seen_finish(struct seen *seen);

/*
 * True: the @size bytes were given before, *out_number is theirs. False: they weren't, and are @number
 * from now on.
 */
bool seen_look(struct seen *seen, const void *data, size_t size, uint32_t number,
               uint32_t *out_number);

#endif
