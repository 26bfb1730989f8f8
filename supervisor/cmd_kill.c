/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_kill.c - `cloche kill`: ends sessions and removes all that is left of them. Single thread.
 *
 * What is killed is exactly the session's VMM. It is known by the control socket's peer, pinned by
 * a pidfd while the connection still stands; or, when the socket answers nobody, by the pid and
 * start time that session.json holds. A pid alone is never believed.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/proto.h"
#include "supervisor/client.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/process.h"

#define QUIT_TIMEOUT_MS 1000u
#define QUIT_WAIT_MS 3000u
#define KILL_WAIT_MS 5000u
#define START_WAIT_MS 2000u

/* True while the peer holds its end: then its pid is still its own. */
static bool still_connected(const struct client *client)
{
	struct pollfd pfd = { .fd = client->conn.fd, .events = POLLRDHUP };

	return poll(&pfd, 1, 0) == 0;
}

/* Opens the VMM's process. 0: *out_pidfd; -ESRCH: it has ended; -ENOENT: nobody knows it yet. */
static int find_vmm(const struct session *session, const struct client *client, int *out_pidfd)
{
	cleanup_fd int pidfd = -1;

	if (client->conn.fd < 0 || client->peer <= 0)
		return session_open_vmm(session, out_pidfd);
	pidfd = pidfd_open(client->peer, 0);
	if (pidfd < 0 || !still_connected(client))
		return session_open_vmm(session, out_pidfd);
	*out_pidfd = steal_fd(&pidfd);
	return 0;
}

/* Asks it to quit, then makes it. 0 or -1. */
static int end_vmm(const struct session *session, struct client *client, int pidfd,
                   bool *out_forced, struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	struct failure ignored = { 0 };
	bool asked = client->conn.fd >= 0 &&
	             client_call(client, json_pack("{s:s}", "verb", "quit"), NULL, 0,
	                         QUIT_TIMEOUT_MS, &reply, &ignored) == 0;

	json_decref(ignored.report);
	*out_forced = false;
	if (asked && process_wait_ended(pidfd, QUIT_WAIT_MS))
		return 0;
	if (process_wait_ended(pidfd, 0))
		return 0;
	*out_forced = true;
	if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "cannot kill the VMM of session '%s': %s", session->name,
		                   strerror(errno));
	if (!process_wait_ended(pidfd, KILL_WAIT_MS))
		return failure_set(failure, STATUS_FAILED, PROTO_ERR_TIMEOUT,
		                   "the VMM of session '%s' was killed but hasn't ended",
		                   session->name);
	return 0;
}

/*
 * A `run` that has made the folder but not yet noted its VMM: waits until it has. 0 when there is
 * something to be ended or cleared away; -1 when it takes too long.
 */
static int wait_for_start(struct session *session, struct failure *failure)
{
	for (unsigned waited = 0; !session->facts && session_is_starting(session); waited += 20) {
		if (waited > START_WAIT_MS)
			return failure_set(
				failure, STATUS_TIMEOUT, PROTO_ERR_NOT_READY,
				"session '%s' is only just starting; try again in a moment",
				session->name);
		usleep(20000);
		session->facts = session_read_json(session, "session.json");
	}
	return 0;
}

/* Ends one session. *out_how is a word for the answer. */
static int kill_session(const char *name, const char **out_how, struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_client struct client client = CLIENT_INIT;
	cleanup_fd int pidfd = -1;
	struct failure ignored = { 0 };
	bool forced = false;
	bool lived;

	if (session_open(name, &session, failure) < 0 || wait_for_start(&session, failure) < 0)
		return -1;
	/* That it can't be reached is no reason to let it live. */
	if (client_open(&client, &session, &ignored) < 0)
		json_decref(ignored.report);
	lived = find_vmm(&session, &client, &pidfd) == 0;
	if (lived && end_vmm(&session, &client, pidfd, &forced, failure) < 0)
		return -1;
	*out_how = forced ? "killed" : lived ? "ended" : "removed";
	return session_remove(&session, failure);
}

/* All of @names in turn; the first failure is the command's, the others are told at once. */
static int kill_all(struct invocation *inv, char *const *names, size_t count,
                    struct failure *failure)
{
	json_t *list = json_array();
	json_t *answer;

	for (size_t i = 0; i < count; i++) {
		struct failure one = { 0 };
		const char *how = "";

		if (kill_session(names[i], &how, &one) == 0) {
			json_array_append_new(list,
			                      json_pack("{s:s,s:s}", "name", names[i], "how", how));
			if (!inv->json)
				printf("session %s is gone (%s)\n", names[i], how);
			continue;
		}
		if (!failure->status)
			*failure = one;
		else if (!inv->json)
			output_failure(&one, false);
	}
	if (failure->status) {
		json_decref(list);
		return -1;
	}
	if (!inv->json) {
		json_decref(list);
		return STATUS_OK;
	}
	answer = output_answer_new();
	json_object_set_new(answer, "sessions", list);
	output_answer(answer);
	return STATUS_OK;
}

int command_kill(struct invocation *inv, struct failure *failure)
{
	bool all = false;
	const struct option options[] = {
		{ "all", 'a', OPTION_FLAG, &all, NULL, "every session there is", 0, 0 },
	};
	struct arguments arguments;
	char **names;
	size_t count;
	int rc = options_parse(inv, options, 1,
	                       (struct options_shape){ 0, SESSION_COUNT_MAX, false }, &arguments,
	                       failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (all == (arguments.count > 0))
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   all ? "--all and names exclude each other"
		                       : "say which session: cloche kill NAME…, or --all");
	if (!all)
		return kill_all(inv, arguments.items, (size_t)arguments.count, failure);
	if (session_list(&names, &count, failure) < 0)
		return -1;
	rc = kill_all(inv, names, count, failure);
	session_free_names(names, count);
	return rc;
}
