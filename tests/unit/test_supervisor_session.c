/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_supervisor_session.c - a session's folder: claimed, opened, refused, explained, removed; the
 * client against a control server that answers, refuses, goes away and tells lies; files on the
 * host that appear whole. Links supervisor/ without main.c and the commands, and lib.
 *
 * Everything happens in one temporary folder, which $XDG_RUNTIME_DIR names.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/proto.h"
#include "lib/sock.h"
#include "supervisor/client.h"
#include "supervisor/hostfile.h"
#include "supervisor/process.h"
#include "supervisor/session.h"
#include "supervisor/shot.h"

static char base[64];

static int set_up(void **state)
{
	(void)state;
	strcpy(base, "/tmp/cloche-unit-XXXXXX");
	if (!mkdtemp(base))
		return -1;
	return setenv("XDG_RUNTIME_DIR", base, 1);
}

static int tear_down(void **state)
{
	char *const argv[] = { (char *)"/bin/rm", (char *)"-rf", base, NULL };
	char text[16];
	int status;

	(void)state;
	return process_capture(argv, 10000, text, sizeof(text), &status, NULL);
}

static void path_in(const char *rest, char out_path[256])
{
	snprintf(out_path, 256, "%s/%s", base, rest);
}

static void write_file(const char *rest, const char *text)
{
	char path[256];
	FILE *f;

	path_in(rest, path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* A json object that says that this very process is the VMM. */
static json_t *own_facts(void)
{
	uint64_t ticks = 0;

	assert_int_equal(process_start_time(getpid(), &ticks), 0);
	return json_pack("{s:I,s:I}", "pid", (json_int_t)getpid(), "start_time", (json_int_t)ticks);
}

/* --- folders --- */

static void test_create_open_remove(void **state)
{
	struct session made = SESSION_INIT;
	struct session opened = SESSION_INIT;
	struct failure failure = { 0 };
	struct stat st;
	char path[256];

	(void)state;
	assert_int_equal(session_open("demo", &opened, &failure), -1);
	assert_int_equal(failure.status, STATUS_NO_SESSION);
	assert_int_equal(session_create("demo", &made, &failure), 0);
	path_in("cloche/demo", path);
	assert_string_equal(made.path, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	write_file("cloche/demo/vmm.log", "");

	assert_int_equal(session_open("demo", &opened, &failure), 0);
	assert_true(session_is_starting(&opened));
	session_finish(&opened);
	assert_int_equal(session_create("demo", &opened, &failure), -1);
	assert_non_null(strstr(failure.message, "already"));

	assert_int_equal(session_remove(&made, &failure), 0);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(session_remove(&made, &failure), 0);
	session_finish(&made);
}

static void test_remove_spares_a_successor(void **state)
{
	struct session old = SESSION_INIT;
	struct session new = SESSION_INIT;
	struct session same = SESSION_INIT;
	struct failure failure = { 0 };

	(void)state;
	assert_int_equal(session_create("a", &old, &failure), 0);
	assert_int_equal(session_open("a", &same, &failure), 0);
	assert_int_equal(session_remove(&same, &failure), 0);
	assert_int_equal(session_create("a", &new, &failure), 0);
	assert_int_equal(session_remove(&old, &failure), 0);
	session_finish(&same);
	assert_int_equal(session_open("a", &same, &failure), 0);
	assert_int_equal(session_remove(&new, &failure), 0);
	session_finish(&old);
	session_finish(&new);
	session_finish(&same);
}

static void test_list(void **state)
{
	static const char *const names[] = { "b", "a", "c" };
	struct failure failure = { 0 };
	char **found;
	size_t count;
	char path[256];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct session session = SESSION_INIT;

		assert_int_equal(session_create(names[i], &session, &failure), 0);
		session_finish(&session);
	}
	path_in("cloche/.hidden", path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(session_list(&found, &count, &failure), 0);
	assert_int_equal(count, 3);
	assert_string_equal(found[0], "a");
	assert_string_equal(found[2], "c");
	session_free_names(found, count);
}

static void test_bad_places(void **state)
{
	struct session session = SESSION_INIT;
	struct failure failure = { 0 };
	char path[256];
	char target[256];

	(void)state;
	assert_int_equal(session_open("../x", &session, &failure), -1);
	assert_int_equal(failure.status, STATUS_USAGE);

	/* A folder of sessions that others may enter, then one that is a link. */
	path_in("cloche", path);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(session_create("a", &session, &failure), -1);
	assert_non_null(strstr(failure.message, "chmod 700"));
	assert_int_equal(chmod(path, 0700), 0);

	path_in("cloche/link", path);
	path_in("elsewhere", target);
	assert_int_equal(mkdir(target, 0700), 0);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(session_open("link", &session, &failure), -1);
	assert_int_equal(failure.status, STATUS_FAILED);

	setenv("XDG_RUNTIME_DIR", "relative", 1);
	assert_int_equal(session_open("a", &session, &failure), -1);
	assert_non_null(strstr(failure.message, "XDG_RUNTIME_DIR"));
	setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
	assert_int_equal(session_open("a", &session, &failure), -1);
	assert_non_null(strstr(failure.message, "/nonexistent"));
}

static void test_recycled_pid(void **state)
{
	struct session session = SESSION_INIT;
	struct failure failure = { 0 };
	json_t *facts = own_facts();
	int pidfd = -1;

	(void)state;
	assert_int_equal(session_create("a", &session, &failure), 0);
	assert_int_equal(session_open_vmm(&session, &pidfd), -ENOENT);
	assert_int_equal(session_write_facts(&session, json_incref(facts), &failure), 0);
	assert_int_equal(session_open_vmm(&session, &pidfd), 0);
	close_fd(&pidfd);
	json_object_set_new(
		facts, "start_time",
		json_integer(json_integer_value(json_object_get(facts, "start_time")) + 1));
	assert_int_equal(session_open_vmm(&session, &pidfd), -ESRCH);
	assert_int_equal(pidfd, -1);
	json_decref(facts);
	session_finish(&session);
}

static void check_end(const struct session *session, const char *expected)
{
	char why[256];

	session_explain_end(session, why, sizeof(why), NULL);
	assert_string_equal(why, expected);
}

static void test_explain_end(void **state)
{
	struct session session = SESSION_INIT;
	struct failure failure = { 0 };

	(void)state;
	assert_int_equal(session_create("a", &session, &failure), 0);
	check_end(&session, "it ended without a word; was it killed?");
	write_file("cloche/a/vmm.log",
	           "cloche-vmm: info: up\ncloche-vmm: error: no \033[31mmemory\n\n");
	check_end(&session, "no  [31mmemory");
	write_file("cloche/a/report.json", "[]");
	check_end(&session, "no  [31mmemory");
	write_file("cloche/a/report.json", "{\"reason\":\"ttl\",\"detail\":\"over\"}");
	check_end(&session, "its time to live ran out");
	write_file("cloche/a/report.json",
	           "{\"reason\":\"panic\",\"detail\":\"Kernel panic - not syncing: x\\u001by\","
	           "\"rip\":\"0x12\",\"vcpu\":0}");
	check_end(&session, "the guest's kernel panicked: x y (rip 0x12)");
	session_finish(&session);
}

/* --- the client --- */

/* A control server that does one thing to every request of one connection. */
struct server {
	int listen_fd;
	const char *reply; /* members of the reply; NULL: closes without one */
	int fd;            /* that goes along, or -1 */
	bool noise;        /* an event and a stranger's reply come first */
	pthread_t thread;
};

static void send_reply(struct server *server, struct wire_conn *conn, const json_t *request)
{
	json_t *reply = json_loads(server->reply, 0, NULL);

	/* No assertions on this thread. That a client is gone already is no failure. */
	json_object_set(reply, "id", json_object_get(request, "id"));
	(void)wire_conn_send(conn, reply, NULL, 0, server->fd);
	json_decref(reply);
}

static void *serve(void *arg)
{
	struct server *server = arg;
	struct wire_conn conn;
	struct wire_message message = WIRE_MESSAGE_INIT;
	int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 || wire_conn_init(&conn, fd) < 0)
		return NULL;
	for (;;) {
		int rc = wire_conn_read(&conn, NULL);

		if (rc < 0 || (rc == 0 && usleep(1000) < 0))
			break;
		if (wire_conn_next(&conn, &message, NULL) <= 0)
			continue;
		if (!server->reply)
			break;
		if (server->noise) {
			json_t *event = json_pack("{s:s}", "event", "died");
			json_t *strange = json_pack("{s:i,s:b}", "id", 999, "ok", 1);

			wire_conn_send(&conn, event, NULL, 0, -1);
			wire_conn_send(&conn, strange, NULL, 0, -1);
			json_decref(event);
			json_decref(strange);
		}
		send_reply(server, &conn, message.object);
		wire_message_finish(&message);
	}
	wire_message_finish(&message);
	wire_conn_finish(&conn);
	return NULL;
}

/* A session of its own with @server behind its socket, and a client connected to it. */
static void begin_session(const char *name, struct server *server, struct session *session,
                          struct client *client)
{
	struct failure failure = { 0 };
	char rest[64];
	char path[256];

	snprintf(rest, sizeof(rest), "cloche/%s/control.sock", name);
	assert_int_equal(session_create(name, session, &failure), 0);
	assert_int_equal(session_write_facts(session, own_facts(), &failure), 0);
	path_in(rest, path);
	assert_int_equal(sock_listen_unix(path, &server->listen_fd, NULL), 0);
	assert_int_equal(fcntl(server->listen_fd, F_SETFL, 0), 0);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
	assert_int_equal(client_open(client, session, &failure), 0);
	assert_int_equal(client->peer, getpid());
}

static void end_session(struct server *server, struct session *session, struct client *client)
{
	struct failure failure = { 0 };

	client_close(client);
	pthread_join(server->thread, NULL);
	close(server->listen_fd);
	assert_int_equal(session_remove(session, &failure), 0);
	session_finish(session);
}

static void test_client_status(void **state)
{
	struct server server = {
		.reply = "{\"ok\":true,\"display\":{\"width\":1280,\"height\":800}}",
		.fd = -1,
		.noise = true
	};
	struct session session = SESSION_INIT;
	struct client client = CLIENT_INIT;
	struct failure failure = { 0 };
	uint32_t width = 0;
	uint32_t height = 0;

	(void)state;
	begin_session("a", &server, &session, &client);
	for (int i = 0; i < 3; i++)
		assert_int_equal(client_get_screen(&client, &width, &height, &failure), 0);
	assert_int_equal(width, 1280);
	assert_int_equal(height, 800);
	end_session(&server, &session, &client);
}

static void test_client_refused(void **state)
{
	struct server server = { .reply = "{\"ok\":false,\"error\":{\"code\":\"bad_request\","
		                          "\"message\":\"step 2: no \\u001b[1mkey\"}}",
		                 .fd = -1 };
	struct session session = SESSION_INIT;
	struct client client = CLIENT_INIT;
	struct failure failure = { 0 };
	struct wire_message reply = WIRE_MESSAGE_INIT;

	(void)state;
	begin_session("a", &server, &session, &client);
	assert_int_equal(client_call_agent(&client, json_pack("{s:s}", "verb", "input"), NULL, 0,
	                                   1000, &reply, &failure),
	                 -1);
	assert_int_equal(failure.status, STATUS_USAGE);
	assert_string_equal(failure.code, PROTO_ERR_BAD_REQUEST);
	assert_string_equal(failure.message, "input: step 2: no  [1mkey");
	assert_null(reply.object);
	end_session(&server, &session, &client);
}

static void test_client_closed(void **state)
{
	struct server server = { .fd = -1 };
	struct session session = SESSION_INIT;
	struct client client = CLIENT_INIT;
	struct failure failure = { 0 };
	json_t *status = NULL;

	(void)state;
	begin_session("a", &server, &session, &client);
	/* The "VMM" is this process, so it lives on: the connection broke, the session didn't. */
	assert_int_equal(client_get_status(&client, 1000, &status, &failure), -1);
	assert_int_equal(failure.status, STATUS_FAILED);
	assert_non_null(strstr(failure.message, "closed the connection"));
	end_session(&server, &session, &client);
}

static void test_client_interrupted(void **state)
{
	struct server server = { .reply = "{\"ok\":true}", .fd = -1 };
	struct session session = SESSION_INIT;
	struct client client = CLIENT_INIT;
	struct failure failure = { 0 };
	json_t *status = NULL;
	int pipe_fds[2];

	(void)state;
	begin_session("a", &server, &session, &client);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	close(pipe_fds[1]);
	client.interrupt_fd = pipe_fds[0];
	assert_int_equal(client_get_status(&client, 1000, &status, &failure), -1);
	assert_string_equal(failure.code, CODE_INTERRUPTED);
	end_session(&server, &session, &client);
	close(pipe_fds[0]);
}

static void test_client_dead(void **state)
{
	struct session session = SESSION_INIT;
	struct client client = CLIENT_INIT;
	struct failure failure = { 0 };

	(void)state;
	assert_int_equal(session_create("a", &session, &failure), 0);
	session_finish(&session);
	assert_int_equal(session_open("a", &session, &failure), 0);
	write_file("cloche/a/report.json", "{\"reason\":\"shutdown\",\"detail\":\"\"}");
	assert_int_equal(client_open(&client, &session, &failure), -1);
	assert_int_equal(failure.status, STATUS_DEAD);
	assert_string_equal(failure.message, "session 'a' is dead: the guest shut down");
	assert_non_null(failure.report);
	json_decref(failure.report);
	session_finish(&session);
}

/* --- screenshots --- */

#define SHOT_HASH "\"hash\":\"0123456789abcdef\""
#define SHOT_NAMES "\"frame\":\"0badcafe-1\",\"region\":[0,0,2,1]"
#define SHOT_REPLY(size)                                                                           \
	"{\"ok\":true,\"width\":2,\"height\":1," SHOT_HASH "," SHOT_NAMES ",\"size\":" size "}"

static void test_shots(void **state)
{
	static const struct {
		const char *reply;
		bool with_fd, good;
	} cases[] = {
		{ SHOT_REPLY("4"), true, true },
		{ SHOT_REPLY("5"), true, false }, /* more than there is */
		{ SHOT_REPLY("0"), true, false },
		{ SHOT_REPLY("-1"), true, false },
		{ SHOT_REPLY("99999999999"), true, false },
		{ SHOT_REPLY("4"), false, false },
		{ "{\"ok\":true,\"width\":2,\"height\":0," SHOT_HASH "," SHOT_NAMES ",\"size\":4}",
		  true, false },
		{ "{\"ok\":true,\"width\":2,\"height\":1,\"hash\":"
		  "\"0123456789abcde\\u001b\"," SHOT_NAMES ",\"size\":4}",
		  true, false },
		{ "{\"ok\":true,\"width\":2,\"height\":1," SHOT_HASH
		  ",\"region\":[0,0,2,1],\"size\":4}",
		  true, false },
		{ "{\"ok\":true,\"width\":2,\"height\":1," SHOT_HASH
		  ",\"frame\":\"\\u001b[31m\",\"region\":[0,0,2,1],\"size\":4}",
		  true, false },
		{ "{\"ok\":true,\"width\":2,\"height\":1," SHOT_HASH
		  ",\"frame\":\"0badcafe-1\",\"region\":[0,0,2,0],\"size\":4}",
		  true, false },
		{ "{\"ok\":true}", true, false },
	};
	int fd = memfd_create("shot", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(write(fd, "\x89PNG", 4), 4);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct server server = { .reply = cases[i].reply,
			                 .fd = cases[i].with_fd ? fd : -1 };
		struct session session = SESSION_INIT;
		struct client client = CLIENT_INIT;
		struct failure failure = { 0 };
		const struct shot_wish wish = { 0 };
		struct shot shot = { 0 };

		begin_session("a", &server, &session, &client);
		assert_int_equal(shot_take(&client, &wish, &shot, &failure),
		                 cases[i].good ? 0 : -1);
		if (cases[i].good)
			assert_memory_equal(shot.png, "\x89PNG", 4);
		shot_finish(&shot);
		end_session(&server, &session, &client);
	}
	close(fd);
}

/* --- processes and host files --- */

static void test_capture(void **state)
{
	char *const hello[] = { (char *)"/bin/sh", (char *)"-c", (char *)"echo hello; exit 3",
		                NULL };
	char *const slow[] = { (char *)"/bin/sh", (char *)"-c", (char *)"sleep 60", NULL };
	char *const fds[] = { (char *)"/bin/sh", (char *)"-c", (char *)"echo /proc/self/fd/*",
		              NULL };
	char *const missing[] = { (char *)"/nonexistent", NULL };
	char text[64];
	int status = 0;

	(void)state;
	assert_int_equal(process_capture(hello, 5000, text, sizeof(text), &status, NULL), 0);
	assert_string_equal(text, "hello\n");
	assert_int_equal(WEXITSTATUS(status), 3);
	assert_int_equal(process_capture(slow, 50, text, sizeof(text), &status, NULL), -ETIMEDOUT);
	assert_int_equal(process_capture(missing, 5000, text, sizeof(text), &status, NULL),
	                 -ENOENT);
	/* 0 to 2, and the one that lists them. */
	assert_int_equal(process_capture(fds, 5000, text, sizeof(text), &status, NULL), 0);
	assert_null(strstr(text, "fd/4"));
}

static void test_capture_all(void **state)
{
	char *const both[] = { (char *)"/bin/sh", (char *)"-c",
		               (char *)"echo out; echo err >&2; exit 2", NULL };
	char *const flood[] = { (char *)"/bin/sh", (char *)"-c",
		                (char *)"yes | head -c 100000; yes no | head -c 100000 >&2", NULL };
	char *const slow[] = { (char *)"/bin/sleep", (char *)"60", NULL };
	char text[64] = "old";
	char errors[16] = "old";
	struct capture capture = { .timeout_ms = 5000,
		                   .interrupt_fd = -1,
		                   .text = text,
		                   .size = sizeof(text),
		                   .errors = errors,
		                   .errors_size = sizeof(errors) };
	int pipe_fds[2];
	int status = 0;

	(void)state;
	assert_int_equal(process_capture_all(both, &capture, &status, NULL), 0);
	assert_string_equal(text, "out\n");
	assert_string_equal(errors, "err\n");
	assert_int_equal(WEXITSTATUS(status), 2);
	/* What doesn't fit is read all the same, or nobody would end. */
	assert_int_equal(process_capture_all(flood, &capture, &status, NULL), 0);
	assert_int_equal(strlen(text), sizeof(text) - 1);
	assert_string_equal(errors, "no\nno\nno\nno\nno\n");
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	close(pipe_fds[1]);
	capture.interrupt_fd = pipe_fds[0];
	assert_int_equal(process_capture_all(slow, &capture, &status, NULL), -EINTR);
	close(pipe_fds[0]);
}

static void check_file(const char *path, const char *expected, mode_t mode)
{
	char text[16] = "";
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	assert_string_equal(text, expected);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	close(fd);
}

static void put_file(const char *path, const char *text, bool commit)
{
	struct hostfile file = HOSTFILE_INIT;
	struct failure failure = { 0 };

	assert_int_equal(hostfile_begin(path, &file, &failure), 0);
	assert_int_equal(write(file.fd, text, strlen(text)), strlen(text));
	if (commit)
		assert_int_equal(hostfile_commit(&file, 0640, &failure), 0);
	hostfile_finish(&file);
}

static void test_hostfile(void **state)
{
	struct hostfile file = HOSTFILE_INIT;
	struct failure failure = { 0 };
	char path[256];
	char link[256];
	struct stat st;

	(void)state;
	path_in("file", path);
	path_in("link", link);
	put_file(path, "one", false);
	assert_int_equal(stat(path, &st), -1);
	put_file(path, "two", true);
	check_file(path, "two", 0640);
	put_file(path, "three", false);
	check_file(path, "two", 0640);
	assert_int_equal(symlink("file", link), 0);
	put_file(link, "four", true);
	check_file(path, "four", 0640);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(hostfile_begin(base, &file, &failure), -1);
	assert_int_equal(hostfile_begin("", &file, &failure), -1);
	put_file("/dev/null", "x", true);
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create_open_remove),
		TEST(test_remove_spares_a_successor),
		TEST(test_list),
		TEST(test_bad_places),
		TEST(test_recycled_pid),
		TEST(test_explain_end),
		TEST(test_client_status),
		TEST(test_client_refused),
		TEST(test_client_closed),
		TEST(test_client_interrupted),
		TEST(test_client_dead),
		TEST(test_shots),
		TEST(test_capture),
		TEST(test_capture_all),
		TEST(test_hostfile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
