/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions.c - an action is found in its vocabulary, and its arguments are taken. See actions.h.
 * Pure.
 */
#include "supervisor/actions.h"

#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/proto.h"
#include "supervisor/actions_private.h"

#define INPUT_TIMEOUT_MS 30000u
#define TYPING_MS 100u /* a byte of text, in a guest that runs twenty times too slow */

static int bad(struct failure *failure, const char *action, const char *argument, const char *what)
{
	if (!*what)
		return failure_set_nomem(failure);
	return failure_set(failure, STATUS_USAGE, PROTO_ERR_BAD_REQUEST, "%s: %s: %s", action,
	                   argument, what);
}

static const struct argument_spec *find_argument(const struct action_spec *spec, const char *name)
{
	for (size_t i = 0; i < ACTION_ARGUMENTS_MAX && spec->arguments[i].name; i++) {
		if (strcmp(spec->arguments[i].name, name) == 0)
			return &spec->arguments[i];
	}
	for (const struct argument_spec *a = action_common_arguments; a->name; a++) {
		if (strcmp(a->name, name) == 0)
			return a;
	}
	return NULL;
}

const char *action_point_argument(const struct action *action, size_t index)
{
	const char *name = "coordinate";

	for (size_t i = 0; i < ACTION_ARGUMENTS_MAX && action->spec->arguments[i].name; i++) {
		enum argument_kind kind = action->spec->arguments[i].kind;

		if (kind == ARGUMENT_PATH)
			name = "path";
		if (kind == ARGUMENT_X)
			name = "x, y";
		if (kind == ARGUMENT_START && index == 0 && action->point_count == 2)
			name = "start_coordinate";
	}
	return name;
}

/* Takes every member but the one that names the action. 0 or -1. */
static int take_arguments(const struct action_vocabulary *vocabulary, struct action *action,
                          struct action_values *values, struct failure *failure)
{
	const struct action_spec *spec = action->spec;
	const char *name;
	json_t *value;

	json_object_foreach(action->object, name, value)
	{
		const struct argument_spec *argument = find_argument(spec, name);
		const char *wrong;

		if (strcmp(name, vocabulary->member) == 0)
			continue;
		if (!argument)
			return failure_set(failure, STATUS_USAGE, PROTO_ERR_BAD_REQUEST,
			                   "%s: takes no argument \"%.64s\"", spec->name, name);
		wrong = action_take_argument(argument->kind, value, action, values);
		if (wrong)
			return bad(failure, spec->name, name, wrong);
	}
	for (size_t i = 0; i < ACTION_ARGUMENTS_MAX && spec->arguments[i].name; i++) {
		const struct argument_spec *argument = &spec->arguments[i];

		if (!argument->optional && !json_object_get(action->object, argument->name))
			return bad(failure, spec->name, argument->name, "is missing");
	}
	return 0;
}

/* What only the arguments together say. 0 or -1. */
static int join_values(struct action *action, const struct action_values *values,
                       struct failure *failure)
{
	int amount = (int)values->amount;

	if (values->has_end) {
		action->points = calloc(2, sizeof(*action->points));
		if (!action->points)
			return failure_set_nomem(failure);
		if (values->has_start)
			action->points[action->point_count++] = values->start;
		action->points[action->point_count++] = values->end;
	}
	if (values->direction && strchr("ud", values->direction[0]))
		action->wheel_y = values->direction[0] == 'u' ? -amount : amount;
	else if (values->direction)
		action->wheel_x = values->direction[0] == 'l' ? -amount : amount;
	if (action->if_unchanged && !action->frame.id[0])
		return bad(failure, action->name, "if_unchanged", "needs the argument frame");
	if (action->repeat * json_array_size(action->keys) > ACTION_STEPS_MAX)
		return bad(failure, action->name, "repeat", "comes to more than 1000 keys");
	action->timeout_ms = INPUT_TIMEOUT_MS + action->duration_ms +
	                     (action->text ? strlen(action->text) * TYPING_MS : 0);
	return 0;
}

static const struct action_spec *find_spec(const struct action_vocabulary *vocabulary,
                                           const char *name)
{
	for (size_t i = 0; i < vocabulary->count; i++) {
		if (strcmp(vocabulary->specs[i].name, name) == 0)
			return &vocabulary->specs[i];
	}
	return NULL;
}

/* The first one whose member the object has; Anthropic's when it has none. */
static const struct action_vocabulary *find_vocabulary(const json_t *object)
{
	for (const struct action_vocabulary *v = action_vocabularies; v->member; v++) {
		if (json_object_get(object, v->member))
			return v;
	}
	return action_vocabularies;
}

/* Finds what the object names. 0 or -1. */
static int begin(const struct action_vocabulary *vocabulary, struct action *action,
                 struct failure *failure)
{
	const json_t *name = json_object_get(action->object, vocabulary->member);
	const char *text = json_string_value(name);
	const struct action_spec *spec = text ? find_spec(vocabulary, text) : NULL;

	if (!text)
		return failure_set(failure, STATUS_USAGE, PROTO_ERR_BAD_REQUEST, "%s: %s",
		                   vocabulary->member, name ? "must be a string" : "is missing");
	if (!spec)
		return failure_set(failure, STATUS_USAGE, PROTO_ERR_BAD_REQUEST,
		                   "%s: unknown: \"%.64s\"; `cloche act --help` lists them",
		                   vocabulary->member, text);
	action->spec = spec;
	action->name = spec->name;
	action->effect = spec->effect;
	action->button = spec->button;
	action->duration_ms = spec->duration_ms;
	action->repeat = 1;
	return 0;
}

void action_finish(struct action *action)
{
	json_decref(action->object);
	json_decref(action->keys);
	free(action->points);
	action_expect_destroy(action->expect);
	*action = (struct action){ 0 };
}

int action_parse(json_t *object, struct action *out_action, struct failure *failure)
{
	const struct action_vocabulary *vocabulary = find_vocabulary(object);
	cleanup_action struct action action = { .object = json_incref(object) };
	struct action_values values = { 0 };

	if (!json_is_object(object))
		return failure_set(failure, STATUS_USAGE, PROTO_ERR_BAD_REQUEST,
		                   "an action is a JSON object, as in {\"action\":\"screenshot\"}");
	if (begin(vocabulary, &action, failure) < 0 ||
	    take_arguments(vocabulary, &action, &values, failure) < 0 ||
	    join_values(&action, &values, failure) < 0)
		return -1;
	*out_action = action;
	action = (struct action){ 0 };
	return 0;
}
