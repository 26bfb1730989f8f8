/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_private.h - what the files of actions.h share: the tables, and the arguments' values.
 */
#ifndef CLOCHE_SUPERVISOR_ACTIONS_PRIVATE_H
#define CLOCHE_SUPERVISOR_ACTIONS_PRIVATE_H

#include "supervisor/actions.h"

#define ACTION_ARGUMENTS_MAX 5

enum argument_kind {
	ARGUMENT_NONE,
	ARGUMENT_POINT, /* [x, y] */
	ARGUMENT_START, /* [x, y], a drag's first point */
	ARGUMENT_X,     /* x and y apart make one point */
	ARGUMENT_Y,
	ARGUMENT_PATH,      /* [{"x":x,"y":y},…] */
	ARGUMENT_REGION,    /* [x0, y0, x1, y1] */
	ARGUMENT_BUTTON,    /* "left" "right" "wheel" "back" "forward" */
	ARGUMENT_MODIFIERS, /* "ctrl+shift" */
	ARGUMENT_HELD,      /* ["CTRL", "SHIFT"], modifiers */
	ARGUMENT_KEYS,      /* "ctrl+a", several with spaces between */
	ARGUMENT_CHORD,     /* ["CTRL", "A"], pressed together */
	ARGUMENT_REPEAT,
	ARGUMENT_TEXT,
	ARGUMENT_DIRECTION, /* "up" "down" "left" "right" */
	ARGUMENT_AMOUNT,    /* wheel clicks */
	ARGUMENT_SCROLL_X,  /* pixels */
	ARGUMENT_SCROLL_Y,
	ARGUMENT_DURATION, /* seconds, with decimals */
	ARGUMENT_URL,
	ARGUMENT_MAX_WIDTH,
	ARGUMENT_MAX_PIXELS,
	ARGUMENT_FRAME,
	ARGUMENT_IF_UNCHANGED,
	ARGUMENT_EXPECT,
	ARGUMENT_KINDS,
};

struct argument_spec {
	const char *name;
	enum argument_kind kind;
	bool optional;
};

/* What is done at the point, while the modifiers are held. */
enum action_gesture {
	GESTURE_PRESS, /* click the button spec->clicks times, turn the wheel, press keys, type */
	GESTURE_DRAG,
	GESTURE_DOWN,
	GESTURE_UP,
	GESTURE_HOLD, /* keep the keys down for the duration */
};

struct action_spec {
	const char *name;
	enum action_effect effect;
	enum action_gesture gesture;
	unsigned button, clicks; /* 0: none, or that of the arguments */
	unsigned duration_ms;    /* unless an argument says another */
	struct argument_spec arguments[ACTION_ARGUMENTS_MAX];
};

struct action_vocabulary {
	const char *member; /* that names the action */
	const char *owner;  /* for people */
	const struct action_spec *specs;
	size_t count;
};

/* All there are, ended by one without a member. */
extern const struct action_vocabulary action_vocabularies[];

/* The arguments that every action has; ended by one without a name. */
extern const struct argument_spec action_common_arguments[];

/* What the arguments of one action say while they are read. */
struct action_values {
	const char *direction; /* static or borrowed */
	unsigned amount;
	struct action_point start, end;
	bool has_start, has_end;
	char wrong[EXPECT_WRONG_MAX];
};

/*
 * Takes one argument's value into @action or @values. NULL; or what is wrong with it, "" for no
 * memory.
 */
const char *action_take_argument(enum argument_kind kind, const json_t *value,
                                 struct action *action, struct action_values *values);

/* Of text and keys (actions_keys.c), answering in the same way. */
const char *action_take_string(const json_t *value, const char **out_text);
const char *action_take_modifiers(const json_t *value, struct action *action);
const char *action_take_held(const json_t *value, struct action *action);
const char *action_take_keys(const json_t *value, struct action *action);
const char *action_take_chord(const json_t *value, struct action *action);

/* The argument that said point @index. */
const char *action_point_argument(const struct action *action, size_t index);

/* How an argument is written, for people. */
const char *action_argument_form(enum argument_kind kind);

#endif
