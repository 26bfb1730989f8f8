/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions.c - the vocabulary of `cloche act`; see actions.h. Pure.
 *
 * An action is a row of `specs`: its arguments, and what it does in one fixed order, each part of
 * which may be empty: move to the point, hold the modifiers, click a button some times, press keys,
 * type text, let the modifiers go. A new action is a new row.
 */
#include "supervisor/actions.h"

#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/proto.h"
#include "supervisor/parse.h"

#define ARGUMENTS_MAX 4
#define MODIFIERS_MAX 4
#define KEYS_MAX 32
#define INPUT_TIMEOUT_MS 30000u
#define TYPING_MS 100u /* a byte of text, in a guest that runs twenty times too slow */

enum argument_kind {
	ARGUMENT_NONE,
	ARGUMENT_POINT,     /* [x, y] */
	ARGUMENT_MODIFIERS, /* "ctrl+shift" */
	ARGUMENT_KEYS,      /* "ctrl+a", several with spaces between */
	ARGUMENT_TEXT,
	ARGUMENT_DIRECTION, /* "up" "down" "left" "right" */
	ARGUMENT_AMOUNT,
	ARGUMENT_DURATION, /* seconds, with decimals */
	ARGUMENT_URL,
};

struct argument_spec {
	const char *name;
	enum argument_kind kind;
	bool optional;
};

static const struct action_spec {
	const char *name;
	enum action_effect effect;
	unsigned button, clicks; /* 0: none, or those of the arguments */
	struct argument_spec arguments[ARGUMENTS_MAX];
} specs[] = {
	{ "navigate", ACTION_NAVIGATE, 0, 0, { { "url", ARGUMENT_URL, false } } },
	{ "mouse_move", ACTION_INPUT, 0, 0, { { "coordinate", ARGUMENT_POINT, false } } },
	{ "left_click",
	  ACTION_INPUT,
	  1,
	  1,
	  { { "coordinate", ARGUMENT_POINT, false }, { "text", ARGUMENT_MODIFIERS, true } } },
	{ "right_click",
	  ACTION_INPUT,
	  3,
	  1,
	  { { "coordinate", ARGUMENT_POINT, false }, { "text", ARGUMENT_MODIFIERS, true } } },
	{ "middle_click",
	  ACTION_INPUT,
	  2,
	  1,
	  { { "coordinate", ARGUMENT_POINT, false }, { "text", ARGUMENT_MODIFIERS, true } } },
	{ "double_click",
	  ACTION_INPUT,
	  1,
	  2,
	  { { "coordinate", ARGUMENT_POINT, false }, { "text", ARGUMENT_MODIFIERS, true } } },
	{ "scroll",
	  ACTION_INPUT,
	  0,
	  0,
	  { { "coordinate", ARGUMENT_POINT, false },
	    { "scroll_direction", ARGUMENT_DIRECTION, false },
	    { "scroll_amount", ARGUMENT_AMOUNT, false },
	    { "text", ARGUMENT_MODIFIERS, true } } },
	{ "type", ACTION_INPUT, 0, 0, { { "text", ARGUMENT_TEXT, false } } },
	{ "key", ACTION_INPUT, 0, 0, { { "text", ARGUMENT_KEYS, false } } },
	{ "wait", ACTION_WAIT, 0, 0, { { "duration", ARGUMENT_DURATION, false } } },
	{ "screenshot", ACTION_SCREENSHOT, 0, 0, { { NULL, ARGUMENT_NONE, false } } },
};

/* The words for wheel buttons 4 to 7, in their order. */
static const char *const directions[] = { "up", "down", "left", "right" };

static const struct {
	const char *word, *key;
} modifier_words[] = {
	{ "ctrl", "ctrl" }, { "control", "ctrl" }, { "shift", "shift" },
	{ "alt", "alt" },   { "super", "super" },  { "meta", "meta" },
};

