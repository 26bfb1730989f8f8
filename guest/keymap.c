/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keymap.c - the core keyboard mapping, and spare keys in it.
 *
 * XTEST presses keys, not characters. A character that is on the keyboard is typed with its key;
 * for any other a spare key (one without any keysym) is given its keysym on all levels first.
 *
 * What can go wrong: a client translates a key press by the mapping it knows, and it learns of a
 * change by an event after which it asks the server for the mapping of that later moment. So
 *
 *  1. a key press must not reach a client that hasn't yet noticed the key's new meaning, and
 *  2. a key must not get a new meaning while presses with the old one are still on their way.
 *
 * The caller's barriers see to both (windows.h); this file makes them rare. A whole text's missing
 * characters are mapped in one batch, spare keys keep their meaning until they are needed again,
 * and then the one longest unused is taken: with the 40-odd spare keys of the usual keyboard most
 * texts need one barrier, and a second text in the same script needs none.
 */
#include "guest/keymap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEYCODES 256
#define LEVELS 2 /* of a key that we map: the same keysym without and with Shift */

struct spare {
	uint8_t keycode;
	bool dirty;      /* planned, not yet told to the server */
	uint32_t keysym; /* 0: none so far */
	uint64_t batch;  /* in which it was used last */
};

struct keymap {
	xcb_connection_t *conn; /* borrowed */
	uint8_t min, max;
	uint8_t width;     /* keysyms a key in the server's mapping */
	uint32_t *keysyms; /* owned: (max - min + 1) * width */
	struct spare spares[KEYCODES];
	size_t spare_count;
	uint64_t batch;
	bool overwrites;
};

static const uint32_t *key_levels(const struct keymap *keymap, unsigned int keycode)
{
	return keymap->keysyms + (size_t)(keycode - keymap->min) * keymap->width;
}

static bool key_is_empty(const struct keymap *keymap, unsigned int keycode)
{
	const uint32_t *levels = key_levels(keymap, keycode);

	for (size_t i = 0; i < keymap->width; i++)
		if (levels[i])
			return false;
	return true;
}

static struct spare *spare_of_keycode(struct keymap *keymap, unsigned int keycode)
{
	for (size_t i = 0; i < keymap->spare_count; i++)
		if (keymap->spares[i].keycode == keycode)
			return &keymap->spares[i];
	return NULL;
}

static struct spare *spare_of_keysym(struct keymap *keymap, uint32_t keysym)
{
	for (size_t i = 0; i < keymap->spare_count; i++)
		if (keymap->spares[i].keysym == keysym)
			return &keymap->spares[i];
	return NULL;
}

/* Keys that another client has taken meanwhile are spare no more; new empty ones are. */
static void spares_update(struct keymap *keymap)
{
	struct spare kept[KEYCODES];
	size_t count = 0;

	for (unsigned int keycode = keymap->min; keycode <= keymap->max; keycode++) {
		const struct spare *known = spare_of_keycode(keymap, keycode);

		if (known && known->keysym && key_levels(keymap, keycode)[0] == known->keysym)
			kept[count++] = *known;
		else if (key_is_empty(keymap, keycode))
			kept[count++] = (struct spare){ .keycode = (uint8_t)keycode };
	}
	memcpy(keymap->spares, kept, count * sizeof(*kept));
	keymap->spare_count = count;
}

