/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_keys.c - the values of those of an action's arguments that are text or keys. Pure.
 */
#include <string.h>

#include "supervisor/actions_private.h"

#define CHORD_BYTES_MAX 128u

static const struct {
	const char *word, *key;
} modifier_words[] = {
	{ "ctrl", "ctrl" },  { "control", "ctrl" }, { "shift", "shift" }, { "alt", "alt" },
	{ "option", "alt" }, { "super", "super" },  { "cmd", "super" },   { "command", "super" },
	{ "win", "super" },  { "meta", "meta" },
};

const char *action_take_string(const json_t *value, const char **out_text)
{
	size_t size = json_string_length(value);

	if (!json_is_string(value))
		return "must be a string";
	if (size == 0)
		return "is empty";
	if (size > ACTION_TEXT_MAX)
		return "is longer than 8192 bytes; send it in parts";
	*out_text = json_string_value(value);
	return NULL;
}

static const char *take_modifier(const char *word, size_t size, struct action *action)
{
	for (size_t i = 0; i < sizeof(modifier_words) / sizeof(modifier_words[0]); i++) {
		if (strlen(modifier_words[i].word) != size ||
		    strncasecmp(modifier_words[i].word, word, size) != 0)
			continue;
		if (action->modifier_count == ACTION_MODIFIERS_MAX)
			return "has too many modifiers";
		action->modifiers[action->modifier_count++] = modifier_words[i].key;
		return NULL;
	}
	return "must be modifiers: ctrl, shift, alt, super, meta; several as in \"ctrl+shift\"";
}

const char *action_take_modifiers(const json_t *value, struct action *action)
{
	const char *at = NULL;
	const char *wrong = action_take_string(value, &at);

	while (!wrong) {
		size_t size = strcspn(at, "+");

		wrong = take_modifier(at, size, action);
		if (!at[size])
			return wrong;
		at += size + 1;
	}
	return wrong;
}

const char *action_take_held(const json_t *value, struct action *action)
{
	const char *wrong = NULL;

	if (!json_is_array(value))
		return "must be an array of modifiers, [\"CTRL\", \"SHIFT\"]";
	for (size_t i = 0; i < json_array_size(value) && !wrong; i++) {
		const char *word = json_string_value(json_array_get(value, i));

		wrong = word ? take_modifier(word, strlen(word), action)
		             : "must be an array of modifiers, [\"CTRL\", \"SHIFT\"]";
	}
	return wrong;
}

static const char *add_chord(struct action *action, const char *text, size_t size)
{
	if (size > CHORD_BYTES_MAX)
		return "has a key whose name is longer than any";
	if (!action->keys)
		action->keys = json_array();
	return json_array_append_new(action->keys, json_stringn(text, size)) < 0 ? "" : NULL;
}

/* Splits "ctrl+a Delete" at its spaces. A lone space is the key of that name. */
const char *action_take_keys(const json_t *value, struct action *action)
{
	const char *at = NULL;
	const char *wrong = action_take_string(value, &at);

	if (!wrong && strcmp(at, " ") == 0)
		at = "space";
	while (!wrong && *at) {
		size_t size = strcspn(at, " ");

		if (size > 0 && json_array_size(action->keys) == ACTION_KEYS_MAX)
			return "has too many keys";
		if (size > 0)
			wrong = add_chord(action, at, size);
		at += size + strspn(at + size, " ");
	}
	if (!wrong && json_array_size(action->keys) == 0)
		return "is empty";
	return wrong;
}

/*
 * Joins ["CTRL", "A"] to "CTRL+a": there a letter beside others means its key, and the capital one
 * would bring Shift along.
 */
const char *action_take_chord(const json_t *value, struct action *action)
{
	size_t count = json_array_size(value);
	char text[CHORD_BYTES_MAX + 1];
	size_t used = 0;

	if (!json_is_array(value) || count == 0)
		return "must be an array of keys, [\"CTRL\", \"A\"]";
	for (size_t i = 0; i < count; i++) {
		const char *key = json_string_value(json_array_get(value, i));
		size_t size = key ? strlen(key) : 0;
		bool letter = size == 1 && key[0] >= 'A' && key[0] <= 'Z';

		if (size == 0)
			return "must be an array of keys, [\"CTRL\", \"A\"]";
		if (size > 1 && strchr(key, '+'))
			return "must have one key an item, as in [\"CTRL\", \"A\"]";
		if (strcmp(key, " ") == 0) {
			key = "space";
			size = strlen(key);
		}
		if (used + size + 1 > CHORD_BYTES_MAX)
			return "has too many keys, or one whose name is longer than any";
		if (i > 0)
			text[used++] = '+';
		memcpy(text + used, key, size);
		if (letter && count > 1)
			text[used] = (char)(key[0] - 'A' + 'a');
		used += size;
	}
	return add_chord(action, text, used);
}