/* What the arguments of one action said. */
struct values {
	const char *modifiers[MODIFIERS_MAX]; /* static */
	size_t modifier_count;
	const char *keys, *text, *url; /* borrowed from the JSON object */
	unsigned button, clicks;
	uint64_t wait_ms;
};

static int bad(struct failure *failure, const char *action, const char *argument, const char *what)
{
	return failure_set(failure, STATUS_USAGE, PROTO_ERR_BAD_REQUEST, "%s: %s: %s", action,
	                   argument, what);
}

/* Each take_ function returns NULL, or what is wrong with the value. */

static const char *take_point(const json_t *value, struct action *action)
{
	json_int_t x = json_integer_value(json_array_get(value, 0));
	json_int_t y = json_integer_value(json_array_get(value, 1));

	if (json_array_size(value) != 2 || !json_is_integer(json_array_get(value, 0)) ||
	    !json_is_integer(json_array_get(value, 1)))
		return "must be two integers, [x, y]";
	if (x < 0 || y < 0 || x >= PROTO_DISPLAY_SIDE_MAX || y >= PROTO_DISPLAY_SIDE_MAX)
		return "is outside of any screen";
	action->has_point = true;
	action->x = (uint32_t)x;
	action->y = (uint32_t)y;
	return NULL;
}

static const char *take_string(const json_t *value, const char **out_text)
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

static const char *find_modifier(const char *word, size_t size)
{
	for (size_t i = 0; i < sizeof(modifier_words) / sizeof(modifier_words[0]); i++) {
		if (strlen(modifier_words[i].word) == size &&
		    strncasecmp(modifier_words[i].word, word, size) == 0)
			return modifier_words[i].key;
	}
	return NULL;
}

static const char *take_modifiers(const json_t *value, struct values *values)
{
	const char *at = NULL;
	const char *wrong = take_string(value, &at);

	if (wrong)
		return wrong;
	for (;;) {
		size_t size = strcspn(at, "+");
		const char *key = find_modifier(at, size);

		if (!key)
			return "must be modifiers joined by '+': ctrl, shift, alt, super, meta";
		if (values->modifier_count == MODIFIERS_MAX)
			return "has too many modifiers";
		values->modifiers[values->modifier_count++] = key;
		if (!at[size])
			return NULL;
		at += size + 1;
	}
}

static const char *take_direction(const json_t *value, struct values *values)
{
	const char *word = json_string_value(value);

	for (unsigned i = 0; word && i < 4; i++) {
		if (strcmp(word, directions[i]) == 0) {
			values->button = 4 + i;
			return NULL;
		}
	}
	return "must be \"up\", \"down\", \"left\" or \"right\"";
}

static const char *take_amount(const json_t *value, struct values *values)
{
	json_int_t amount = json_integer_value(value);

	if (!json_is_integer(value) || amount < 0 || amount > ACTION_SCROLL_MAX)
		return "must be an integer from 0 to 100, in wheel clicks";
	values->clicks = (unsigned)amount;
	return NULL;
}

static const char *take_duration(const json_t *value, struct values *values)
{
	double seconds = json_number_value(value);

	/* Written so that NaN, which JSON doesn't have, would be refused too. */
	if (!json_is_number(value) || !(seconds >= 0 && seconds <= ACTION_WAIT_MAX_S))
		return "must be a number of seconds from 0 to 100";
	values->wait_ms = (uint64_t)(seconds * 1000);
	return NULL;
}

static const char *take_url(const json_t *value, const char **out_url)
{
	const char *wrong = take_string(value, out_url);

	return wrong ? wrong : parse_url_problem(*out_url);
}

static const char *take_argument(enum argument_kind kind, const json_t *value,
                                 struct action *action, struct values *values)
{
	switch (kind) {
	case ARGUMENT_POINT:
		return take_point(value, action);
	case ARGUMENT_MODIFIERS:
		return take_modifiers(value, values);
	case ARGUMENT_KEYS:
		return take_string(value, &values->keys);
	case ARGUMENT_TEXT:
		return take_string(value, &values->text);
	case ARGUMENT_DIRECTION:
		return take_direction(value, values);
	case ARGUMENT_AMOUNT:
		return take_amount(value, values);
	case ARGUMENT_DURATION:
		return take_duration(value, values);
	case ARGUMENT_URL:
		return take_url(value, &values->url);
	case ARGUMENT_NONE:
		break;
	}
	return "is not expected";
}

