/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan.h - what the command line says of a session to be, as a launch_plan. Nothing exists yet: a
 * failure just returns. Single thread.
 */
#ifndef CLOCHE_SUPERVISOR_PLAN_H
#define CLOCHE_SUPERVISOR_PLAN_H

#include "supervisor/launch.h"
#include "supervisor/options.h"

#define PLAN_MEMORY_DEFAULT_MIB 1024u
#define PLAN_MEMORY_MIN_MIB 128u
#define PLAN_MEMORY_MAX_MIB 65536u
#define PLAN_CPUS_MAX 8u
#define PLAN_SIZE_DEFAULT                                                                          \
	{                                                                                          \
		1280, 800                                                                          \
	}
#define PLAN_TTL_DEFAULT_MS 3600000u
#define PLAN_TTL_MAX_MS (30ull * 24 * 3600 * 1000)

/* Help of options that several commands have. */
#define PLAN_HELP_TTL "end it after this time, whatever happens (default 1h; 0: never)"
#define PLAN_HELP_RELAY "the guest's 127.0.0.1:PORT is the host's unix socket SOCKET; repeatable"
#define PLAN_HELP_NET "a network card: tap:IFNAME, tap-fd:N or stream:PATH (default: none)"
#define PLAN_HELP_NET_RATE "the card's limit a second, each way: 10M, 10M:5000, 0:5000"

/* The VMM counts whole seconds. */
uint64_t plan_ttl_s(uint64_t ttl_ms);

/* Each adds to @plan what its values say; a value that is NULL, or an empty list, says nothing. */
int plan_page(struct launch_plan *plan, const char *url, struct failure *failure);
int plan_append(struct launch_plan *plan, const char *arguments, struct failure *failure);
int plan_relays(struct launch_plan *plan, const struct option_list *list, struct failure *failure);
int plan_disks(struct launch_plan *plan, const struct option_list *list, struct failure *failure);
int plan_net(struct launch_plan *plan, const char *net, struct failure *failure);

/* Fails with doctor's words where guests can't run; asks plan->vmm. */
int plan_check_host(const struct launch_plan *plan, struct failure *failure);

/*
 * A path that holds in any folder, for a file that need not be there yet: its folder's links are
 * resolved, its own name is kept. Owned by the caller. -1: there is no such folder.
 */
int plan_absolute_path(const char *path, char **out_path, struct failure *failure);

#endif
