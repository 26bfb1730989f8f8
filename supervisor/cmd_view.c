/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_view.c - `cloche view`: a session's screen in a browser, which cloche-view serves, or where an
 * ordinary VNC viewer finds it. Single thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "supervisor/images.h"
#include "supervisor/output.h"
#include "supervisor/session.h"
#include "supervisor/view_options.h"

#define VNC_SOCKET "vnc.sock"
#define VNC_PORT 5901 /* at the near end of the ssh line; viewers call it :1 */

/* Who logs in where, as far as that can be known from here. */
static void write_login(char *out, size_t size)
{
	const struct passwd *user = getpwuid(geteuid());
	char host[HOST_NAME_MAX + 1] = "";

	if (gethostname(host, sizeof(host) - 1) < 0 || !*host)
		snprintf(host, sizeof(host), "THIS-HOST");
	snprintf(out, size, "%s@%s", user ? user->pw_name : "USER", host);
}

static int tell_socket(const struct invocation *inv, const char *name, struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_free char *path = NULL;
	char login[HOST_NAME_MAX + LOGIN_NAME_MAX + 2];
	struct stat st;
	json_t *answer;

	if (session_open(name, &session, failure) < 0)
		return -1;
	if (asprintf(&path, "%s/%s", session.path, VNC_SOCKET) < 0) {
		path = NULL;
		return failure_set_nomem(failure);
	}
	if (fstatat(session.folder_fd, VNC_SOCKET, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISSOCK(st.st_mode))
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "session '%s' has no VNC socket (%.200s)", session.name, path);
	write_login(login, sizeof(login));
	if (!inv->json) {
		printf("socket   %s\n", path);
		printf("tunnel   ssh -L %d:%s %s\n", VNC_PORT, path, login);
		printf("viewer   vncviewer localhost:%d, behind the tunnel\n", VNC_PORT - 5900);
		return STATUS_OK;
	}
	answer = output_answer_new();
	json_object_set_new(answer, "name", json_string(session.name));
	json_object_set_new(answer, "socket", json_string(path));
	json_object_set_new(answer, "port", json_integer(VNC_PORT));
	json_object_set_new(answer, "login", json_string(login));
	output_answer(answer);
	return STATUS_OK;
}

/* Becomes cloche-view, with what we were called with. Returns on failure only. */
static int become_server(bool json, int argc, char *const argv[], struct failure *failure)
{
	cleanup_free char *program = NULL;
	cleanup_free char **arguments = calloc((size_t)argc + 3, sizeof(*arguments));
	char **at = arguments;

	if (!arguments)
		return failure_set_nomem(failure);
	if (images_find_view(&program, failure) < 0)
		return -1;
	*at++ = (char *)(uintptr_t) "cloche-view";
	if (json)
		*at++ = (char *)(uintptr_t) "--json";
	memcpy(at, argv, (size_t)argc * sizeof(*argv));
	execv(program, arguments);
	return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot run %.200s: %s", program,
	                   strerror(errno));
}

int command_view(struct invocation *inv, struct failure *failure)
{
	struct view_options options;
	int argc = inv->argc;
	cleanup_free char **argv = calloc((size_t)argc + 1, sizeof(*argv));
	int rc;

	if (!argv)
		return failure_set_nomem(failure);
	/* Parsing reorders them. */
	memcpy(argv, inv->argv, (size_t)argc * sizeof(*argv));
	rc = view_options_parse(inv, &options, failure);
	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (options.vnc)
		return tell_socket(inv, options.name, failure);
	return become_server(inv->json, argc, argv, failure);
}
