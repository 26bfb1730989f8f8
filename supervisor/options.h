/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.h - a command's options as a table: parsed, and printed by --help.
 *
 * "--name VALUE", "--name=VALUE", "-f"; options may stand before and after the other arguments;
 * "--" ends them; "-" alone is an argument. Every command has --help and --json. Single thread.
 */
#ifndef CLOCHE_SUPERVISOR_OPTIONS_H
#define CLOCHE_SUPERVISOR_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "supervisor/command.h"

enum option_kind {
	OPTION_FLAG,     /* bool: set to true */
	OPTION_STRING,   /* const char *: borrowed from argv; not empty */
	OPTION_NUMBER,   /* uint64_t in min..max */
	OPTION_MEMORY,   /* uint64_t, MiB in min..max */
	OPTION_BYTES,    /* uint64_t up to max */
	OPTION_DURATION, /* uint64_t, milliseconds in min..max */
	OPTION_GEOMETRY, /* struct geometry */
	OPTION_LIST,     /* struct option_list: may be given many times */
};

#define OPTION_LIST_MAX 64

struct option_list {
	const char *items[OPTION_LIST_MAX]; /* borrowed from argv */
	size_t count;
};

struct option {
	const char *name; /* without the dashes */
	char letter;      /* short form, 0 when there is none */
	enum option_kind kind;
	void *value;          /* of the kind's type; holds the default */
	const char *argument; /* its name in --help; NULL for a flag */
	const char *help;     /* the default is written there by hand */
	uint64_t min, max;
};

/* What is left when the options are taken out. */
struct arguments {
	char **items; /* borrowed: the front of inv->argv */
	int count;
	char **rest; /* borrowed: where options_shape.rest_after was reached; NULL-terminated */
	int rest_count;
};

/* How many arguments a command takes. */
struct options_shape {
	int min, max;
	bool rest; /* what follows the first @max arguments, or "--", is a command line of its own */
};

/*
 * Parses inv->argv against @count options. 0: *out_arguments and the options' values are set;
 * 1: --help was asked for and has been printed; -1: STATUS_USAGE.
 */
int options_parse(struct invocation *inv, const struct option *options, size_t count,
                  struct options_shape shape, struct arguments *out_arguments,
                  struct failure *failure);

#endif
