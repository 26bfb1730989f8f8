/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/touch_record.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"

struct touch_record {
	const struct snapshot_file *file;
	char *path; /* owned */
	_Atomic uint64_t last_ns;
	pthread_mutex_t lock;     /* over all below */
	struct touch_order order; /* room for every chunk */
	uint8_t *seen;            /* owned; a bit a chunk */
	bool ended;
};

int touch_record_create(const char *path, const struct snapshot_file *file,
                        struct touch_record **out_record)
{
	uint64_t chunks = snapshot_file_chunk_count(file);
	struct touch_record *record = calloc(1, sizeof(*record));

	if (!record)
		return -ENOMEM;
	pthread_mutex_init(&record->lock, NULL);
	record->file = file;
	record->path = strdup(path);
	record->order.chunks = malloc(chunks * sizeof(*record->order.chunks));
	record->seen = calloc((chunks + 7) / 8, 1);
	atomic_init(&record->last_ns, clock_now_ns());
	if (!record->path || !record->order.chunks || !record->seen) {
		touch_record_destroy(record);
		return -ENOMEM;
	}
	*out_record = record;
	return 0;
}

static void add(struct touch_record *record, uint32_t chunk)
{
	uint8_t bit = (uint8_t)(1u << chunk % 8);

	if (record->seen[chunk / 8] & bit)
		return;
	record->seen[chunk / 8] |= bit;
	record->order.chunks[record->order.count++] = chunk;
}

void touch_record_note(struct touch_record *record, uint32_t chunk, uint64_t now_ns)
{
	ASSERT(chunk < snapshot_file_chunk_count(record->file));
	pthread_mutex_lock(&record->lock);
	if (!record->ended) {
		atomic_store(&record->last_ns, now_ns);
		add(record, chunk);
	}
	pthread_mutex_unlock(&record->lock);
}

uint64_t touch_record_last_ns(const struct touch_record *record)
{
	return atomic_load(&record->last_ns);
}

void touch_record_end(struct touch_record *record, const struct touch_order *before)
{
	struct error err = { 0 };

	pthread_mutex_lock(&record->lock);
	ASSERT(!record->ended);
	record->ended = true;
	for (size_t i = 0; i < before->count; i++)
		add(record, before->chunks[i]);
	pthread_mutex_unlock(&record->lock);
	if (touch_write(record->path, snapshot_file_id(record->file),
	                snapshot_file_chunk_count(record->file), &record->order, &err))
		log_warn("%s", err.msg);
}

void touch_record_destroy(struct touch_record *record)
{
	if (!record)
		return;
	pthread_mutex_destroy(&record->lock);
	touch_order_finish(&record->order);
	free(record->seen);
	free(record->path);
	free(record);
}
