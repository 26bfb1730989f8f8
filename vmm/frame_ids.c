/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frame_ids.c - see frame_ids.h. .lock guards all but the prefix.
 */
#include "vmm/frame_ids.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct frame {
	struct grid grid;
	uint64_t *hashes; /* owned; NULL: free */
};

struct frame_ids {
	uint32_t prefix;
	pthread_mutex_t lock;
	uint64_t given; /* names so far: number n, from 1 on, is at n % FRAME_IDS_KEPT */
	struct frame frames[FRAME_IDS_KEPT];
};

int frame_ids_create(struct frame_ids **out_ids)
{
	struct frame_ids *ids = calloc(1, sizeof(*ids));

	if (!ids)
		return -ENOMEM;
	if (getrandom(&ids->prefix, sizeof(ids->prefix), 0) < 0) {
		free(ids);
		return -errno;
	}
	pthread_mutex_init(&ids->lock, NULL);
	*out_ids = ids;
	return 0;
}

void frame_ids_destroy(struct frame_ids *ids)
{
	if (!ids)
		return;
	for (unsigned i = 0; i < FRAME_IDS_KEPT; i++)
		free(ids->frames[i].hashes);
	pthread_mutex_destroy(&ids->lock);
	free(ids);
}

static size_t hashes_size(const struct grid *grid)
{
	return grid_count(grid) * sizeof(uint64_t);
}

static bool is_same(const struct frame *frame, const struct grid *grid, const uint64_t *hashes)
{
	return frame->hashes && frame->grid.width == grid->width &&
	       frame->grid.height == grid->height &&
	       memcmp(frame->hashes, hashes, hashes_size(grid)) == 0;
}

/* The lock is held. */
static int keep(struct frame_ids *ids, const struct grid *grid, const uint64_t *hashes)
{
	struct frame *next = &ids->frames[(ids->given + 1) % FRAME_IDS_KEPT];

	if (is_same(&ids->frames[ids->given % FRAME_IDS_KEPT], grid, hashes))
		return 0;
	uint64_t *copy = malloc(hashes_size(grid));
	if (!copy)
		return -ENOMEM;
	memcpy(copy, hashes, hashes_size(grid));
	free(next->hashes);
	*next = (struct frame){ *grid, copy };
	ids->given++;
	return 0;
}

static void print_id(const struct frame_ids *ids, uint64_t number, char out_id[FRAME_ID_SIZE])
{
	snprintf(out_id, FRAME_ID_SIZE, "%08x-%llu", ids->prefix, (unsigned long long)number);
}

int frame_ids_give(struct frame_ids *ids, const struct grid *grid, const uint64_t *hashes,
                   char out_id[static FRAME_ID_SIZE])
{
	pthread_mutex_lock(&ids->lock);
	int ret = keep(ids, grid, hashes);
	if (ret == 0)
		print_id(ids, ids->given, out_id);
	pthread_mutex_unlock(&ids->lock);
	return ret;
}

/* The lock is held. Only what is printed like this is a name: no spaces, signs or zeros before it. */
static const struct frame *find(const struct frame_ids *ids, const char *id)
{
	char own[FRAME_ID_SIZE];

	for (uint64_t n = ids->given; n > 0 && n + FRAME_IDS_KEPT > ids->given; n--) {
		print_id(ids, n, own);
		if (strcmp(own, id) == 0)
			return &ids->frames[n % FRAME_IDS_KEPT];
	}
	return NULL;
}

int frame_ids_find(struct frame_ids *ids, const char *id, struct grid *out_grid,
                   uint64_t **out_hashes)
{
	int ret = -ENOENT;

	pthread_mutex_lock(&ids->lock);
	const struct frame *frame = find(ids, id);
	if (frame) {
		uint64_t *copy = malloc(hashes_size(&frame->grid));

		ret = copy ? 0 : -ENOMEM;
		if (copy) {
			memcpy(copy, frame->hashes, hashes_size(&frame->grid));
			*out_grid = frame->grid;
			*out_hashes = copy;
		}
	}
	pthread_mutex_unlock(&ids->lock);
	return ret;
}