static void add_step(struct action *action, json_t *step)
{
	/* Without memory the array stays short; build_steps() counts. */
	json_array_append_new(action->steps, step);
}

/* Splits "ctrl+a Delete" at its spaces, a step a key. A lone space is the key of that name. */
static const char *add_keys(struct action *action, const char *keys, size_t *out_count)
{
	size_t count = 0;

	if (strcmp(keys, " ") == 0)
		keys = "space";
	for (const char *at = keys; *at;) {
		size_t size = strcspn(at, " ");

		if (size > 0 && count++ == KEYS_MAX)
			return "has too many keys";
		if (size > 0)
			add_step(action, json_pack("{s:s%}", "key", at, size));
		at += size + strspn(at + size, " ");
	}
	*out_count = count;
	return count ? NULL : "is empty";
}

/* Makes the steps. 0 or -1. */
static int build_steps(struct action *action, const struct values *v, struct failure *failure)
{
	size_t count = (action->has_point ? 1 : 0) + 2 * v->modifier_count + 2 * (size_t)v->clicks +
	               (v->text ? 1 : 0);
	size_t key_count = 0;

	action->steps = json_array();
	if (action->has_point)
		add_step(action, json_pack("{s:[ii]}", "move", (int)action->x, (int)action->y));
	for (size_t i = 0; i < v->modifier_count; i++)
		add_step(action, json_pack("{s:s,s:b}", "key", v->modifiers[i], "down", 1));
	for (unsigned i = 0; i < v->clicks; i++) {
		add_step(action, json_pack("{s:i,s:b}", "button", (int)v->button, "down", 1));
		add_step(action, json_pack("{s:i,s:b}", "button", (int)v->button, "down", 0));
	}
	if (v->keys) {
		const char *wrong = add_keys(action, v->keys, &key_count);

		if (wrong)
			return bad(failure, action->name, "text", wrong);
	}
	if (v->text)
		add_step(action, json_pack("{s:s}", "text", v->text));
	for (size_t i = v->modifier_count; i-- > 0;)
		add_step(action, json_pack("{s:s,s:b}", "key", v->modifiers[i], "down", 0));
	if (json_array_size(action->steps) != count + key_count)
		return failure_set_nomem(failure);
	action->timeout_ms = INPUT_TIMEOUT_MS + (v->text ? strlen(v->text) * TYPING_MS : 0);
	return 0;
}

static const struct action_spec *find_spec(const char *name)
{
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		if (strcmp(specs[i].name, name) == 0)
			return &specs[i];
	}
	return NULL;
}

static const struct argument_spec *find_argument(const struct action_spec *spec, const char *name)
{
	for (size_t i = 0; i < ARGUMENTS_MAX && spec->arguments[i].name; i++) {
		if (strcmp(spec->arguments[i].name, name) == 0)
			return &spec->arguments[i];
	}
	return NULL;
}

/* Takes every member of @object but "action" as an argument. 0 or -1. */
static int take_arguments(const struct action_spec *spec, json_t *object, struct action *action,
                          struct values *values, struct failure *failure)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		const struct argument_spec *argument = find_argument(spec, name);
		const char *wrong;

		if (strcmp(name, "action") == 0)
			continue;
		if (!argument)
			return failure_set(failure, STATUS_USAGE, PROTO_ERR_BAD_REQUEST,
			                   "%s: takes no argument \"%.64s\"", spec->name, name);
		wrong = take_argument(argument->kind, value, action, values);
		if (wrong)
			return bad(failure, spec->name, name, wrong);
	}
	for (size_t i = 0; i < ARGUMENTS_MAX && spec->arguments[i].name; i++) {
		const struct argument_spec *argument = &spec->arguments[i];

		if (!argument->optional && !json_object_get(object, argument->name))
			return bad(failure, spec->name, argument->name, "is missing");
	}
	return 0;
}

