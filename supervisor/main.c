/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - `cloche`: sessions, from the command line. No daemon: a session is a process and a
 * folder, and every command finds both by the session's name. Single thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "supervisor/command.h"
#include "supervisor/output.h"
#include "supervisor/view_options.h"

#ifndef CLOCHE_VERSION
#define CLOCHE_VERSION "0.1"
#endif

static const struct command commands[] = {
	{ "doctor", "", "Says whether guests can run on this host, and what to do if not", NULL,
	  command_doctor },
	{ "run", "NAME [option…]", "Starts a session and returns when its agent is ready",
	  "With --page it returns when that page has loaded. When anything goes wrong, or it is\n"
	  "interrupted, nothing is left of the session. After `cloche bake` sessions start from\n"
	  "the template, but for those whose options need a boot.\n",
	  command_run },
	{ "bake", "[TEMPLATE] [option…]", "Makes a template, from which sessions start in no time",
	  "Boots a guest, waits until its browser is warm, makes it small and saves it. TEMPLATE\n"
	  "is `default` unless named: what `cloche run` starts from. It is baked anew by itself\n"
	  "when images, VMM or CPU have changed.\n",
	  command_bake },
	{ "fork", "NAME NEW… [option…]", "Copies a running session, as often as there are names",
	  "All of the new sessions come up, or none.\n", command_fork },
	{ "snapshot", "NAME FILE [option…]", "Saves a running session in a file",
	  "The session stands still for a moment only; the file is there when the command ends.\n",
	  command_snapshot },
	{ "restore", "FILE NAME [option…]", "Starts a session where a snapshot was taken", NULL,
	  command_restore },
	{ "inspect", "FILE", "Shows what is in a snapshot", NULL, command_inspect },
	{ "verify", "FILE", "Checks every byte of a snapshot, and of those before it", NULL,
	  command_verify },
	{ "ls", "", "Lists the sessions", NULL, command_ls },
	{ "shot", "NAME FILE.png [option…]",
	  "Takes a picture of the screen, from outside the guest",
	  "Works on a frozen session, too. FILE may be - for stdout.\n", command_shot },
	{ "compare", "NAME FRAME [FILE.png] [option…]",
	  "Says what on the screen has changed since a frame",
	  "FRAME is what shot, act, wait and compare have called a screen; the last 64 are known.\n"
	  "A line for each rectangle that differs: X,Y,W,H. FILE: the screen with these framed.\n",
	  command_compare },
	{ "view", VIEW_COMMAND_ARGUMENTS, VIEW_COMMAND_SUMMARY, VIEW_COMMAND_DETAILS,
	  command_view },
	{ "act", "NAME JSON [option…]", "Does things at the screen: a click, a key, some text",
	  "JSON is one action, or an array of them, or - to read it from stdin:\n"
	  "  cloche act demo '{\"action\":\"left_click\",\"coordinate\":[640,400]}'\n",
	  command_act },
	{ "record", "NAME FILE [option…]",
	  "Records the screen, and what is done to it, into a file",
	  "Goes on until it is interrupted, a limit is reached or the session ends. Typed text "
	  "isn't\n"
	  "kept unless asked for; what it made the screen show is.\n",
	  command_record },
	{ "replay", "FILE [option…] [OUT.png]",
	  "Shows a recording: a picture, a page, a film, a list",
	  "  cloche replay web.rec --at 12.5 out.png\n"
	  "  cloche replay web.rec --html out.html\n",
	  command_replay },
	{ "watch", "NAME --template PNG[:MASK] --name NAME [option…]",
	  "Waits for a known picture on the screen, and can freeze the session then",
	  "Each time it comes to stand there a line is printed here and in the VMM's log, and an "
	  "event\n"
	  "sent to who has subscribed. Exact pixels only: another size, font or theme isn't "
	  "found.\n",
	  command_watch },
	{ "exec", "NAME [option…] -- COMMAND [ARG…]", "Runs a command in the guest",
	  "Its exit status is the command's; 124: its time was over, 125: cloche failed,\n"
	  "126: it can't be executed, 127: it wasn't found, 128+N: signal N ended it.\n"
	  "Output beyond 512 KiB is cut, and that is said.\n",
	  command_exec },
	{ "cp", "SRC DST [option…]", "Copies a file into a guest or out of it",
	  "One of SRC and DST is NAME:PATH, in the guest's home or /tmp.\n", command_cp },
	{ "console", "NAME [-f]", "Prints the guest's serial console", NULL, command_console },
	{ "freeze", "NAME", "Stops a session's CPUs", NULL, command_freeze },
	{ "thaw", "NAME", "Lets a frozen session go on", NULL, command_thaw },
	{ "control", "NAME [VIEWER] [--take | --release]",
	  "Says who looks at a session, and gives one of them keyboard and pointer",
	  "While a person has control, actions of agents are refused.\n", command_control },
	{ "balloon", "NAME [SIZE] [option…]",
	  "Takes memory back from a guest, and tells how it does",
	  "SIZE is what the balloon shall hold, such as 512M; 0 gives all back to the guest.\n",
	  command_balloon },
	{ "wait", "NAME [option…]", "Waits for a stage of the start, or for the picture to settle",
	  NULL, command_wait },
	{ "kill", "NAME… | --all", "Ends sessions and removes what is left of them", NULL,
	  command_kill },
};

