/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command.h - what a command of cloche is, and the list of all of them.
 *
 * A command's function parses its own arguments (options.h), does its work, prints its answer
 * (output.h) and returns the exit status; or it fills the failure and returns -1, and main.c
 * prints that and exits with failure->status. Single thread.
 */
#ifndef CLOCHE_SUPERVISOR_COMMAND_H
#define CLOCHE_SUPERVISOR_COMMAND_H

#include <stdbool.h>

#include "supervisor/failure.h"

/* One call of a command. */
struct invocation {
	const struct command *command; /* borrowed */
	int argc;                      /* of argv */
	char **argv;                   /* borrowed: what follows the command's name; reordered */
	bool json;                     /* answers and errors are one JSON object each, on stdout */
};

struct command {
	const char *name;
	const char *arguments; /* for the usage line */
	const char *summary;   /* one line of `cloche help` */
	const char *details;   /* what --help adds; ends in a newline, may be NULL */
	int (*run)(struct invocation *inv, struct failure *failure);
};

int command_doctor(struct invocation *inv, struct failure *failure);
int command_run(struct invocation *inv, struct failure *failure);
int command_bake(struct invocation *inv, struct failure *failure);
int command_snapshot(struct invocation *inv, struct failure *failure);
int command_restore(struct invocation *inv, struct failure *failure);
int command_fork(struct invocation *inv, struct failure *failure);
int command_inspect(struct invocation *inv, struct failure *failure);
int command_verify(struct invocation *inv, struct failure *failure);
int command_ls(struct invocation *inv, struct failure *failure);
int command_shot(struct invocation *inv, struct failure *failure);
int command_compare(struct invocation *inv, struct failure *failure);
int command_view(struct invocation *inv, struct failure *failure);
int command_act(struct invocation *inv, struct failure *failure);
int command_record(struct invocation *inv, struct failure *failure);
int command_replay(struct invocation *inv, struct failure *failure);
int command_watch(struct invocation *inv, struct failure *failure);
int command_exec(struct invocation *inv, struct failure *failure);
int command_cp(struct invocation *inv, struct failure *failure);
int command_console(struct invocation *inv, struct failure *failure);
int command_freeze(struct invocation *inv, struct failure *failure);
int command_thaw(struct invocation *inv, struct failure *failure);
int command_control(struct invocation *inv, struct failure *failure);
int command_balloon(struct invocation *inv, struct failure *failure);
int command_wait(struct invocation *inv, struct failure *failure);
int command_kill(struct invocation *inv, struct failure *failure);

#endif