static int translate(json_t *object, struct action *action, struct failure *failure)
{
	const char *name = json_string_value(json_object_get(object, "action"));
	const struct action_spec *spec = name ? find_spec(name) : NULL;
	struct values values = { 0 };

	if (!json_is_object(object))
		return failure_set(failure, STATUS_USAGE, PROTO_ERR_BAD_REQUEST,
		                   "an action is a JSON object, as in {\"action\":\"screenshot\"}");
	if (!name)
		return failure_set(failure, STATUS_USAGE, PROTO_ERR_BAD_REQUEST,
		                   "action: is missing or no string");
	if (!spec)
		return failure_set(failure, STATUS_USAGE, PROTO_ERR_BAD_REQUEST,
		                   "action: unknown: \"%.64s\"; `cloche act --help` lists them",
		                   name);
	action->name = spec->name;
	action->effect = spec->effect;
	values.button = spec->button;
	values.clicks = spec->clicks;
	if (take_arguments(spec, object, action, &values, failure) < 0)
		return -1;
	action->wait_ms = values.wait_ms;
	if (action->effect == ACTION_INPUT)
		return build_steps(action, &values, failure);
	if (values.url) {
		action->url = strdup(values.url);
		if (!action->url)
			return failure_set_nomem(failure);
	}
	return 0;
}

void action_finish(struct action *action)
{
	json_decref(action->steps);
	free(action->url);
	*action = (struct action){ 0 };
}

int action_parse(const char *text, size_t size, struct action *out_action, struct failure *failure)
{
	cleanup_action struct action action = { 0 };
	json_error_t error;
	json_auto_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);

	if (!object)
		return failure_set(failure, STATUS_USAGE, PROTO_ERR_BAD_REQUEST,
		                   "the action is no JSON: %s (line %d, column %d)", error.text,
		                   error.line, error.column);
	if (translate(object, &action, failure) < 0)
		return -1;
	*out_action = action;
	action = (struct action){ 0 };
	return 0;
}

int action_check_screen(const struct action *action, uint32_t width, uint32_t height,
                        struct failure *failure)
{
	if (!action->has_point || (action->x < width && action->y < height))
		return 0;
	return failure_set(failure, STATUS_USAGE, PROTO_ERR_BAD_REQUEST,
	                   "%s: coordinate: [%u, %u] is outside of the screen, which is %ux%u",
	                   action->name, action->x, action->y, width, height);
}

static const char *argument_form(enum argument_kind kind)
{
	switch (kind) {
	case ARGUMENT_POINT:
		return "[x, y]";
	case ARGUMENT_MODIFIERS:
		return "\"ctrl+shift\"";
	case ARGUMENT_KEYS:
		return "\"ctrl+a\"";
	case ARGUMENT_TEXT:
		return "\"any text\"";
	case ARGUMENT_DIRECTION:
		return "\"up|down|left|right\"";
	case ARGUMENT_AMOUNT:
		return "clicks";
	case ARGUMENT_DURATION:
		return "seconds";
	case ARGUMENT_URL:
		return "\"https://…\"";
	case ARGUMENT_NONE:
		break;
	}
	return "";
}

void action_print_vocabulary(FILE *out, const char *indent)
{
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		fprintf(out, "%s%-13s", indent, specs[i].name);
		for (size_t k = 0; k < ARGUMENTS_MAX && specs[i].arguments[k].name; k++) {
			const struct argument_spec *argument = &specs[i].arguments[k];

			fprintf(out, " %s%s: %s%s", argument->optional ? "[" : "", argument->name,
			        argument_form(argument->kind), argument->optional ? "]" : "");
		}
		fputc('\n', out);
	}
}
