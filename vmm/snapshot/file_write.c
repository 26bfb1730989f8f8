/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file_write.c - writes a snapshot file, on all cores.
 *
 * RAM is cut into stripes of 1 MiB. A worker compresses one into a slot, a buffer that is large enough
 * for a stripe that doesn't shrink. Data lies in the file in the order of RAM and without gaps, so the
 * place of a stripe is known when all before it are compressed. Nobody waits for that:
 *
 *	FREE ─ take_slot ─> FILLING ─ compressed ─> READY ─ its turn has come ─> WRITING ─ written ─> FREE
 *
 * whoever makes the stripe READY whose turn it is takes all that are READY behind it too, and writes
 * them with one call. Slot n % slots belongs to stripe n alone until it is FREE again, and stripe n takes
 * it only when stripe n - slots has been placed: a worker that was given that one may be the slower. So
 * the stripe whose turn it is always has its slot, and there is no deadlock.
 *
 * A chunk with the hash of the parent's chunk is taken for the same. A guest can make two contents
 * with one hash, if it wants its own memory back in a wrong state.
 */
#include <errno.h>
#include <limits.h>
#include <lz4.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "vmm/memory.h"
#include "vmm/snapshot/file_private.h"
#include "vmm/snapshot/file_target.h"
#include "vmm/snapshot/parallel.h"
#include "vmm/snapshot/sections.h"

#define STRIPE_CHUNKS 16u
#define STRIPE_SIZE (STRIPE_CHUNKS * SNAPSHOT_CHUNK_SIZE)
#define SLOTS_A_THREAD 4u
#define SLOTS_MAX (SLOTS_A_THREAD * PARALLEL_THREADS_MAX)

enum slot_state { SLOT_FREE, SLOT_FILLING, SLOT_READY, SLOT_WRITING };

struct slot {
	enum slot_state state;
	uint8_t *data; /* STRIPE_SIZE bytes */
	size_t size;
	uint64_t ram_size; /* that it stands for */
	struct snapshot_stats stats;
};

struct write {
	const struct snapshot_source *source; /* borrowed */
	struct snapshot_file *parent;         /* owned, may be NULL */
	struct file_target target;
	struct sections_writer state; /* all of it, SECTION_PARENT included */
	uint64_t chunk_count;
	uint8_t *index;   /* owned; each worker fills in what its stripe has */
	uint8_t *buffers; /* owned: of the slots */
	unsigned slot_count;

	pthread_mutex_t lock; /* over all below */
	pthread_cond_t moved; /* a slot is FREE, or err is set */
	struct slot slots[SLOTS_MAX];
	uint64_t turn;     /* stripe that is to be placed next */
	uint64_t end;      /* of what is placed, in the file */
	uint64_t ram_done; /* bytes of RAM that are written */
	struct snapshot_stats stats;
	struct error err; /* the first; code 0 while there is none */
};

/* --- a stripe --- */

