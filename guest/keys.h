/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keys.h - key names and characters to X keysyms. Pure; any process.
 */
#ifndef CLOCHE_GUEST_KEYS_H
#define CLOCHE_GUEST_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

#define KEYS_CHORD_MAX 6

/* Keys that are pressed together, in the order of pressing. */
struct chord {
	uint32_t keysyms[KEYS_CHORD_MAX];
	size_t count; /* at least 1 */
};

/*
 * Reads "a", "ctrl+shift+t", "Page_Down", "ctrl++". A name is one character, an alias (in any
 * case: xdotool's and those that browsers and people use), or an X keysym name, whose case matters
 * only where two names differ by nothing else. 0 or -EINVAL.
 */
int keys_parse_chord(const char *text, struct chord *out_chord, struct error *err);

/* The keysym that types code point @value; LF and CR are Return, TAB is Tab. 0 when none does. */
uint32_t keys_from_character(int32_t value);

/* True: @keysym is something that is written, whose meaning Shift decides; not Tab, Return or F1. */
bool keys_is_character(uint32_t keysym);

/* True: it is a letter that Caps Lock makes another. */
bool keys_has_case(uint32_t keysym);

#endif