static void print_usage(FILE *out)
{
	fputs("usage: cloche [--json] COMMAND [ARGUMENT…]\n\n"
	      "A machine of its own, under glass, for every agent that uses a computer.\n\n",
	      out);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("\n`cloche COMMAND --help` says more; so does cloche(1). With --json every answer "
	      "and "
	      "every\nerror is one JSON object.\n",
	      out);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static int run_command(struct invocation *inv, const char *name, struct failure *failure)
{
	inv->command = find_command(name);
	if (!inv->command)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "there is no command '%.32s'; `cloche help` lists them", name);
	return inv->command->run(inv, failure);
}

/* `cloche help` and `cloche help COMMAND`. */
static int run_help(struct invocation *inv, struct failure *failure)
{
	char *help[] = { (char *)"--help", NULL };
	const char *name;

	if (inv->argc == 0) {
		print_usage(stdout);
		return STATUS_OK;
	}
	name = inv->argv[0];
	inv->argv = help;
	inv->argc = 1;
	return run_command(inv, name, failure);
}

static int dispatch(struct invocation *inv, struct failure *failure)
{
	const char *name;

	while (inv->argc > 0 && strcmp(inv->argv[0], "--json") == 0) {
		inv->json = true;
		inv->argv++;
		inv->argc--;
	}
	if (inv->argc == 0) {
		print_usage(stderr);
		return STATUS_USAGE;
	}
	name = *inv->argv++;
	inv->argc--;
	if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return run_help(inv, failure);
	if (strcmp(name, "--version") == 0) {
		puts("cloche " CLOCHE_VERSION);
		return STATUS_OK;
	}
	return run_command(inv, name, failure);
}

/* Descriptors 0 to 2 exist, so that no file of ours is ever taken for one of them. */
static void ensure_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	struct invocation inv = { .argc = argc > 0 ? argc - 1 : 0, .argv = argv + 1 };
	struct failure failure = { 0 };
	int status;

	ensure_stdio();
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	log_init("cloche", LOG_WARN);
	status = dispatch(&inv, &failure);
	if (status < 0) {
		ASSERT(failure.status > 0);
		output_failure(&failure, inv.json);
		status = failure.status;
		json_decref(failure.report);
	}
	if (fflush(stdout) != 0 && errno != EPIPE) {
		fprintf(stderr, "cloche: cannot write stdout: %s\n", strerror(errno));
		status = status == STATUS_OK ? STATUS_FAILED : status;
	}
	return status;
}
