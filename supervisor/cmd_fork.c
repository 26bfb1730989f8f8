/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_fork.c - `cloche fork`: copies of a running session, all or none. Single thread.
 *
 *	make all folders                          a failure removes them
 *	ask the VMM: it forks a VMM each          not to be interrupted: only its answer tells the pids
 *	note each in its session.json
 *	wait for each one's agent                 from here on a failure, or a signal, ends all of them
 *
 * The new VMMs are children of the old one's: each is held by a pidfd, opened while its parent has only
 * just started it, and must be the one that answers at its control socket.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/proto.h"
#include "supervisor/facts.h"
#include "supervisor/interrupt.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/plan.h"
#include "supervisor/process.h"

#define FORKS_MAX 64
#define FORK_TIMEOUT_MS 60000u
#define CONNECT_TIMEOUT_MS 10000u
#define WAIT_DEFAULT_MS 60000u
#define KILL_WAIT_MS 5000u

/* One new session. */
struct copy {
	struct session session;
	struct client client;
	pid_t pid; /* 0: not known */
	int pidfd; /* owned */
	json_int_t agent_ms;
};

/* The whole fork under way. */
struct job {
	struct invocation *inv;
	struct session parent;
	struct client client;    /* of the parent */
	struct launch_plan plan; /* what the copies have: relays, net, time to live */
	struct copy copies[FORKS_MAX];
	size_t count;
	int signal_fd; /* owned */
	uint64_t deadline_ns;
	uint64_t pause_us;
};

static void job_finish(struct job *job)
{
	for (size_t i = 0; i < job->count; i++) {
		struct copy *copy = &job->copies[i];

		client_close(&copy->client);
		session_finish(&copy->session);
		close_fd(&copy->pidfd);
	}
	client_close(&job->client);
	session_finish(&job->parent);
	launch_plan_finish(&job->plan);
	close_fd(&job->signal_fd);
}

/* --- taking it back --- */

/* A copy whose pid nobody told us, if it has come as far as its control socket. */
static void find_stray(struct copy *copy)
{
	cleanup_client struct client client = CLIENT_INIT;
	struct failure ignored = { 0 };

	if (client_open(&client, &copy->session, &ignored) == 0)
		copy->pidfd = pidfd_open(client.peer, 0);
	json_decref(ignored.report);
}

static void take_back(struct job *job)
{
	for (size_t i = 0; i < job->count; i++) {
		struct copy *copy = &job->copies[i];
		struct failure ignored = { 0 };

		if (copy->pidfd < 0 && copy->session.folder_fd >= 0)
			find_stray(copy);
		client_close(&copy->client);
		if (copy->pidfd >= 0)
			process_kill(copy->pidfd, KILL_WAIT_MS);
		if (copy->session.folder_fd >= 0)
			session_remove(&copy->session, &ignored);
	}
}

/* --- the fork --- */

static int check_names(char *const *names, int count, struct failure *failure)
{
	for (int i = 0; i < count; i++) {
		if (session_check_name(names[i], failure) < 0)
			return -1;
		for (int j = 0; j < i; j++) {
			if (strcmp(names[i], names[j]) == 0)
				return failure_set(failure, STATUS_USAGE, CODE_USAGE,
				                   "'%.64s' is named twice", names[i]);
		}
	}
	return 0;
}

static int make_folders(struct job *job, char *const *names, size_t count, struct failure *failure)
{
	for (size_t i = 0; i < count; i++) {
		struct copy *copy = &job->copies[i];

		*copy = (struct copy){ .session = SESSION_INIT,
			               .client = CLIENT_INIT,
			               .pidfd = -1 };
		job->count = i + 1;
		if (session_create(names[i], &copy->session, failure) < 0 ||
		    launch_prepare(&copy->session, &job->plan, failure) < 0)
			return -1;
	}
	return 0;
}

static json_t *describe_copy(const struct job *job, const struct session *session)
{
	static const char *const files[][2] = {
		{ "control", "control.sock" }, { "vsock", "vsock.sock" },    { "vnc", "vnc.sock" },
		{ "report", "report.json" },   { "console", "console.log" }, { "log", "vmm.log" },
	};
	json_t *copy = json_pack("{s:s,s:s*}", "name", session->name, "net", job->plan.net);

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		json_object_set_new(copy, files[i][0],
		                    json_sprintf("%s/%s", session->path, files[i][1]));
	if (job->plan.ttl_s)
		json_object_set_new(copy, "ttl_s", json_integer((json_int_t)job->plan.ttl_s));
	return copy;
}

