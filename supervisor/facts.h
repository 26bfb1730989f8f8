/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * facts.h - session.json: what a session was started with. Whether it was booted, restored or forked,
 * its facts have the same members; "origin" tells which. Pure functions.
 *
 *	"origin": {"kind":"boot"}
 *	          {"kind":"restore","of":ID,"file":PATH,"template"?:NAME}
 *	          {"kind":"fork","of":NAME}
 */
#ifndef CLOCHE_SUPERVISOR_FACTS_H
#define CLOCHE_SUPERVISOR_FACTS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/launch.h"

/* A session's VMM; a process is (pid, start time). */
struct facts_process {
	pid_t pid;
	uint64_t start_ticks;
};

/* Facts of the session @name that was started by @plan. Owned by the caller; NULL without memory. */
json_t *facts_of_plan(const char *name, const struct launch_plan *plan,
                      struct facts_process process);

/* What a fork doesn't have from its parent. Strings are borrowed. */
struct facts_fork {
	const char *name, *parent;
	const char *net; /* NULL: its card has no link, or it has none */
	uint64_t ttl_s;  /* 0: none */
	struct facts_process process;
};

/*
 * Facts of a fork of the session that has @parent (borrowed; may be NULL: then little is known).
 * Owned by the caller; NULL without memory.
 */
json_t *facts_of_fork(const json_t *parent, const struct facts_fork *fork);

/*
 * The relays that are in @facts, into plan->relays. What isn't sound is left out. 0 or -ENOMEM.
 */
int facts_read_relays(const json_t *facts, struct launch_plan *plan);

/* Where a session comes from, for people: "boot", "fork of web", "template default". */
void facts_format_origin(const json_t *facts, char *out_text, size_t size);

#endif
