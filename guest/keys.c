/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keys.c - names to keysyms; libxkbcommon knows the official ones.
 */
#include "guest/keys.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <xkbcommon/xkbcommon-keysyms.h>
#include <xkbcommon/xkbcommon.h>

#include "guest/text.h"

#define NAME_MAX_BYTES 64

static const struct {
	const char *name;
	uint32_t keysym;
} aliases[] = {
	{ "ctrl", XKB_KEY_Control_L },
	{ "control", XKB_KEY_Control_L },
	{ "alt", XKB_KEY_Alt_L },
	{ "option", XKB_KEY_Alt_L },
	{ "altgr", XKB_KEY_ISO_Level3_Shift },
	{ "shift", XKB_KEY_Shift_L },
	{ "meta", XKB_KEY_Meta_L },
	{ "super", XKB_KEY_Super_L },
	{ "win", XKB_KEY_Super_L },
	{ "windows", XKB_KEY_Super_L },
	{ "cmd", XKB_KEY_Super_L },
	{ "command", XKB_KEY_Super_L },
	{ "enter", XKB_KEY_Return },
	{ "esc", XKB_KEY_Escape },
	{ "del", XKB_KEY_Delete },
	{ "ins", XKB_KEY_Insert },
	{ "bksp", XKB_KEY_BackSpace },
	{ "spacebar", XKB_KEY_space },
	{ "capslock", XKB_KEY_Caps_Lock },
	{ "numlock", XKB_KEY_Num_Lock },
	{ "scrolllock", XKB_KEY_Scroll_Lock },
	{ "printscreen", XKB_KEY_Print },
	{ "contextmenu", XKB_KEY_Menu },
	{ "pageup", XKB_KEY_Page_Up },
	{ "pgup", XKB_KEY_Page_Up },
	{ "pagedown", XKB_KEY_Page_Down },
	{ "pgdn", XKB_KEY_Page_Down },
	{ "pgdown", XKB_KEY_Page_Down },
	{ "arrowup", XKB_KEY_Up },
	{ "arrowdown", XKB_KEY_Down },
	{ "arrowleft", XKB_KEY_Left },
	{ "arrowright", XKB_KEY_Right },
};

uint32_t keys_from_character(int32_t value)
{
	if (value == '\n' || value == '\r')
		return XKB_KEY_Return;
	if (value == '\t')
		return XKB_KEY_Tab;
	if (value < 0x20 || (value >= 0x7f && value < 0xa0))
		return 0;
	return xkb_utf32_to_keysym((uint32_t)value);
}

bool keys_is_character(uint32_t keysym)
{
	uint32_t value = xkb_keysym_to_utf32(keysym);

	return value >= 0x20 && value != 0x7f;
}

bool keys_has_case(uint32_t keysym)
{
	return xkb_keysym_to_upper(keysym) != xkb_keysym_to_lower(keysym);
}

static uint32_t keysym_from_name(const char *name)
{
	const char *rest = name;
	int32_t value = text_next(&rest);
	uint32_t keysym;

	if (value > 0 && !*rest)
		return keys_from_character(value);
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (!strcasecmp(name, aliases[i].name))
			return aliases[i].keysym;
	keysym = xkb_keysym_from_name(name, XKB_KEYSYM_NO_FLAGS);
	if (keysym == XKB_KEY_NoSymbol)
		keysym = xkb_keysym_from_name(name, XKB_KEYSYM_CASE_INSENSITIVE);
	return keysym;
}

/* Copies the next name to @out and returns what is left of @text; a name may be "+" itself. */
static const char *name_take(const char *text, char *out, size_t size)
{
	size_t length, first = 0;

	while (text[first] == ' ' && text[first + 1])
		first++;
	text += first;
	length = *text ? 1 + strcspn(text + 1, "+") : 0;
	if (length >= size)
		length = size - 1;
	memcpy(out, text, length);
	out[length] = '\0';
	text += length;
	while (length > 1 && out[length - 1] == ' ')
		out[--length] = '\0';
	return text;
}

int keys_parse_chord(const char *text, struct chord *out_chord, struct error *err)
{
	struct chord chord = { .count = 0 };
	const char *rest = text;
	char name[NAME_MAX_BYTES];

	do {
		uint32_t keysym;

		if (chord.count == KEYS_CHORD_MAX)
			return error_set(err, -EINVAL, "more than %d keys at once", KEYS_CHORD_MAX);
		rest = name_take(rest, name, sizeof(name));
		if (*rest && *rest != '+')
			return error_set(err, -EINVAL, "a key's name is too long");
		keysym = *name ? keysym_from_name(name) : 0;
		if (!keysym)
			return error_set(err, -EINVAL, "no key is called \"%s\"", name);
		chord.keysyms[chord.count++] = keysym;
	} while (*rest++);
	*out_chord = chord;
	return 0;
}