static int ask(struct job *job, struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	json_t *children = json_array();
	const json_t *pids;

	for (size_t i = 0; i < job->count; i++)
		json_array_append_new(children, describe_copy(job, &job->copies[i].session));
	if (client_call(&job->client, json_pack("{s:s,s:o}", "verb", "fork", "children", children),
	                NULL, 0, FORK_TIMEOUT_MS, &reply, failure) < 0)
		return -1;
	pids = json_object_get(reply.object, "pids");
	job->pause_us = (uint64_t)client_integer(reply.object, "pause_us", 0, 1ll << 40, 0);
	for (size_t i = 0; i < job->count; i++) {
		struct copy *copy = &job->copies[i];
		json_int_t pid = json_integer_value(json_array_get(pids, i));

		if (pid < 1 || pid > INT32_MAX)
			return failure_set(failure, STATUS_FAILED, CODE_BROKEN,
			                   "fork: the VMM named no process for '%s'",
			                   copy->session.name);
		copy->pid = (pid_t)pid;
		copy->pidfd = pidfd_open(copy->pid, 0);
	}
	return 0;
}

/* Says why a copy has ended, in its own words. */
static int copy_has_ended(const struct copy *copy, struct failure *failure)
{
	char why[400];

	json_decref(failure->report);
	failure->report = NULL;
	session_explain_end(&copy->session, why, sizeof(why), &failure->report);
	return failure_set(failure, STATUS_FAILED, CODE_HOST, "fork: '%s' ended: %s",
	                   copy->session.name, why);
}

static int note(struct job *job, struct copy *copy, struct failure *failure)
{
	struct facts_fork facts = { .name = copy->session.name,
		                    .parent = job->parent.name,
		                    .net = job->plan.net,
		                    .ttl_s = job->plan.ttl_s,
		                    .process = { .pid = copy->pid } };
	json_t *object;

	if (copy->pidfd < 0 || process_start_time(copy->pid, &facts.process.start_ticks) < 0)
		return copy_has_ended(copy, failure);
	object = facts_of_fork(job->parent.facts, &facts);
	if (!object)
		return failure_set_nomem(failure);
	return session_write_facts(&copy->session, object, failure);
}

static uint64_t time_left_ms(const struct job *job)
{
	uint64_t now = clock_now_ns();

	return now < job->deadline_ns ? (job->deadline_ns - now) / NS_PER_MS + 1 : 1;
}

static int wait_for_agent(struct job *job, struct copy *copy, struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;

	output_progress(job->inv, "waiting for the agent of %s", copy->session.name);
	copy->client.interrupt_fd = job->signal_fd;
	if (launch_connect(&copy->session, copy->pidfd, &copy->client, CONNECT_TIMEOUT_MS,
	                   failure) < 0)
		return -1;
	if (copy->client.peer != copy->pid)
		return failure_set(failure, STATUS_FAILED, CODE_BROKEN,
		                   "fork: another process answers for '%s'", copy->session.name);
	if (client_call(&copy->client, json_pack("{s:s,s:s}", "verb", "wait", "for", "agent"), NULL,
	                0, time_left_ms(job), &reply, failure) < 0)
		return -1;
	copy->agent_ms = client_integer(json_object_get(reply.object, "stages"), "agent_ms", 0,
	                                (json_int_t)1 << 32, -1);
	return 0;
}

static int bring_up(struct job *job, struct failure *failure)
{
	for (size_t i = 0; i < job->count; i++) {
		if (note(job, &job->copies[i], failure) < 0)
			return -1;
	}
	for (size_t i = 0; i < job->count; i++) {
		struct copy *copy = &job->copies[i];

		if (wait_for_agent(job, copy, failure) == 0)
			continue;
		if (failure->status == STATUS_DEAD && process_wait_ended(copy->pidfd, 2000))
			copy_has_ended(copy, failure);
		/* Nothing is left of it, so nobody can be told that it is dead. */
		if (failure->status == STATUS_TIMEOUT || failure->status == STATUS_DEAD)
			failure->status = STATUS_FAILED;
		return -1;
	}
	return 0;
}

