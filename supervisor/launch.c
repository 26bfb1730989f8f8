/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * launch.c - see launch.h. Single thread.
 *
 * The VMM is our child while we wait for it, so its pid can't be recycled before launch_abort() has
 * reaped it; once released it belongs to init.
 */
#include "supervisor/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/proto.h"
#include "supervisor/facts.h"
#include "supervisor/process.h"

#define CONNECT_STEP_MIN_NS (NS_PER_MS / 8)
#define CONNECT_STEP_MAX_NS (NS_PER_MS * 2)
#define ARGV_MAX 64
#define VALUES_MAX 24

void launch_plan_finish(struct launch_plan *plan)
{
	free(plan->vmm);
	free(plan->restore.file);
	free(plan->restore.templates);
	free(plan->restore.touch);
	free(plan->restore.record);
	free(plan->page);
	free(plan->append);
	free(plan->net);
	json_decref(plan->origin);
	images_finish(&plan->images);
	for (size_t i = 0; i < plan->relay_count; i++)
		free(plan->relays[i].socket);
	for (size_t i = 0; i < plan->disk_count; i++)
		free(plan->disks[i].path);
	*plan = (struct launch_plan){ 0 };
}

int launch_prepare(const struct session *session, const struct launch_plan *plan,
                   struct failure *failure)
{
	size_t longest = strlen(session->path) + strlen("/vsock.sock_65535");

	if (longest >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "the path of the session's sockets is too long (%zu bytes, the "
		                   "limit is %zu); take a shorter name or XDG_RUNTIME_DIR",
		                   longest, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	for (size_t i = 0; i < plan->relay_count; i++) {
		const struct launch_relay *relay = &plan->relays[i];
		char link[32];

		snprintf(link, sizeof(link), "vsock.sock_%u", relay->port);
		if (symlinkat(relay->socket, session->folder_fd, link) < 0)
			return failure_set(failure, errno == EEXIST ? STATUS_USAGE : STATUS_FAILED,
			                   errno == EEXIST ? CODE_USAGE : CODE_HOST,
			                   "--relay: port %u: %s", relay->port,
			                   errno == EEXIST ? "given twice" : strerror(errno));
	}
	return 0;
}

/* A command line in the making. */
struct line {
	char *argv[ARGV_MAX];
	size_t count;
	char *values[VALUES_MAX]; /* owned: those made by line_format() */
	size_t value_count;
	bool failed;
};

static void line_finish(struct line *line)
{
	for (size_t i = 0; i < line->value_count; i++)
		free(line->values[i]);
}

static void line_add(struct line *line, const char *option, const char *value)
{
	if (line->count + 3 > ARGV_MAX || (!value && line->failed)) {
		line->failed = true;
		return;
	}
	line->argv[line->count++] = (char *)option;
	if (value)
		line->argv[line->count++] = (char *)value;
}

static void __attribute__((format(printf, 3, 4)))
line_format(struct line *line, const char *option, const char *fmt, ...)
{
	va_list args;
	char *value;
	int rc;

	va_start(args, fmt);
	rc = vasprintf(&value, fmt, args);
	va_end(args);
	if (rc < 0 || line->value_count == VALUES_MAX) {
		if (rc >= 0)
			free(value);
		line->failed = true;
		return;
	}
	line->values[line->value_count++] = value;
	line_add(line, option, value);
}

/* A machine that boots. */
static void add_boot(const struct launch_plan *plan, struct line *line)
{
	line_add(line, "--kernel", plan->images.kernel);
	line_add(line, "--initramfs", plan->images.initramfs);
	line_add(line, "--image", plan->images.image);
	line_format(line, "--memory", "%llu", (unsigned long long)plan->memory_mib);
	line_format(line, "--cpus", "%llu", (unsigned long long)plan->cpus);
	line_format(line, "--size", "%ux%u", plan->size.width, plan->size.height);
	line_format(line, "--cid", "%d", PROTO_GUEST_CID);
	if (plan->guest_root)
		line_add(line, "--guest-root", NULL);
	if (plan->no_page_reporting)
		line_add(line, "--no-page-reporting", NULL);
	for (size_t i = 0; i < plan->disk_count; i++)
		line_format(line, "--disk", "%s,%s", plan->disks[i].path,
		            plan->disks[i].read_only ? "ro" : "rw");
	if (plan->append)
		line_add(line, "--append", plan->append);
}

/* One that goes on where a snapshot left it. */
static void add_restore(const struct launch_plan *plan, struct line *line)
{
	const struct launch_restore *restore = &plan->restore;

	line_add(line, "--restore", restore->file);
	if (restore->mode)
		line_add(line, "--restore-mode", restore->mode);
	if (restore->templates)
		line_add(line, "--templates", restore->templates);
	if (restore->touch)
		line_add(line, "--touch", restore->touch);
	if (restore->record)
		line_add(line, "--record-touch", restore->record);
	if (plan->images.image)
		line_add(line, "--image", plan->images.image);
}

static void make_line(const struct session *session, const struct launch_plan *plan,
                      struct line *line)
{
	line_add(line, plan->vmm, NULL);
	line_add(line, "--name", session->name);
	if (plan->restore.file)
		add_restore(plan, line);
	else
		add_boot(plan, line);
	line_format(line, "--control", "%s/control.sock", session->path);
	line_format(line, "--vsock", "%s/vsock.sock", session->path);
	line_format(line, "--vnc", "%s/vnc.sock", session->path);
	line_format(line, "--console", "%s/console.log", session->path);
	line_format(line, "--report", "%s/report.json", session->path);
	if (plan->ttl_s)
		line_format(line, "--ttl", "%llu", (unsigned long long)plan->ttl_s);
	if (plan->net)
		line_add(line, "--net", plan->net);
	if (plan->mac)
		line_add(line, "--mac", plan->mac);
	if (plan->net_rate)
		line_add(line, "--net-rate", plan->net_rate);
}

static int start_process(const struct session *session, const struct launch_plan *plan,
                         struct launch *launch, struct failure *failure)
{
	struct line line = { 0 };
	cleanup_fd int log = openat(session->folder_fd, "vmm.log",
	                            O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	int rc;

	if (log < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "cannot make %.200s/vmm.log: %s", session->path,
		                   strerror(errno));
	make_line(session, plan, &line);
	launch->started_ns = clock_now_ns();
	rc = line.failed ? -ENOMEM
	                 : process_start(line.argv,
	                                 (struct process_stdio){ -1, log, log, plan->net_fd }, true,
	                                 &launch->pid);
	line_finish(&line);
	if (rc < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot start %.200s: %s",
		                   plan->vmm, strerror(-rc));
	return 0;
}

int launch_start(struct session *session, const struct launch_plan *plan, struct launch *out_launch,
                 struct failure *failure)
{
	struct launch launch = { .session = session, .pidfd = -1 };
	uint64_t ticks = 0;
	json_t *facts = NULL;
	int rc;

