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
#include "supervisor/process.h"

#define CONNECT_STEP_MS 2
#define ARGV_MAX 64
#define VALUES_MAX 24

void launch_plan_finish(struct launch_plan *plan)
{
	free(plan->vmm);
	free(plan->net);
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

static void make_line(const struct session *session, const struct launch_plan *plan,
                      struct line *line)
{
	line_add(line, plan->vmm, NULL);
	line_add(line, "--name", session->name);
	line_add(line, "--kernel", plan->images.kernel);
	line_add(line, "--initramfs", plan->images.initramfs);
	line_add(line, "--image", plan->images.image);
	line_format(line, "--memory", "%llu", (unsigned long long)plan->memory_mib);
	line_format(line, "--cpus", "%llu", (unsigned long long)plan->cpus);
	line_format(line, "--control", "%s/control.sock", session->path);
	line_format(line, "--vsock", "%s/vsock.sock", session->path);
	line_format(line, "--cid", "%d", PROTO_GUEST_CID);
	line_format(line, "--console", "%s/console.log", session->path);
	line_format(line, "--report", "%s/report.json", session->path);
	line_format(line, "--size", "%ux%u", plan->size.width, plan->size.height);
	if (plan->ttl_s)
		line_format(line, "--ttl", "%llu", (unsigned long long)plan->ttl_s);
	if (plan->guest_root)
		line_add(line, "--guest-root", NULL);
	if (plan->no_page_reporting)
		line_add(line, "--no-page-reporting", NULL);
	for (size_t i = 0; i < plan->disk_count; i++)
		line_format(line, "--disk", "%s,%s", plan->disks[i].path,
		            plan->disks[i].read_only ? "ro" : "rw");
	if (plan->append)
		line_add(line, "--append", plan->append);
	if (plan->net)
		line_add(line, "--net", plan->net);
	if (plan->mac)
		line_add(line, "--mac", plan->mac);
	if (plan->net_rate)
		line_add(line, "--net-rate", plan->net_rate);
}

static json_t *describe_plan(const struct session *session, const struct launch_plan *plan,
                             pid_t pid, uint64_t start_ticks)
{
	char size[32];
	json_t *relays = json_array(), *disks = json_array();

	snprintf(size, sizeof(size), "%ux%u", plan->size.width, plan->size.height);
	for (size_t i = 0; i < plan->relay_count; i++)
		json_array_append_new(relays,
		                      json_pack("{s:i,s:s}", "port", (int)plan->relays[i].port,
		                                "socket", plan->relays[i].socket));
	for (size_t i = 0; i < plan->disk_count; i++)
		json_array_append_new(disks, json_pack("{s:s,s:b}", "file", plan->disks[i].path,
		                                       "read_only", plan->disks[i].read_only));
	return json_pack(
		"{s:i,s:s,s:I,s:I,s:I,s:s,s:s,s:s,s:s,s:I,s:I,s:s,s:I,s:b,s:s*,s:s*,s:s*,s:s*,s:s*,"
		"s:o,s:o}",
		"version", 1, "name", session->name, "pid", (json_int_t)pid, "start_time",
		(json_int_t)start_ticks, "started_at", (json_int_t)time(NULL), "vmm", plan->vmm,
		"kernel", plan->images.kernel, "initramfs", plan->images.initramfs, "image",
		plan->images.image, "memory_mib", (json_int_t)plan->memory_mib, "cpus",
		(json_int_t)plan->cpus, "size", size, "ttl_s", (json_int_t)plan->ttl_s,
		"guest_root", plan->guest_root, "page", plan->page, "append", plan->append, "net",
		plan->net, "mac", plan->mac, "net_rate", plan->net_rate, "relays", relays, "disks",
		disks);
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
	json_t *facts;
	int rc;

	if (start_process(session, plan, &launch, failure) < 0)
		return -1;
	launch.pidfd = pidfd_open(launch.pid, 0);
	rc = launch.pidfd < 0 ? -errno : process_start_time(launch.pid, &ticks);
	facts = rc == 0 ? describe_plan(session, plan, launch.pid, ticks) : NULL;
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
static bool readable_within(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms) > 0;
}

int launch_connect(struct launch *launch, struct client *client, uint64_t timeout_ms,
                   struct failure *failure)
{
	uint64_t deadline_ns = clock_now_ns() + timeout_ms * NS_PER_MS;
	struct failure last = { 0 };

	for (;;) {
		if (client_open(client, launch->session, &last) == 0)
			return 0;
		json_decref(last.report);
		/* Not there yet is the one failure that passes. */
		if (last.status != STATUS_TIMEOUT && last.status != STATUS_DEAD)
			return failure_set(failure, last.status, last.code, "%s", last.message);
		if (process_wait_ended(launch->pidfd, 0))
			return failure_set(failure, STATUS_DEAD, CODE_DEAD, "the VMM ended");
		if (clock_now_ns() >= deadline_ns)
			return failure_set(failure, STATUS_TIMEOUT, PROTO_ERR_TIMEOUT,
			                   "the VMM did not open its control socket in time");
		if (readable_within(client->interrupt_fd, CONNECT_STEP_MS))
			return failure_set(failure, STATUS_FAILED, CODE_INTERRUPTED, "interrupted");
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
