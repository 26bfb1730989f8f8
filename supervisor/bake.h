/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bake.h - making a template: a guest is booted, warmed, made small and saved; trial restores find out
 * the order in which its memory is wanted. `bake` does it, and `run` where a template is out of date.
 * Single thread; blocks for as long as a few starts take.
 */
#ifndef CLOCHE_SUPERVISOR_BAKE_H
#define CLOCHE_SUPERVISOR_BAKE_H

#include "supervisor/command.h"
#include "supervisor/template.h"
#include "supervisor/writer.h"

#define BAKE_TIMEOUT_DEFAULT_MS 900000u

/* What to bake. All borrowed. */
struct bake_request {
	const struct invocation *inv;
	const struct template_folder *folder; /* made, and locked: bake_lock() */
	const char *name;                     /* the template's */
	const struct launch_plan *plan;       /* of the guest: boots; shape, page, relays */
	int signal_fd;                        /* interrupt_watch()'s */
	uint64_t timeout_ms;                  /* for all of it */
};

struct bake_result {
	struct writer_result saved;
	uint64_t boot_ms,
		restore_ms; /* until the agent was ready; restore_ms in the mode that follows */
	const char *mode;   /* static: how `run` will restore it */
	uint64_t total_ms;
};

/*
 * Waits until no other bake of this user is under way; @folder stays locked until it is closed. -1 when
 * interrupted.
 */
int bake_lock(const struct invocation *inv, const struct template_folder *folder, int signal_fd,
              struct failure *failure);

/*
 * Bakes. On failure, an interrupt too, what there was before is there still, and nothing else is left.
 */
int bake_template(const struct bake_request *request, struct bake_result *out_result,
                  struct failure *failure);

/* How to restore from @template, into a plan that has its VMM and its image. */
int bake_plan_restore(const struct template *template, struct launch_plan *plan,
                      struct failure *failure);

/* How @template was baked, on the VMM and images of @plan. *out_plan is the caller's. */
int bake_plan_again(const struct template *template, const struct launch_plan *plan,
                    struct launch_plan *out_plan, struct failure *failure);

#endif