/* --- the answer --- */

static void print_text(const struct job *job)
{
	for (size_t i = 0; i < job->count; i++) {
		const struct copy *copy = &job->copies[i];

		printf("session %s is ready (pid %d), a fork of %s", copy->session.name,
		       (int)copy->pid, job->parent.name);
		if (copy->agent_ms >= 0)
			printf("  %lld ms", (long long)copy->agent_ms);
		putchar('\n');
	}
	printf("%s stood still for %.2f ms\n", job->parent.name, (double)job->pause_us / 1000);
}

static void print_json(const struct job *job)
{
	json_t *answer = output_answer_new();
	json_t *list = json_array();

	for (size_t i = 0; i < job->count; i++) {
		const struct copy *copy = &job->copies[i];
		json_t *item = json_pack("{s:s,s:I,s:s}", "name", copy->session.name, "pid",
		                         (json_int_t)copy->pid, "folder", copy->session.path);

		if (copy->agent_ms >= 0)
			json_object_set_new(item, "agent_ms", json_integer(copy->agent_ms));
		json_array_append_new(list, item);
	}
	json_object_update_new(answer,
	                       json_pack("{s:s,s:I,s:o}", "of", job->parent.name, "pause_us",
	                                 (json_int_t)job->pause_us, "sessions", list));
	output_answer(answer);
}

static int fork_session(struct job *job, const struct arguments *arguments, struct failure *failure)
{
	char *const *names = arguments->items + 1;
	int rc;

	if (session_open(arguments->items[0], &job->parent, failure) < 0 ||
	    client_open(&job->client, &job->parent, failure) < 0)
		return -1;
	if (facts_read_relays(job->parent.facts, &job->plan) < 0)
		return failure_set_nomem(failure);
	rc = make_folders(job, names, (size_t)arguments->count - 1, failure);
	if (rc == 0)
		rc = ask(job, failure);
	if (rc == 0)
		rc = bring_up(job, failure);
	output_progress_clear(job->inv);
	if (rc < 0) {
		take_back(job);
		return -1;
	}
	if (job->inv->json)
		print_json(job);
	else
		print_text(job);
	return STATUS_OK;
}

/* A descriptor of ours can't become one of a copy's: it comes from the VMM, not from us. */
static int plan_copy_net(struct job *job, const char *net, int count, struct failure *failure)
{
	if (net && count > 1)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--net: for one new session at a time");
	if (net && strncmp(net, "tap-fd:", strlen("tap-fd:")) == 0)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--net: a fork can't be given a descriptor; name the tap, as "
		                   "tap:IFNAME");
	return plan_net(&job->plan, net, failure);
}

int command_fork(struct invocation *inv, struct failure *failure)
{
	struct job job = {
		.inv = inv, .parent = SESSION_INIT, .client = CLIENT_INIT, .signal_fd = -1
	};
	uint64_t ttl_ms = PLAN_TTL_DEFAULT_MS, wait_ms = WAIT_DEFAULT_MS;
	const char *net = NULL;
	const struct option options[] = {
		{ "ttl", 0, OPTION_DURATION, &ttl_ms, "TIME", PLAN_HELP_TTL, 0, PLAN_TTL_MAX_MS },
		{ "net", 0, OPTION_STRING, &net, "WHAT",
		  "what its network card is plugged into: tap:IFNAME or stream:PATH", 0, 0 },
		{ "timeout", 0, OPTION_DURATION, &wait_ms, "TIME",
		  "give up when not all are ready by then (default 60s)", 1, PROTO_TIMEOUT_MAX_MS },
	};
	struct arguments arguments;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 2, 1 + FORKS_MAX, false }, &arguments,
	                       failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	job.plan.ttl_s = plan_ttl_s(ttl_ms);
	job.deadline_ns = clock_now_ns() + wait_ms * NS_PER_MS;
	rc = check_names(arguments.items + 1, arguments.count - 1, failure);
	if (rc == 0)
		rc = plan_copy_net(&job, net, arguments.count - 1, failure);
	if (rc == 0)
		rc = interrupt_watch(&job.signal_fd, failure);
	if (rc == 0)
		rc = fork_session(&job, &arguments, failure);
	if (rc < 0)
		interrupt_obey(job.signal_fd);
	job_finish(&job);
	return rc;
}
