/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * action_event.c - see action_event.h. Pure.
 *
 * Keys are told by a list of those that write nothing, not left out by a list of those that do: the names
 * of keysyms are too many.
 */
#include "vmm/action_event.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include "lib/clock.h"

static const char *const silent_keys[] = {
	"alt",         "altgr",       "arrowdown",    "arrowleft", "arrowright", "arrowup",
	"backspace",   "bksp",        "capslock",     "caps_lock", "cmd",        "command",
	"contextmenu", "control",     "control_l",    "control_r", "ctrl",       "del",
	"delete",      "down",        "end",          "enter",     "esc",        "escape",
	"home",        "ins",         "insert",       "left",      "menu",       "meta",
	"numlock",     "num_lock",    "next",         "option",    "pagedown",   "pageup",
	"page_down",   "page_up",     "pause",        "pgdn",      "pgdown",     "pgup",
	"print",       "printscreen", "prior",        "return",    "right",      "scrolllock",
	"scroll_lock", "shift",       "shift_l",      "shift_r",   "super",      "super_l",
	"super_r",     "tab",         "up",           "win",       "windows",    "alt_l",
	"alt_r",       "kp_enter",    "iso_left_tab",
};

/* With one of these held down a key is a command. */
static const char *const commanding[] = { "alt",       "alt_l",     "alt_r",   "cmd",
	                                  "command",   "control",   "ctrl",    "meta",
	                                  "super",     "option",    "win",     "windows",
	                                  "control_l", "control_r", "super_l", "super_r" };

static bool is_one_of(const char *name, size_t size, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(list[i]) == size && strncasecmp(list[i], name, size) == 0)
			return true;
	return false;
}

static bool is_function_key(const char *name, size_t size)
{
	return size >= 2 && size <= 3 && (name[0] == 'F' || name[0] == 'f') &&
	       strspn(name + 1, "0123456789") >= size - 1;
}

/* True: the chord writes nothing, or is a command. */
static bool is_silent(const char *chord)
{
	bool silent = true;

	while (silent && *chord) {
		const char *end = strchr(chord + 1, '+');
		size_t size = end ? (size_t)(end - chord) : strlen(chord);

		if (end &&
		    is_one_of(chord, size, commanding, sizeof(commanding) / sizeof(commanding[0])))
			return true;
		silent = is_function_key(chord, size) ||
		         is_one_of(chord, size, silent_keys,
		                   sizeof(silent_keys) / sizeof(silent_keys[0]));
		chord += size + (end ? 1 : 0);
	}
	return silent;
}

/* X keysyms: function keys and modifiers, without the keypad's characters. */
static bool is_silent_keysym(json_int_t keysym)
{
	return keysym >= 0xfe00 && keysym <= 0xffff && !(keysym >= 0xff80 && keysym <= 0xffbd) &&
	       !(keysym >= 0xfe50 && keysym <= 0xfe93); /* dead keys are parts of characters */
}

static json_int_t count_characters(const char *text)
{
	json_int_t count = 0;

	for (; *text; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

static json_t *tell_step(const json_t *step)
{
	static const char *const harmless[] = { "button", "sleep_ms", "down" };
	int x, y;
	const char *text = json_string_value(json_object_get(step, "text"));
	const char *key = json_string_value(json_object_get(step, "key"));
	const json_t *keysym = json_object_get(step, "keysym");
	json_t *told = json_object();

	if (json_unpack((json_t *)step, "{s:[ii!]}", "move", &x, &y) == 0)
		json_object_set_new(told, "move", json_pack("[ii]", x, y));
	if (text)
		json_object_set_new(told, "characters", json_integer(count_characters(text)));
	if (key)
		json_object_set_new(told, "key", json_string(is_silent(key) ? key : "?"));
	if (keysym && is_silent_keysym(json_integer_value(keysym)))
		json_object_set(told, "keysym", (json_t *)keysym);
	else if (keysym)
		json_object_set_new(told, "keysym", json_integer(0));
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		json_t *member = json_object_get(step, harmless[i]);

		if (json_is_integer(member) || json_is_boolean(member))
			json_object_set(told, harmless[i], member);
	}
	return told;
}

/* With text: what is too long for an event is told by its length all the same. */
static json_t *tell_whole_step(json_t *step)
{
	const char *text = json_string_value(json_object_get(step, "text"));

	return text && strlen(text) > ACTION_TEXT_MAX ? tell_step(step) : json_incref(step);
}

static json_t *tell_steps(const json_t *steps, bool with_text)
{
	json_t *told = json_array();
	size_t i;
	json_t *step;

	json_array_foreach(steps, i, step)
	{
		if (i == ACTION_STEPS_MAX)
			break;
		json_array_append_new(told, with_text ? tell_whole_step(step) : tell_step(step));
	}
	return told;
}

/* Up to its query, without what a user's name and password would be in; of data nothing. */
static json_t *tell_url(const char *url, bool with_text)
{
	size_t size = strcspn(url, with_text ? "" : "?#");
	const char *authority = strchr(url, ':'), *from = url;

	if (with_text)
		return json_stringn(url, size < ACTION_TEXT_MAX ? size : ACTION_TEXT_MAX);
	if (!authority || strncmp(authority, "://", 3) != 0)
		return json_stringn(url, authority ? (size_t)(authority + 1 - url) : 0);
	authority += 3;
	const char *end = authority + strcspn(authority, "/?#");
	for (const char *at = authority; at < end; at++)
		if (*at == '@')
			from = at + 1;
	if (size > ACTION_TEXT_MAX)
		size = ACTION_TEXT_MAX;
	if (from == url || (size_t)(from - url) > size)
		return json_stringn(url, from == url ? size : (size_t)(authority - url));
	return json_pack("s%+%", url, (size_t)(authority - url), from, size - (size_t)(from - url));
}

static uint64_t now_realtime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static json_t *begin(const char *verb, const char *by)
{
	return json_pack("{s:s,s:I,s:s,s:s}", "event", "action", "realtime_ns",
	                 (json_int_t)now_realtime_ns(), "by", by, "verb", verb);
}

json_t *action_event(const json_t *request, const char *by, bool with_text)
{
	const char *verb = json_string_value(json_object_get(request, "verb"));
	const char *op = json_string_value(json_object_get(request, "op"));
	const char *url = json_string_value(json_object_get(request, "url"));
	json_t *event = NULL;

	if (verb && strcmp(verb, "input") == 0) {
		const json_t *steps = json_object_get(request, "steps");
		size_t count = json_array_size(steps);

		event = begin(verb, by);
		json_object_set_new(event, "steps", tell_steps(steps, with_text));
		if (count > ACTION_STEPS_MAX)
			json_object_set_new(event, "more",
			                    json_integer((json_int_t)(count - ACTION_STEPS_MAX)));
	} else if (verb && op && strcmp(verb, "browser") == 0 && strcmp(op, "state") != 0) {
		event = begin(verb, by);
		json_object_set_new(event, "op", json_stringn(op, strnlen(op, 32)));
		if (url)
			json_object_set_new(event, "url", tell_url(url, with_text));
	}
	return event;
}
