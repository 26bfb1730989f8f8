/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording_seen.c - see recording_seen.h: open addressing, linear probing. Single thread.
 */
#include "supervisor/recording_seen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#include "lib/log.h"

int seen_init(struct seen *seen, size_t slots_max)
{
	ASSERT(slots_max >= SEEN_SLOTS_MIN && (slots_max & (slots_max - 1)) == 0);
	*seen = (struct seen){ .slots = SEEN_SLOTS_MIN, .slots_max = slots_max };
	if (getrandom(seen->secret, sizeof(seen->secret), 0) != (ssize_t)sizeof(seen->secret))
		return -errno;
	seen->entries = calloc(seen->slots, sizeof(*seen->entries));
	return seen->entries ? 0 : -ENOMEM;
}

void seen_finish(struct seen *seen)
{
	free(seen->entries);
	*seen = (struct seen){ 0 };
}

/* Where @low, @high is, or would be put. */
static struct seen_entry *find(const struct seen *seen, uint64_t low, uint64_t high)
{
	size_t i = (size_t)low & (seen->slots - 1);

	while ((seen->entries[i].low || seen->entries[i].high) &&
	       (seen->entries[i].low != low || seen->entries[i].high != high))
		i = (i + 1) & (seen->slots - 1);
	return &seen->entries[i];
}

static void put(struct seen *seen, const struct seen_entry *entry)
{
	*find(seen, entry->low, entry->high) = *entry;
	seen->used++;
}

static void clear(struct seen *seen)
{
	memset(seen->entries, 0, seen->slots * sizeof(*seen->entries));
	seen->used = 0;
}

/* Room for one more. Where there is no memory for a larger table it forgets, like a full one. */
static void make_room(struct seen *seen)
{
	struct seen old = *seen;

	if (seen->used < seen->slots / 4 * 3)
		return;
	struct seen_entry *entries =
		old.slots < old.slots_max ? calloc(old.slots * 2, sizeof(*entries)) : NULL;
	if (!entries) {
		clear(seen);
		return;
	}
	seen->entries = entries;
	seen->slots = old.slots * 2;
	seen->used = 0;
	for (size_t i = 0; i < old.slots; i++)
		if (old.entries[i].low || old.entries[i].high)
			put(seen, &old.entries[i]);
	free(old.entries);
}

bool seen_look(struct seen *seen, const void *data, size_t size, uint32_t number,
               uint32_t *out_number)
{
	XXH128_hash_t hash = XXH3_128bits_withSecret(data, size, seen->secret, SEEN_SECRET_SIZE);
	struct seen_entry *entry = find(seen, hash.low64, hash.high64);

	if (entry->low || entry->high) {
		*out_number = entry->number;
		return true;
	}
	make_room(seen);
	put(seen, &(struct seen_entry){ hash.low64, hash.high64, number });
	return false;
}
