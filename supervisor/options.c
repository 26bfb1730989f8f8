/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.c - see options.h. No state, single thread.
 *
 * The first mistake is what the user is told, but parsing goes on behind it: a --json that follows
 * still decides how he is told.
 */
#include "supervisor/options.h"

#include <stdio.h>
#include <string.h>

#include "lib/log.h"
#include "supervisor/parse.h"

static void print_option(const char *left, const char *help)
{
	if (strlen(left) > 22)
		printf("  %s\n%26s%s\n", left, "", help);
	else
		printf("  %-22s  %s\n", left, help);
}

static void print_help(const struct command *command, const struct option *options, size_t count)
{
	printf("usage: cloche %s %s\n\n%s.\n", command->name, command->arguments, command->summary);
	if (command->details)
		printf("\n%s", command->details);
	printf("\noptions:\n");
	for (size_t i = 0; i < count; i++) {
		char left[64];
		char letter[8] = "";

		if (options[i].letter)
			snprintf(letter, sizeof(letter), "-%c, ", options[i].letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, options[i].name,
		         options[i].argument ? " " : "",
		         options[i].argument ? options[i].argument : "");
		print_option(left, options[i].help);
	}
	print_option("--json", "answer with one JSON object, errors too");
	print_option("-h, --help", "print this");
}

static int add_to_list(const struct option *option, const char *text, struct failure *failure)
{
	struct option_list *list = option->value;

	if (list->count == OPTION_LIST_MAX)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--%s: given more than %d times", option->name, OPTION_LIST_MAX);
	list->items[list->count++] = text;
	return 0;
}

static int set_value(const struct option *option, const char *text, struct failure *failure)
{
	char what[40];

	snprintf(what, sizeof(what), "--%s", option->name);
	if (option->kind != OPTION_FLAG && !*text)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "%s: is empty", what);
	switch (option->kind) {
	case OPTION_FLAG:
		*(bool *)option->value = true;
		return 0;
	case OPTION_STRING:
		*(const char **)option->value = text;
		return 0;
	case OPTION_NUMBER:
		return parse_number(what, text, option->min, option->max, option->value, failure);
	case OPTION_MEMORY:
		return parse_memory(what, text, option->min, option->max, option->value, failure);
	case OPTION_BYTES:
		return parse_bytes(what, text, option->max, option->value, failure);
	case OPTION_DURATION:
		return parse_duration(what, text, option->min, option->max, option->value, failure);
	case OPTION_GEOMETRY:
		return parse_geometry(what, text, option->value, failure);
	case OPTION_LIST:
		return add_to_list(option, text, failure);
	}
	return 0;
}

/* The option that @word ("--name", "--name=value", "-l") means, or NULL. */
static const struct option *find_option(const struct option *options, size_t count,
                                        const char *word)
{
	size_t size = strcspn(word, "=");

	for (size_t i = 0; i < count; i++) {
		if (word[1] != '-' && word[1] == options[i].letter && !word[2])
			return &options[i];
		if (word[1] == '-' && strlen(options[i].name) == size - 2 &&
		    strncmp(word + 2, options[i].name, size - 2) == 0)
			return &options[i];
	}
	return NULL;
}

/* The parse under way. */
struct parsing {
	struct invocation *inv;
	const struct option *options;
	size_t count;
	int at;    /* index into argv */
	bool help; /* --help was seen */
	struct failure *failure;
};

/* Takes the option at parsing->at, and its value behind it. 0 or -1. */
static int take_option(struct parsing *p)
{
	char *word = p->inv->argv[p->at];
	const struct option *option = find_option(p->options, p->count, word);
	const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;

	if (!option)
		return failure_set(p->failure, STATUS_USAGE, CODE_USAGE,
		                   "unknown option '%.64s'; `cloche %s --help` lists them", word,
		                   p->inv->command->name);
	if (option->kind == OPTION_FLAG && equals)
		return failure_set(p->failure, STATUS_USAGE, CODE_USAGE, "--%s takes no value",
		                   option->name);
	if (option->kind == OPTION_FLAG)
		return set_value(option, "", p->failure);
	if (equals)
		return set_value(option, equals + 1, p->failure);
	if (p->at + 1 >= p->inv->argc)
		return failure_set(p->failure, STATUS_USAGE, CODE_USAGE, "--%s needs a value: %s",
		                   option->name, option->argument);
	p->at++;
	return set_value(option, p->inv->argv[p->at], p->failure);
}

/* Takes one word that begins with a dash. */
static void take_word(struct parsing *p)
{
	const char *word = p->inv->argv[p->at];
	struct failure ignored = { 0 };
	struct failure *first = p->failure;

	if (strcmp(word, "--json") == 0) {
		p->inv->json = true;
	} else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		p->help = true;
	} else {
		if (first->status)
			p->failure = &ignored;
		(void)take_option(p);
		p->failure = first;
	}
}

static int check_count(const struct invocation *inv, struct options_shape shape,
                       const struct arguments *arguments, struct failure *failure)
{
	if (arguments->count >= shape.min && arguments->count <= shape.max &&
	    (!shape.rest || arguments->rest_count > 0))
		return 0;
	return failure_set(failure, STATUS_USAGE, CODE_USAGE, "%s; usage: cloche %s %s",
	                   arguments->count > shape.max ? "too many arguments"
	                                                : "an argument is missing",
	                   inv->command->name, inv->command->arguments);
}

int options_parse(struct invocation *inv, const struct option *options, size_t count,
                  struct options_shape shape, struct arguments *out_arguments,
                  struct failure *failure)
{
	struct parsing p = { .inv = inv, .options = options, .count = count, .failure = failure };
	struct arguments found = { .items = inv->argv };
	bool ended = false;

	ASSERT(failure->status == 0);
	for (; p.at < inv->argc; p.at++) {
		char *word = inv->argv[p.at];

		if (shape.rest && (ended || (found.count == shape.max && word[0] != '-')))
			break;
		if (!ended && strcmp(word, "--") == 0)
			ended = true;
		else if (!ended && word[0] == '-' && word[1])
			take_word(&p);
		else
			inv->argv[found.count++] = word;
	}
	found.rest = inv->argv + p.at;
	found.rest_count = inv->argc - p.at;
	if (p.help) {
		print_help(inv->command, options, count);
		return 1;
	}
	if (failure->status)
		return -1;
	if (check_count(inv, shape, &found, failure) < 0)
		return -1;
	*out_arguments = found;
	return 0;
}
