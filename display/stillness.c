/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stillness.c - see stillness.h. One thread at a time.
 *
 * A tile's history is a ring of its last pictures (hashes) and when they came. With period p it is in its second
 * round when its last p pictures are those of p before: that takes 2p pictures, the first of which was
 * there at the beginning. How long that one had been there isn't known, so its time says nothing.
 */
#include "display/stillness.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "display/scratch.h"
#include "lib/clock.h"

#define PERIOD_MAX 4u
#define KEPT (2 * PERIOD_MAX + 2)

/* Two looks may be that far apart, and a guest's timers are late at times. */
#define JITTER_NS (70 * NS_PER_MS)

/* A caret's: how much of the screen changes at once, and how long a picture lasts. */
#define SMALL_TILES 4u
#define SMALL_LASTS_NS (200 * NS_PER_MS)

struct history {
	uint64_t hash[KEPT], time_ns[KEPT]; /* ring: picture number n at n % KEPT */
	uint64_t news_ns;                   /* when it last had a picture that counts */
	uint32_t count;                     /* pictures so far */
	bool counts, periodic;
};

struct stillness {
	struct grid grid;
	uint64_t begun_ns;
	struct scratch scratch; /* what the pointers below point into */
	struct history *history;
	uint64_t *hashes;
	uint8_t *marked;
};

static void history_put(struct history *h, uint64_t now_ns, uint64_t hash)
{
	h->hash[h->count % KEPT] = hash;
	h->time_ns[h->count % KEPT] = now_ns;
	h->count++;
}

/* The picture @back before the last one. */
static uint64_t hash_at(const struct history *h, unsigned back)
{
	return h->hash[(h->count - 1 - back) % KEPT];
}

/* How long the picture @back before the last one had been there when the next came; 1 or more. */
static uint64_t lasted(const struct history *h, unsigned back)
{
	return h->time_ns[(h->count - back) % KEPT] - h->time_ns[(h->count - 1 - back) % KEPT];
}

static bool is_alike(uint64_t a, uint64_t b)
{
	uint64_t longer = a > b ? a : b, shorter = a > b ? b : a;

	return longer - shorter <= longer / 4 + JITTER_NS;
}

/*
 * Whether pictures that are there for the second time lasted as long as they did before; while none has lasted
 * twice: whether all lasted equally long. Those of unknown length are left out.
 */
static bool is_regular(const struct history *h, unsigned period)
{
	unsigned known = h->count - 2 < KEPT - 2 ? h->count - 2 : KEPT - 2; /* lengths */

	if (known > period) {
		for (unsigned back = 1; back + period <= known && back <= period; back++)
			if (!is_alike(lasted(h, back), lasted(h, back + period)))
				return false;
		return true;
	}
	for (unsigned back = 2; back <= known; back++)
		if (!is_alike(lasted(h, back), lasted(h, 1)))
			return false;
	return true;
}

/* Whether the last picture is in turn: how many pictures ago its round began; 0: it isn't. */
static unsigned round_of(const struct history *h)
{
	for (unsigned period = 2; period <= PERIOD_MAX && 2 * period <= h->count; period++) {
		unsigned same = 0;

		while (same < period && hash_at(h, same) == hash_at(h, same + period))
			same++;
		if (same == period)
			return is_regular(h, period) ? 2 * period - 1 : 0;
	}
	return 0;
}

/* Whether it went to a picture that it never had, for a while, and back to one that it had only then. */
static bool is_first_return(const struct history *h)
{
	if (h->count < 3 || hash_at(h, 0) != hash_at(h, 2) || lasted(h, 1) < SMALL_LASTS_NS)
		return false;
	for (unsigned back = 3; back < h->count && back < KEPT; back++)
		if (hash_at(h, back) == hash_at(h, 0) || hash_at(h, back) == hash_at(h, 1))
			return false;
	return true;
}

/* @small: little else has changed with it. */
static void note_tile(struct history *h, uint64_t now_ns, uint64_t hash, bool small)
{
	history_put(h, now_ns, hash);
	unsigned began = round_of(h);
	if (began == 0 && small && is_first_return(h))
		began = 2;
	if (began == 0)
		h->news_ns = now_ns;
	else if (!h->periodic)
		h->news_ns = h->time_ns[(h->count - 1 - began) % KEPT];
	h->periodic = began > 0;
}

int stillness_create(const struct grid *grid, const struct rectangle *area, uint64_t now_ns,
                     const uint64_t *hashes, struct stillness **out_stillness)
{
	unsigned count = grid_count(grid);
	size_t size = count * (sizeof(struct history) + sizeof(uint64_t) + 1);
	struct stillness *s = calloc(1, sizeof(*s));

	if (!s || scratch_init(&s->scratch, size) < 0) {
		free(s);
		return -ENOMEM;
	}
	s->history = s->scratch.data;
	s->hashes = (uint64_t *)(s->history + count);
	s->marked = (uint8_t *)(s->hashes + count);
	s->grid = *grid;
	s->begun_ns = now_ns;
	memcpy(s->hashes, hashes, count * sizeof(*hashes));
	if (area)
		grid_mark(grid, area, s->marked);
	for (unsigned i = 0; i < count; i++) {
		s->history[i].counts = !area || s->marked[i];
		history_put(&s->history[i], now_ns, hashes[i]);
	}
	*out_stillness = s;
	return 0;
}

void stillness_destroy(struct stillness *s)
{
	if (!s)
		return;
	scratch_finish(&s->scratch);
	free(s);
}

void stillness_note(struct stillness *s, uint64_t now_ns, const uint8_t *changed,
                    const uint64_t *hashes)
{
	unsigned count = grid_count(&s->grid), changes = 0;

	/* A listener's first frame marks tiles that are as they were. */
	for (unsigned i = 0; i < count; i++) {
		s->marked[i] = changed[i] && hashes[i] != s->hashes[i];
		changes += s->marked[i] && s->history[i].counts;
		s->hashes[i] = s->marked[i] ? hashes[i] : s->hashes[i];
	}
	for (unsigned i = 0; i < count; i++)
		if (s->marked[i] && s->history[i].counts)
			note_tile(&s->history[i], now_ns, hashes[i], changes <= SMALL_TILES);
}

uint64_t stillness_since(const struct stillness *s)
{
	uint64_t since = s->begun_ns;

	for (unsigned i = 0; i < grid_count(&s->grid); i++)
		if (s->history[i].news_ns > since)
			since = s->history[i].news_ns;
	return since;
}

size_t stillness_periodic(struct stillness *s, struct rectangle *out, size_t max)
{
	for (unsigned i = 0; i < grid_count(&s->grid); i++)
		s->marked[i] = s->history[i].periodic;
	return grid_rectangles(&s->grid, s->marked, out, max);
}

const struct grid *stillness_grid(const struct stillness *s)
{
	return &s->grid;
}

const uint64_t *stillness_hashes(const struct stillness *s)
{
	return s->hashes;
}
