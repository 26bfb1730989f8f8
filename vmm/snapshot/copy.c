/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * copy.c - see copy.h.
 *
 * Several clones are made by the first of them: the original forks once, however many it is copied to, and
 * its pause doesn't grow. The first clone forks the others before it does anything else, so that all
 * have the same memory, and sends their pids back through a pipe.
 */
#include "vmm/snapshot/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "vmm/snapshot/clone.h"
#include "vmm/snapshot/config.h"
#include "vmm/snapshot/info.h"
#include "vmm/snapshot/pager.h"
#include "vmm/snapshot/pause.h"
#include "vmm/snapshot/save.h"
#include "vmm/snapshot/state.h"
#include "vmm/viewers.h"
#include "vmm/vm.h"

struct copy {
	struct copy *next;
	struct vm *vm; /* borrowed */
	copy_done *done;
	void *arg;
	/* A fork. */
	struct clone_plan *plans; /* owned; NULL: a snapshot */
	unsigned count;
	pid_t pids[COPY_CLONES_MAX];
	size_t pid_bytes; /* of .pids that are there */
	int pids_fd;      /* owned: the first clone writes the others' here */
	struct loop_watch pids_watch;
	/* A snapshot. */
	char *path, *parent; /* owned */
	int progress_fd;     /* owned */
	struct snapshot_id id;

	uint64_t pause_ns;
};

void clone_plan_finish(struct clone_plan *plan)
{
	free(plan->name);
	free(plan->control);
	free(plan->vsock);
	free(plan->vnc);
	free(plan->report);
	free(plan->console);
	free(plan->log);
	free(plan->net);
	*plan = (struct clone_plan){ 0 };
}

static void copy_destroy(struct copy *copy)
{
	for (unsigned i = 0; i < copy->count; i++)
		clone_plan_finish(&copy->plans[i]);
	free(copy->plans);
	free(copy->path);
	free(copy->parent);
	loop_watch_remove(copy->vm->loop, &copy->pids_watch);
	close_fd(&copy->pids_fd);
	close_fd(&copy->progress_fd);
	free(copy);
}

/* The end of a copy that is in no list any more. */
static void finish(struct copy *copy, const struct error *err)
{
	struct copy_result result = { .pids = copy->pids,
		                      .pid_count = (unsigned)(copy->pid_bytes / sizeof(pid_t)),
		                      .pause_ns = copy->pause_ns,
		                      .id = copy->id };

	if (err)
		result.err = *err;
	copy->done(copy->arg, &result);
	copy_destroy(copy);
}

static void take_out(struct copy **list, const struct copy *copy)
{
	while (*list != copy)
		list = &(*list)->next;
	*list = copy->next;
}

/* --- asking -------------------------------------------------------------------------------------- */

static bool can_make(const struct vm *vm)
{
	return vm->copies && vm->loaded && (vm->acknowledged || !vm->has_agent);
}

void copies_go_on(struct vm *vm)
{
	if (can_make(vm))
		loop_stop(vm->loop);
}

/* @copy is NULL without memory. Requests are worked off in their order. */
static void ask(struct vm *vm, struct copy *copy, copy_done *done, void *arg)
{
	struct copy **end = &vm->copies;

	copy->vm = vm;
	copy->done = done;
	copy->arg = arg;
	while (*end)
		end = &(*end)->next;
	*end = copy;
	if (vm->pager)
		pager_hurry(vm->pager);
	copies_go_on(vm);
}

static struct copy *copy_create(void)
{
	struct copy *copy = calloc(1, sizeof(*copy));

	ASSERT(copy); /* some hundred bytes */
	copy->pids_fd = copy->progress_fd = -1;
	return copy;
}

void copies_fork(struct vm *vm, struct clone_plan *plans, unsigned count, copy_done *done,
                 void *arg)
{
	struct copy *copy = copy_create();

	ASSERT(count >= 1 && count <= COPY_CLONES_MAX);
	copy->plans = plans;
	copy->count = count;
	ask(vm, copy, done, arg);
}

void copies_snapshot(struct vm *vm, char *path, char *parent, int progress_fd, copy_done *done,
                     void *arg)
{
	struct copy *copy = copy_create();

	copy->path = path;
	copy->parent = parent;
	copy->progress_fd = progress_fd;
	ask(vm, copy, done, arg);
}

/* --- the pids of several clones ------------------------------------------------------------------ */

static void on_pids(struct loop_watch *watch, uint32_t events)
{
	struct copy *copy = container_of(watch, struct copy, pids_watch);
	size_t whole = copy->count * sizeof(pid_t);
	struct error err = { 0 };

	(void)events;
	ssize_t n = read(copy->pids_fd, (uint8_t *)copy->pids + copy->pid_bytes,
	                 whole - copy->pid_bytes);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0)
		copy->pid_bytes += (size_t)n;
	if (n > 0 && copy->pid_bytes < whole)
		return;
	if (copy->pid_bytes < whole)
		error_set(&err, -ECHILD, "only %zu of %u clones could be made",
		          copy->pid_bytes / sizeof(pid_t), copy->count);
	take_out(&copy->vm->copies_begun, copy);
	finish(copy, err.code ? &err : NULL);
}

/* In the first clone: the others are made. Which of them this process is. */
static unsigned fork_others(const struct copy *copy, int pids_fd)
{
	pid_t pids[COPY_CLONES_MAX];
	unsigned made = 1;

	for (; made < copy->count; made++) {
		pids[made] = fork();
		if (pids[made] == 0)
			return made;
		if (pids[made] < 0)
			break;
	}
	/* A pipe takes that much at once; if the original is gone, nobody needs to know. */
	if (made > 1 && write(pids_fd, pids + 1, (made - 1) * sizeof(pid_t)) < 0)
		log_warn("the other clones' pids could not be told: %s", strerror(errno));
	return 0;
}

