/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/clone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "vmm/options.h"

#define KEPT_FD 3

void clone_close_others(int *keep)
{
	if (*keep != KEPT_FD) {
		/* Whatever has the number is one of those that are closed. */
		dup3(*keep, KEPT_FD, O_CLOEXEC);
		*keep = KEPT_FD;
	}
	close_range(KEPT_FD + 1, ~0u, 0);
}

/* What is said from now on is said in the new session's log. */
static int open_log(const char *path, struct error *err)
{
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	cleanup_fd int log =
		open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (null < 0 || log < 0)
		return error_set(err, -errno, "cannot write %s: %s", path, strerror(errno));
	if (dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
	    dup2(log, STDERR_FILENO) < 0)
		return error_set(err, -errno, "dup2: %s", strerror(errno));
	return 0;
}

static void take_paths(struct vm_config *config, const struct clone_plan *plan)
{
	config->name = plan->name;
	config->control = plan->control;
	config->vsock = plan->vsock;
	config->vnc = plan->vnc;
	config->report = plan->report;
	config->console = plan->console;
	config->ttl_s = plan->ttl_s;
	config->paused = false;
	config->restore = NULL;
}

static int plug_in(struct vm_config *config, const struct clone_plan *plan, struct error *err)
{
	if (config->net.kind == NET_NONE)
		return 0;
	config->net.kind = NET_UNPLUGGED;
	config->net.target = NULL;
	config->net.has_mac = false;
	int ret = plan->net ? options_parse_net(plan->net, &config->net, err) : 0;
	return ret ? ret : options_finish_net(&config->net, config->name, config->cid, err);
}

int clone_begin(struct vm *vm, struct vm_config *config, const struct clone_plan *plan,
                struct error *err)
{
	struct vm *left = malloc(sizeof(*left));

	ASSERT(left); /* some kilobytes; and nothing could be said yet but by the original's name */
	*left = *vm;
	*vm = (struct vm){
		.kvm.fd = left->kvm.fd,
		.kvm.run_size = left->kvm.run_size,
		.kvm.vm_fd = -1,
		.memory = left->memory,
		.image_host = left->image_host,
		.image_size = left->image_size,
		.image_identity = left->image_identity,
		.image_base = left->image_base,
		.saved = left->saved,
		.loaded = true,
		.has_agent = left->has_agent,
		.origin_device = left->origin_device,
		.origin_inode = left->origin_inode,
		.original = left,
		.origin = { .kind = ORIGIN_FORK },
	};
	snprintf(vm->origin.of, sizeof(vm->origin.of), "%s", left->config->name);
	/* The clock of the clone's stages began with the original's pause. */
	atomic_store(&vm->stages[STAGE_STARTED], left->copied_ns);
	setsid();
	clone_close_others(&vm->kvm.fd);
	/* First: whatever fails from here on must not be said in the original's report. */
	take_paths(config, plan);
	vm->config = config;
	int ret = open_log(plan->log, err);
	return ret ? ret : plug_in(config, plan, err);
}
