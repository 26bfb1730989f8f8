/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan.c - see plan.h. No state, single thread.
 */
#include "supervisor/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "supervisor/probe.h"
#include "supervisor/process.h"

uint64_t plan_ttl_s(uint64_t ttl_ms)
{
	return (ttl_ms + 999) / 1000;
}

static int copy(const char *text, char **out_copy, struct failure *failure)
{
	char *made = strdup(text);

	if (!made)
		return failure_set_nomem(failure);
	free(*out_copy);
	*out_copy = made;
	return 0;
}

int plan_page(struct launch_plan *plan, const char *url, struct failure *failure)
{
	const char *wrong = url ? parse_url_problem(url) : NULL;

	if (wrong)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "--page: %s", wrong);
	return url ? copy(url, &plan->page, failure) : 0;
}

int plan_append(struct launch_plan *plan, const char *arguments, struct failure *failure)
{
	return arguments ? copy(arguments, &plan->append, failure) : 0;
}

int plan_relays(struct launch_plan *plan, const struct option_list *list, struct failure *failure)
{
	if (list->count > LAUNCH_RELAYS_MAX)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "--relay: at most %d of them",
		                   LAUNCH_RELAYS_MAX);
	for (size_t i = 0; i < list->count; i++) {
		struct launch_relay *relay = &plan->relays[i];
		const char *socket;

		if (parse_relay(list->items[i], &relay->port, &socket, failure) < 0)
			return -1;
		relay->socket = realpath(socket, NULL);
		if (!relay->socket)
			return failure_set(failure, STATUS_USAGE, CODE_USAGE,
			                   "--relay: %.200s: %s; start its server first", socket,
			                   strerror(errno));
		plan->relay_count++;
	}
	return 0;
}

int plan_disks(struct launch_plan *plan, const struct option_list *list, struct failure *failure)
{
	if (list->count > LAUNCH_DISKS_MAX)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "--disk: at most %d of them",
		                   LAUNCH_DISKS_MAX);
	for (size_t i = 0; i < list->count; i++) {
		struct launch_disk *disk = &plan->disks[i];
		cleanup_free char *file = NULL;

		if (parse_disk(list->items[i], &file, &disk->read_only, failure) < 0)
			return -1;
		/* The VMM starts elsewhere. What is wrong with the file otherwise, it says itself. */
		disk->path = realpath(file, NULL);
		if (!disk->path)
			return failure_set(
				failure, STATUS_USAGE, CODE_USAGE,
				"--disk: %.200s: %s; 'truncate --size=1G FILE' makes one", file,
				strerror(errno));
		plan->disk_count++;
	}
	return 0;
}

/* "stream:PATH": the VMM runs in another folder, so it gets a path that holds anywhere. */
static int plan_stream(const char *path, struct launch_plan *plan, struct failure *failure)
{
	cleanup_free char *absolute = realpath(path, NULL);

	if (!absolute)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--net: %.200s: %s; start its server first", path,
		                   strerror(errno));
	if (asprintf(&plan->net, "stream:%s", absolute) < 0)
		plan->net = NULL;
	return 0;
}

/* "tap-fd:N": the VMM inherits our descriptor under a number of its own. */
static int plan_tap_fd(const char *number, struct launch_plan *plan, struct failure *failure)
{
	uint64_t fd;

	if (parse_number("--net: tap-fd", number, 3, INT_MAX, &fd, failure) < 0)
		return -1;
	if (fcntl((int)fd, F_GETFD) < 0)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--net: descriptor %d is not open", (int)fd);
	plan->net_fd = (int)fd;
	if (asprintf(&plan->net, "tap-fd:%d", PROCESS_MORE_FD) < 0)
		plan->net = NULL;
	return 0;
}

/* What the words mean is the VMM's to judge. */
int plan_net(struct launch_plan *plan, const char *net, struct failure *failure)
{
	static const char stream[] = "stream:", tap_fd[] = "tap-fd:";
	int rc = 0;

	if (!net)
		return 0;
	if (strncmp(net, stream, strlen(stream)) == 0)
		rc = plan_stream(net + strlen(stream), plan, failure);
	else if (strncmp(net, tap_fd, strlen(tap_fd)) == 0)
		rc = plan_tap_fd(net + strlen(tap_fd), plan, failure);
	else
		plan->net = strdup(net);
	if (rc == 0 && !plan->net)
		return failure_set_nomem(failure);
	return rc;
}

int plan_check_host(const struct launch_plan *plan, struct failure *failure)
{
	cleanup_probe struct probe probe = { 0 };
	char advice[320];

	if (probe_run(plan->vmm, &probe, failure) < 0)
		return -1;
	if (probe.guests_run)
		return 0;
	probe_advise(&probe, advice, sizeof(advice));
	return failure_set(failure, STATUS_FAILED, CODE_HOST,
	                   "guests can't run on this host: %.160s. What to do: %s",
	                   probe.interpreted ? "this KVM interprets guest kernel code"
	                                     : probe.message,
	                   advice);
}

int plan_absolute_path(const char *path, char **out_path, struct failure *failure)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	cleanup_free char *folder = slash ? strndup(path, (size_t)(name - path)) : strdup(".");
	cleanup_free char *resolved = folder ? realpath(folder, NULL) : NULL;

	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "'%.200s' names no file",
		                   path);
	if (!resolved)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "%.200s: %s", path,
		                   strerror(errno));
	if (asprintf(out_path, "%s/%s", strcmp(resolved, "/") == 0 ? "" : resolved, name) < 0) {
		*out_path = NULL;
		return failure_set_nomem(failure);
	}
	return 0;
}
