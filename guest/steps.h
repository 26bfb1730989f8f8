/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * steps.h - the steps of the verb "input", checked before the first is done. Pure; any process.
 */
#ifndef CLOCHE_GUEST_STEPS_H
#define CLOCHE_GUEST_STEPS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/keys.h"
#include "lib/error.h"

#define STEPS_MAX 1024
#define STEPS_SLEEP_MAX_MS 60000

enum step_kind { STEP_MOVE, STEP_BUTTON, STEP_KEY, STEP_KEYSYM, STEP_TEXT, STEP_SLEEP };
enum step_way { WAY_CLICK, WAY_DOWN, WAY_UP }; /* of a button, chord or keysym */

struct step {
	enum step_kind kind;
	enum step_way way;
	int16_t x, y;
	uint8_t button;
	struct chord chord;
	uint32_t keysym;
	const char *text; /* borrowed from the JSON; valid UTF-8 that keys_from_character() knows */
	uint32_t sleep_ms;
};

struct steps {
	struct step *list; /* owned */
	size_t count;
};

/*
 * Checks @array (borrowed; must outlive @out_steps) against a screen of that size. 0: for
 * steps_finish(); -EINVAL: the message names the first bad step's index; -ENOMEM.
 */
int steps_parse(json_t *array, uint32_t width, uint32_t height, struct steps *out_steps,
                struct error *err);

void steps_finish(struct steps *steps);

#endif