	if (start_process(session, plan, &launch, failure) < 0)
		return -1;
	launch.pidfd = pidfd_open(launch.pid, 0);
	rc = launch.pidfd < 0 ? -errno : process_start_time(launch.pid, &ticks);
	if (rc == 0)
		facts = facts_of_plan(session->name, plan,
		                      (struct facts_process){ launch.pid, ticks });
	if (rc == 0 && facts && session_write_facts(session, facts, failure) == 0) {
		*out_launch = launch;
		return 0;
	}
	if (!failure->status)
		failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot note the VMM's process: %s",
		            strerror(rc < 0 ? -rc : EILSEQ));
	kill(launch.pid, SIGKILL);
	while (waitpid(launch.pid, NULL, 0) < 0 && errno == EINTR)
		;
	close_fd(&launch.pidfd);
	return -1;
}

/* Sleeps a moment. True when @fd (or -1) can be read. */
static bool readable_within(int fd, uint64_t ns)
{
	const struct timespec time = { .tv_nsec = (long)ns };
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return ppoll(&pfd, 1, &time, NULL) > 0;
}

int launch_connect(const struct session *session, int pidfd, struct client *client,
                   uint64_t timeout_ms, struct failure *failure)
{
	uint64_t deadline_ns = clock_now_ns() + timeout_ms * NS_PER_MS;
	uint64_t step_ns = CONNECT_STEP_MIN_NS;
	struct failure last = { 0 };

	for (;;) {
		if (client_open(client, session, &last) == 0)
			return 0;
		json_decref(last.report);
		/* Not there yet is the one failure that passes. */
		if (last.status != STATUS_TIMEOUT && last.status != STATUS_DEAD)
			return failure_set(failure, last.status, last.code, "%s", last.message);
		if (process_wait_ended(pidfd, 0))
			return failure_set(failure, STATUS_DEAD, CODE_DEAD, "the VMM ended");
		if (clock_now_ns() >= deadline_ns)
			return failure_set(failure, STATUS_TIMEOUT, PROTO_ERR_TIMEOUT,
			                   "the VMM did not open its control socket in time");
		if (readable_within(client->interrupt_fd, step_ns))
			return failure_set(failure, STATUS_FAILED, CODE_INTERRUPTED, "interrupted");
		if (step_ns < CONNECT_STEP_MAX_NS)
			step_ns *= 2;
		last = (struct failure){ 0 };
	}
}

/* The failure's status and code for a VMM's exit status (cloche-vmm(1)). */
static void classify(int status, struct failure *failure)
{
	bool exited = WIFEXITED(status);

	failure->status = exited && WEXITSTATUS(status) == 2 ? STATUS_USAGE : STATUS_FAILED;
	failure->code = CODE_HOST;
	if (exited && WEXITSTATUS(status) == 2)
		failure->code = CODE_USAGE;
	if (exited && WEXITSTATUS(status) == 3)
		failure->code = CODE_CRASHED;
	if (exited && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 4))
		failure->code = CODE_DEAD;
}

void launch_explain(struct launch *launch, struct failure *failure)
{
	char why[400];
	int status;

	if (launch->pid <= 0 || !process_wait_ended(launch->pidfd, 2000))
		return;
	if (waitpid(launch->pid, &status, 0) != launch->pid)
		return;
	launch->pid = 0;
	json_decref(failure->report);
	session_explain_end(launch->session, why, sizeof(why), &failure->report);
	if (WIFSIGNALED(status) && !failure->report)
		failure_set(failure, STATUS_FAILED, CODE_HOST,
		            "the VMM was killed by signal %d (%s); its last words: %s",
		            WTERMSIG(status), strsignal(WTERMSIG(status)), why);
	else
		failure_set(failure, STATUS_FAILED, CODE_HOST, "%s", why);
	classify(status, failure);
}

void launch_abort(struct launch *launch)
{
	struct failure ignored = { 0 };

	if (launch->pid > 0) {
		kill(launch->pid, SIGKILL);
		while (waitpid(launch->pid, NULL, 0) < 0 && errno == EINTR)
			;
		launch->pid = 0;
	}
	close_fd(&launch->pidfd);
	if (launch->session)
		session_remove(launch->session, &ignored);
	launch->session = NULL;
}

void launch_release(struct launch *launch)
{
	close_fd(&launch->pidfd);
	*launch = (struct launch)LAUNCH_INIT;
}