int keymap_reload(struct keymap *keymap)
{
	uint8_t count = (uint8_t)(keymap->max - keymap->min + 1);
	xcb_get_keyboard_mapping_reply_t *reply;
	size_t total;
	uint32_t *keysyms;

	reply = xcb_get_keyboard_mapping_reply(
		keymap->conn, xcb_get_keyboard_mapping(keymap->conn, keymap->min, count), NULL);
	if (!reply)
		return -EIO;
	total = (size_t)count * reply->keysyms_per_keycode;
	if (!reply->keysyms_per_keycode ||
	    (size_t)xcb_get_keyboard_mapping_keysyms_length(reply) < total) {
		free(reply);
		return -EIO;
	}
	keysyms = malloc(total * sizeof(*keysyms));
	if (!keysyms) {
		free(reply);
		return -ENOMEM;
	}
	memcpy(keysyms, xcb_get_keyboard_mapping_keysyms(reply), total * sizeof(*keysyms));
	free(keymap->keysyms);
	keymap->keysyms = keysyms;
	keymap->width = reply->keysyms_per_keycode;
	free(reply);
	spares_update(keymap);
	return 0;
}

int keymap_create(xcb_connection_t *conn, struct keymap **out_keymap)
{
	const xcb_setup_t *setup = xcb_get_setup(conn);
	struct keymap *keymap = calloc(1, sizeof(*keymap));
	int ret;

	if (!keymap)
		return -ENOMEM;
	keymap->conn = conn;
	keymap->min = setup->min_keycode;
	keymap->max = setup->max_keycode;
	ret = keymap_reload(keymap);
	if (ret < 0) {
		keymap_destroy(keymap);
		return ret;
	}
	*out_keymap = keymap;
	return 0;
}

void keymap_destroy(struct keymap *keymap)
{
	if (!keymap)
		return;
	free(keymap->keysyms);
	free(keymap);
}

/* Unshifted keys are preferred; only the first group's two levels count. */
bool keymap_find(const struct keymap *keymap, uint32_t keysym, struct stroke *out_stroke)
{
	for (size_t level = 0; level < LEVELS && level < keymap->width; level++) {
		for (unsigned int keycode = keymap->min; keycode <= keymap->max; keycode++) {
			if (key_levels(keymap, keycode)[level] != keysym)
				continue;
			out_stroke->keycode = (uint8_t)keycode;
			out_stroke->shift = level == 1;
			return true;
		}
	}
	return false;
}

void keymap_plan_begin(struct keymap *keymap)
{
	keymap->batch++;
	keymap->overwrites = false;
}

static struct spare *spare_take(struct keymap *keymap)
{
	struct spare *oldest = NULL;

	for (size_t i = 0; i < keymap->spare_count; i++) {
		struct spare *spare = &keymap->spares[i];

		if (spare->batch != keymap->batch && (!oldest || spare->batch < oldest->batch))
			oldest = spare;
	}
	return oldest;
}

int keymap_plan(struct keymap *keymap, uint32_t keysym)
{
	struct spare *spare = spare_of_keysym(keymap, keysym);
	struct stroke stroke;

	if (!spare) {
		if (keymap_find(keymap, keysym, &stroke) &&
		    !spare_of_keycode(keymap, stroke.keycode))
			return 0;
		spare = spare_take(keymap);
		if (!spare)
			return -ENOSPC;
		if (spare->keysym)
			keymap->overwrites = true;
		spare->keysym = keysym;
		spare->dirty = true;
	}
	spare->batch = keymap->batch;
	return 0;
}

bool keymap_plan_overwrites(const struct keymap *keymap)
{
	return keymap->overwrites;
}

bool keymap_commit(struct keymap *keymap)
{
	bool changed = false;

	for (size_t i = 0; i < keymap->spare_count; i++) {
		struct spare *spare = &keymap->spares[i];
		uint32_t levels[LEVELS] = { spare->keysym, spare->keysym };
		uint32_t *known;

		if (!spare->dirty)
			continue;
		xcb_change_keyboard_mapping(keymap->conn, 1, spare->keycode, LEVELS, levels);
		known = keymap->keysyms + (size_t)(spare->keycode - keymap->min) * keymap->width;
		memset(known, 0, keymap->width * sizeof(*known));
		known[0] = spare->keysym;
		if (keymap->width > 1)
			known[1] = spare->keysym;
		spare->dirty = false;
		changed = true;
	}
	return changed;
}