static bool is_zero(const uint8_t *data, size_t size)
{
	return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

static bool is_untouched(const struct snapshot_source *source, uint64_t offset, uint64_t size)
{
	return source->is_untouched && source->is_untouched(source->arg, offset, size);
}

/* Appends what is stored of chunk @index to the slot, whose room is enough. */
static struct snapshot_entry store_chunk(const struct write *w, uint64_t index, struct slot *slot)
{
	const uint8_t *ram = w->source->ram + index * SNAPSHOT_CHUNK_SIZE;
	size_t size = snapshot_chunk_size(w->source->ram_size, index);
	struct snapshot_entry e = { .kind = KIND_ZERO };

	if (is_untouched(w->source, index * SNAPSHOT_CHUNK_SIZE, size) || is_zero(ram, size)) {
		slot->stats.zero++;
		return e;
	}
	e.hash = XXH3_64bits(ram, size);
	if (w->parent && snapshot_file_chunk(w->parent, index) == SNAPSHOT_CHUNK_DATA &&
	    snapshot_file_chunk_hash(w->parent, index) == e.hash) {
		slot->stats.parent++;
		e.kind = KIND_PARENT;
		return e;
	}
	uint8_t *out = slot->data + slot->size;
	int packed = LZ4_compress_default((const char *)ram, (char *)out, (int)size, (int)size - 1);
	if (packed > 0) {
		slot->stats.lz4++;
		e.kind = KIND_LZ4;
		e.size = (uint32_t)packed;
		e.check = snapshot_check(out, e.size);
	} else {
		slot->stats.raw++;
		e.kind = KIND_RAW;
		e.size = (uint32_t)size;
		e.check = (uint32_t)e.hash; /* snapshot_check() of the same bytes */
		memcpy(out, ram, size);
	}
	slot->size += e.size;
	return e;
}

static void fill_slot(struct write *w, uint64_t stripe, struct slot *slot)
{
	uint64_t offset = stripe * STRIPE_SIZE, left = w->source->ram_size - offset;
	uint64_t first = stripe * STRIPE_CHUNKS;

	slot->size = 0;
	slot->stats = (struct snapshot_stats){ 0 };
	slot->ram_size = left < STRIPE_SIZE ? left : STRIPE_SIZE;
	bool untouched = is_untouched(w->source, offset, slot->ram_size);

	for (uint64_t i = first; i < first + STRIPE_CHUNKS && i < w->chunk_count; i++) {
		struct snapshot_entry e = { .kind = KIND_ZERO };

		if (untouched)
			slot->stats.zero++;
		else
			e = store_chunk(w, i, slot);
		snapshot_entry_put(w->index, i, &e);
	}
}

/* NULL: another worker has failed. With the lock held. */
static struct slot *take_slot(struct write *w, uint64_t stripe)
{
	struct slot *slot = &w->slots[stripe % w->slot_count];

	/* Also not while a stripe before it has yet to come and take the same slot. */
	while ((slot->state != SLOT_FREE || stripe - w->turn >= w->slot_count) && w->err.code == 0)
		pthread_cond_wait(&w->moved, &w->lock);
	if (w->err.code)
		return NULL;
	slot->state = SLOT_FILLING;
	return slot;
}

static void free_slot(struct write *w, struct slot *slot)
{
	slot->state = SLOT_FREE;
	w->ram_done += slot->ram_size;
	w->stats.zero += slot->stats.zero;
	w->stats.raw += slot->stats.raw;
	w->stats.lz4 += slot->stats.lz4;
	w->stats.parent += slot->stats.parent;
	w->stats.data_bytes += slot->size;
}

/* Places and writes what can be. With the lock held, which it lets go of meanwhile. */
static void write_ready(struct write *w)
{
	struct iovec iov[SLOTS_MAX];
	unsigned first = (unsigned)(w->turn % w->slot_count), count = 0;
	uint64_t offset = w->end;
	struct error err = { 0 };

	while (count < w->slot_count) {
		struct slot *slot = &w->slots[(first + count) % w->slot_count];

		if (slot->state != SLOT_READY)
			break;
		slot->state = SLOT_WRITING;
		iov[count++] = (struct iovec){ .iov_base = slot->data, .iov_len = slot->size };
		w->end += slot->size;
		w->turn++;
	}
	if (count == 0)
		return;
	pthread_mutex_unlock(&w->lock);
	int ret = file_target_write(&w->target, iov, count, offset, &err);
	pthread_mutex_lock(&w->lock);
	if (ret && w->err.code == 0)
		w->err = err;
	for (unsigned i = 0; i < count; i++)
		free_slot(w, &w->slots[(first + i) % w->slot_count]);
	pthread_cond_broadcast(&w->moved);
}

static int write_stripe(void *arg, uint64_t stripe, struct error *err)
{
	struct write *w = arg;

	pthread_mutex_lock(&w->lock);
	struct slot *slot = take_slot(w, stripe);
	if (slot) {
		pthread_mutex_unlock(&w->lock);
		fill_slot(w, stripe, slot);
		pthread_mutex_lock(&w->lock);
		slot->state = SLOT_READY;
		write_ready(w);
	}
	int ret = w->err.code ? error_set(err, w->err.code, "%s", w->err.msg) : 0;
	pthread_mutex_unlock(&w->lock);
	return ret;
}

static void tell_progress(void *arg)
{
	struct write *w = arg;

	pthread_mutex_lock(&w->lock);
	const struct snapshot_progress progress = { .done = w->ram_done,
		                                    .total = w->source->ram_size,
		                                    .written = w->stats.data_bytes };
	pthread_mutex_unlock(&w->lock);
	if (w->source->progress)
		w->source->progress(w->source->progress_arg, &progress);
	file_target_hasten(&w->target);
}

static int write_data(struct write *w, struct error *err)
{
	uint64_t stripes = (w->source->ram_size + STRIPE_SIZE - 1) / STRIPE_SIZE;
	const struct parallel parallel = { .name = "snapshot",
		                           .count = stripes,
		                           .threads = parallel_threads(w->source->threads),
		                           .work = write_stripe,
		                           .tick = tell_progress,
		                           .arg = w };

	w->slot_count = parallel.threads * SLOTS_A_THREAD;
	if (w->slot_count > stripes)
		w->slot_count = (unsigned)stripes;
	w->buffers = malloc(w->slot_count * STRIPE_SIZE);
	if (!w->buffers)
		return error_set(err, -ENOMEM, "no memory to write %s", w->source->path);
	for (unsigned i = 0; i < w->slot_count; i++)
		w->slots[i].data = w->buffers + i * STRIPE_SIZE;
	w->end = SNAPSHOT_HEADER_SIZE + w->state.out.size;
	return parallel_run(&parallel, err);
}

/* --- the rest of the file --- */

static int write_head(struct write *w, struct error *err)
{
	struct snapshot_header header = { .id = w->source->id,
		                          .ram_size = w->source->ram_size,
		                          .state_size = w->state.out.size,
		                          .data_size = w->stats.data_bytes };
	uint8_t bytes[SNAPSHOT_HEADER_SIZE];

	if (w->parent)
		header.parent = w->parent->header.id;
	snapshot_header_encode(&header, bytes);
	struct iovec iov[] = { { bytes, sizeof(bytes) }, { w->state.out.data, w->state.out.size } };

	w->stats.file_bytes = snapshot_header_file_size(&header);
	return file_target_write(&w->target, iov, 2, 0, err);
}

static int write_index(struct write *w, struct error *err)
{
	size_t size = (size_t)w->chunk_count * SNAPSHOT_ENTRY_SIZE;
	uint64_t hash = XXH3_64bits(w->index, size);

	for (unsigned i = 0; i < SNAPSHOT_HASH_SIZE; i++)
		w->index[size + i] = (uint8_t)(hash >> (8 * i));
	struct iovec iov = { w->index, size + SNAPSHOT_HASH_SIZE };

	return file_target_write(&w->target, &iov, 1, w->end, err);
}

/* The caller's sections, and where the parent is. */
static int make_state(struct write *w, struct error *err)
{
	struct wire_writer *out = &w->state.out;

	wire_put_bytes(out, w->source->state, w->source->state_size);
	if (w->parent) {
		cleanup_free char *path = realpath(w->parent->path, NULL);

		if (!path)
			return error_set(err, -errno, "cannot resolve %s: %s", w->parent->path,
			                 strerror(errno));
		sections_begin(&w->state, SECTION_PARENT, 0, SNAPSHOT_PARENT_VERSION, true);
		wire_put_string(out, path);
		sections_end(&w->state);
	}
	if (out->failed)
		return error_set(err, -ENOMEM, "no memory to write %s", w->source->path);
	ASSERT(sections_check(out->data, out->size, NULL) == 0);
	return 0;
}

static int open_parent(struct write *w, struct error *err)
{
	const struct snapshot_source *source = w->source;

	if (!source->parent)
		return 0;
	int ret = snapshot_file_open(source->parent, &w->parent, err);
	if (ret)
		return ret;
	if (snapshot_file_ram_size(w->parent) != source->ram_size)
		return error_set(err, -EINVAL, "%s has RAM of another size: it can't be the parent",
		                 source->parent);
	if (snapshot_file_chain_length(w->parent) == SNAPSHOT_CHAIN_MAX)
		return error_set(err, -EINVAL,
		                 "%s has %u ancestors already: write a snapshot without a parent",
		                 source->parent, SNAPSHOT_CHAIN_MAX - 1);
	return 0;
}

/* A snapshot that replaced one of its ancestors would be lost with it. */
static int check_ancestors(const struct write *w, struct error *err)
{
	struct stat st;

	if (!file_target_examine(&w->target, &st))
		return 0;
	for (const struct snapshot_file *f = w->parent; f; f = f->parent)
		if (f->device == st.st_dev && f->inode == st.st_ino)
			return error_set(err, -EINVAL,
			                 "%s is the parent or one of its ancestors: give the new "
			                 "snapshot another name",
			                 w->source->path);
	return 0;
}

static int write_all(struct write *w, struct error *err)
{
	int ret = open_parent(w, err);

	if (ret == 0)
		ret = file_target_open(&w->target, w->source->path, err);
	if (ret == 0)
		ret = check_ancestors(w, err);
	if (ret == 0)
		ret = make_state(w, err);
	if (ret == 0)
		ret = write_data(w, err);
	if (ret == 0)
		ret = write_index(w, err);
	if (ret == 0)
		ret = write_head(w, err);
	if (ret == 0)
		ret = file_target_commit(&w->target, err);
	return ret;
}

int snapshot_file_write(const struct snapshot_source *source, struct snapshot_stats *out_stats,
                        struct error *err)
{
	struct write w = { .source = source,
		           .target = FILE_TARGET_INIT,
		           .state = SECTIONS_WRITER_INIT,
		           .lock = PTHREAD_MUTEX_INITIALIZER,
		           .moved = PTHREAD_COND_INITIALIZER };

	ASSERT(!snapshot_id_is_zero(&source->id) && source->ram_size > 0 &&
	       source->ram_size <= GUEST_MEMORY_MAX && source->ram_size % GUEST_PAGE_SIZE == 0);
	w.chunk_count = (source->ram_size + SNAPSHOT_CHUNK_SIZE - 1) / SNAPSHOT_CHUNK_SIZE;
	w.index = malloc((size_t)w.chunk_count * SNAPSHOT_ENTRY_SIZE + SNAPSHOT_HASH_SIZE);
	int ret = w.index ? write_all(&w, err)
	                  : error_set(err, -ENOMEM, "no memory to write %s", source->path);
	file_target_finish(&w.target);
	sections_writer_finish(&w.state);
	snapshot_file_close(w.parent);
	free(w.index);
	free(w.buffers);
	if (ret == 0 && out_stats)
		*out_stats = w.stats;
	return ret;
}