/* --- making -------------------------------------------------------------------------------------- */

/* Sessions that were restored from a file go on to use it, or a template that has its name. */
static bool is_origin(const struct vm *vm, const char *path)
{
	struct stat st;

	return vm->origin_inode && stat(path, &st) == 0 && st.st_dev == vm->origin_device &&
	       st.st_ino == vm->origin_inode;
}

static int check(const struct vm *vm, const struct copy *copy, struct error *err)
{
	if (copy->path && is_origin(vm, copy->path))
		return error_set(
			err, -EINVAL,
			"this session was restored from %s, which must stay as it is: take "
			"another file",
			copy->path);
	for (unsigned i = 0; i < vm->config->disk_count; i++)
		if (!vm->config->disks[i].read_only)
			return error_set(
				err, -ENOTSUP,
				"this session has a writable disk (%s), which can't be copied "
				"with it",
				vm->config->disks[i].path);
	return 0;
}

/* What the copy is made of, encoded; the VM is QUIESCED. */
static int encode(struct vm *vm, const struct copy *copy, struct sections_writer *state,
                  struct error *err)
{
	/* A fork's configuration is in its memory. */
	if (copy->path) {
		info_save(state);
		config_save(vm, state);
	}
	return state_save(vm, state, err);
}

static void close_pipe(int pipe_fds[2])
{
	close_fd(&pipe_fds[0]);
	close_fd(&pipe_fds[1]);
}

/* In the original, after the fork: the vCPUs run. Waits for the other clones' pids if there are any. */
static void parent_goes_on(struct copy *copy, pid_t pid, int *pids_fd)
{
	copy->pids[0] = pid;
	copy->pid_bytes = sizeof(pid_t);
	if (copy->count <= 1) {
		finish(copy, NULL);
		return;
	}
	copy->pids_fd = steal_fd(pids_fd);
	struct error err = { 0 };
	int ret =
		loop_watch_add(copy->vm->loop, &copy->pids_watch, copy->pids_fd, EPOLLIN, on_pids);
	if (ret) {
		error_set(&err, ret, "cannot watch a pipe: %s", strerror(-ret));
		finish(copy, &err);
		return;
	}
	copy->next = copy->vm->copies_begun;
	copy->vm->copies_begun = copy;
}

/* In the child. */
static const struct clone_plan *child_begins(struct vm *vm, struct copy *copy,
                                             struct sections_writer *state, int pids_fd)
{
	if (copy->path)
		save_run(vm, &(struct save){ .path = copy->path,
		                             .parent = copy->parent,
		                             .progress_fd = copy->progress_fd,
		                             .id = copy->id,
		                             .state = state->out.data,
		                             .state_size = state->out.size });
	unsigned number = copy->count > 1 ? fork_others(copy, pids_fd) : 0;

	vm->saved = (struct vm_saved){ .state = state->out.data, .size = state->out.size };
	/* With all else of the original's; the plan stays in use. */
	copy->next = vm->copies_begun;
	vm->copies_begun = copy;
	return &copy->plans[number];
}

static const struct clone_plan *make(struct vm *vm, struct copy *copy)
{
	struct sections_writer state = SECTIONS_WRITER_INIT;
	int pids[2] = { -1, -1 };
	struct error err = { 0 };

	int ret = check(vm, copy, &err);
	if (ret == 0 && copy->count > 1 && pipe2(pids, O_CLOEXEC | O_NONBLOCK))
		ret = error_set(&err, -errno, "pipe: %s", strerror(errno));
	if (ret == 0 && copy->path && getrandom(&copy->id, sizeof(copy->id), 0) < 0)
		ret = error_set(&err, -errno, "getrandom: %s", strerror(errno));
	if (ret) {
		close_pipe(pids);
		finish(copy, &err);
		return NULL;
	}
	if (copy->path && vm->image_size && vm->image_identity == 0)
		vm->image_identity = image_identity(vm->image_host, vm->image_size);

	viewers_hold(vm->viewers);
	uint64_t begun = clock_now_ns();
	pause_begin(vm);
	ret = encode(vm, copy, &state, &err);
	pause_copy(vm);
	vm->copied_ns = begun;
	pid_t pid = ret ? -1 : fork();
	if (pid == 0)
		return child_begins(vm, copy, &state, pids[1]);
	if (ret == 0 && pid < 0)
		error_set(&err, -errno, "cannot fork: %s", strerror(errno));
	pause_end(vm);
	viewers_go_on(vm->viewers);
	copy->pause_ns = clock_now_ns() - begun;
	sections_writer_finish(&state);
	if (pid < 0)
		finish(copy, &err);
	else
		parent_goes_on(copy, pid, &pids[0]);
	close_pipe(pids);
	return NULL;
}

const struct clone_plan *copies_make(struct vm *vm)
{
	const struct clone_plan *plan = NULL;

	while (!plan && can_make(vm)) {
		struct copy *copy = vm->copies;

		vm->copies = copy->next;
		plan = make(vm, copy);
	}
	return plan;
}

void copies_end(struct vm *vm)
{
	struct error err = { 0 };

	error_set(&err, -ECANCELED, "the session ends");
	for (struct copy *copy; (copy = vm->copies);) {
		vm->copies = copy->next;
		finish(copy, &err);
	}
	for (struct copy *copy; (copy = vm->copies_begun);) {
		vm->copies_begun = copy->next;
		finish(copy, &err);
	}
}
