/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_supervisor_snapshot.c - what the writer of a snapshot says, cut anywhere, and what it may not
 * say; a snapshot that is followed, refused, interrupted; a progress line; facts of sessions that were
 * booted, restored, forked; what an inspection says of a machine; when a guest is idle. Links supervisor/
 * without main.c and the commands, and lib.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/sock.h"
#include "supervisor/facts.h"
#include "supervisor/inspection.h"
#include "supervisor/process.h"
#include "supervisor/progress.h"
#include "supervisor/warm.h"
#include "supervisor/writer.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ID "00112233445566778899aabbccddeeff"

/* --- the writer --- */

#define STEP "{\"done\":65536,\"total\":1048576,\"written\":1000,\"elapsed_ms\":10}\n"
#define END                                                                                        \
	"{\"ok\":true,\"id\":\"" ID "\",\"file_bytes\":5000,\"zero\":1,\"lz4\":2,\"raw\":3,"       \
	"\"parent\":4,\"elapsed_ms\":20}\n"

static void test_writer_in_pieces(void **state)
{
	static const char text[] = STEP END "what follows is nobody's business";

	(void)state;
	for (size_t piece = 1; piece < sizeof(text); piece++) {
		struct writer_stream stream;
		struct failure failure = { 0 };

		writer_stream_init(&stream);
		for (size_t at = 0; at < sizeof(text) - 1; at += piece) {
			size_t size = sizeof(text) - 1 - at < piece ? sizeof(text) - 1 - at : piece;

			assert_int_equal(writer_stream_push(&stream, text + at, size, &failure), 0);
			assert_int_equal(stream.ended, at + size >= strlen(STEP END));
		}
		assert_int_equal(stream.progress.done, 65536);
		assert_string_equal(stream.result.id, ID);
		assert_int_equal(stream.result.file_bytes, 5000);
		assert_int_equal(stream.result.ram_bytes, 1048576);
		assert_int_equal(stream.result.parent, 4);
		writer_stream_finish(&stream);
	}
}

static void test_writer_refuses(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "{\"ok\":false,\"error\":{\"code\":\"failed\",\"message\":\"no "
		  "\\u001b[1mroom\"}}\n",
		  "no  [1mroom" },
		{ "{\"ok\":false}\n", "without a reason" },
		{ "{\"ok\":true}\n", "without an id" },
		{ "{\"ok\":true,\"id\":\"../../../../../../../../etc/passwd\"}\n",
		  "without an id" },
		{ "{\"ok\":true,\"id\":7}\n", "without an id" },
		{ "[1]\n", "makes no sense" },
		{ "{\"done\":1,\"done\":2}\n", "makes no sense" },
		{ "{\"done\":\n", "makes no sense" },
		{ "\xff\n", "makes no sense" },
		{ "\n", "makes no sense" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct writer_stream stream;
		struct failure failure = { 0 };

		writer_stream_init(&stream);
		assert_int_equal(writer_stream_push(&stream, cases[i].text, strlen(cases[i].text),
		                                    &failure),
		                 -1);
		assert_non_null(strstr(failure.message, cases[i].message));
		assert_int_equal(failure.status, STATUS_FAILED);
		assert_false(stream.ended);
		writer_stream_finish(&stream);
	}
}

static void test_writer_without_end(void **state)
{
	struct writer_stream stream;
	struct failure failure = { 0 };
	char piece[4096];
	size_t pushed = 0;

	(void)state;
	memset(piece, 'x', sizeof(piece));
	writer_stream_init(&stream);
	while (writer_stream_push(&stream, piece, sizeof(piece), &failure) == 0)
		pushed += sizeof(piece);
	assert_true(pushed <= WIRE_LINE_MAX);
	assert_string_equal(failure.code, CODE_BROKEN);
	writer_stream_finish(&stream);
}

static void test_writer_numbers(void **state)
{
	static const char text[] = "{\"done\":-1,\"total\":9223372036854775807,\"written\":\"x\","
				   "\"elapsed_ms\":1e9}\n";
	struct writer_stream stream;
	struct failure failure = { 0 };
	char line[PROGRESS_LINE_SIZE];

	(void)state;
	writer_stream_init(&stream);
	assert_int_equal(writer_stream_push(&stream, text, strlen(text), &failure), 0);
	assert_int_equal(stream.progress.done, 0);
	assert_int_equal(stream.progress.total, 0);
	assert_int_equal(stream.progress.written, 0);
	assert_int_equal(stream.progress.elapsed_ms, 0);
	progress_format(&stream.progress, true, line);
	writer_stream_finish(&stream);
}

/* --- a snapshot that is followed --- */

/* A VMM of one request, whose writer is a process that sleeps. */
struct fake_vmm {
	int listen_fd;
	const char *reply; /* members of the answer; NULL: that it goes on, and the writer's pid */
	const char *says;  /* the writer's words */
	bool hangs;        /* the writer says no more, but lives */
	pid_t writer;
	int kept_fd; /* the writer's end, while it hangs */
	pthread_t thread;
};

static char base[64];

static void answer(struct fake_vmm *vmm, struct wire_conn *conn, struct wire_message *request)
{
	json_t *reply = vmm->reply ? json_loads(vmm->reply, 0, NULL)
	                           : json_pack("{s:b,s:s,s:i,s:i}", "ok", 1, "snapshot", ID,
	                                       "pause_us", 123, "pid", (int)vmm->writer);

	/* No assertions on this thread. */
	json_object_set(reply, "id", json_object_get(request->object, "id"));
	(void)wire_conn_send(conn, reply, NULL, 0, -1);
	json_decref(reply);
	if (write(request->fd, vmm->says, strlen(vmm->says)) < 0)
		return;
	if (vmm->hangs)
		vmm->kept_fd = steal_fd(&request->fd);
}

static void *serve(void *arg)
{
	struct fake_vmm *vmm = arg;
	struct wire_message request = WIRE_MESSAGE_INIT;
	struct wire_conn conn;
	int fd = accept4(vmm->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 || wire_conn_init(&conn, fd) < 0)
		return NULL;
	for (;;) {
		int rc = wire_conn_read(&conn, NULL);

		if (rc < 0 || (rc == 0 && usleep(1000) < 0))
			break;
		if (wire_conn_next(&conn, &request, NULL) <= 0)
			continue;
		answer(vmm, &conn, &request);
		wire_message_finish(&request);
	}
	wire_conn_finish(&conn);
	return NULL;
}

static pid_t start_sleeper(void)
{
	char *const argv[] = { (char *)"/bin/sleep", (char *)"600", NULL };
	pid_t pid = 0;

	assert_int_equal(process_start(argv, (struct process_stdio){ -1, -1, -1, 0 }, true, &pid),
	                 0);
	return pid;
}

/* True if it was killed; else it still runs, and is ended here. */
static bool was_killed(pid_t pid)
{
	int status = 0;

	if (waitpid(pid, &status, WNOHANG) == pid)
		return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return false;
}

static void write_partial(char out_path[128])
{
	int fd;

	snprintf(out_path, 128, "%s/.x.snap.partial", base);
	fd = open(out_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* A snapshot of a session with @vmm. */
static int save(struct fake_vmm *vmm, int signal_fd, struct writer_result *result,
                struct failure *failure)
{
	const struct invocation inv = { .json = true };
	struct session session = SESSION_INIT;
	struct client client = CLIENT_INIT;
	struct failure ignored = { 0 };
	char path[128];
	uint64_t ticks;
	int rc;

	vmm->kept_fd = -1;
	vmm->writer = start_sleeper();
	assert_int_equal(session_create("a", &session, &ignored), 0);
	assert_int_equal(process_start_time(getpid(), &ticks), 0);
	assert_int_equal(session_write_facts(&session,
	                                     json_pack("{s:i,s:I}", "pid", (int)getpid(),
	                                               "start_time", (json_int_t)ticks),
	                                     &ignored),
	                 0);
	snprintf(path, sizeof(path), "%s/control.sock", session.path);
	assert_int_equal(sock_listen_unix(path, &vmm->listen_fd, NULL), 0);
	assert_int_equal(fcntl(vmm->listen_fd, F_SETFL, 0), 0);
	assert_int_equal(pthread_create(&vmm->thread, NULL, serve, vmm), 0);
	assert_int_equal(client_open(&client, &session, &ignored), 0);

	snprintf(path, sizeof(path), "%s/x.snap", base);
	/* A writer ends after its last word. */
	if (strstr(vmm->says, "\"ok\":true"))
		kill(vmm->writer, SIGTERM);
	rc = writer_save(&inv, &client, path, NULL, signal_fd, result, failure);

	client_close(&client);
	pthread_join(vmm->thread, NULL);
	close(vmm->listen_fd);
	close_fd(&vmm->kept_fd);
	assert_int_equal(session_remove(&session, &ignored), 0);
	session_finish(&session);
	return rc;
}

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

static void test_save(void **state)
{
	struct fake_vmm vmm = { .says = STEP END };
	struct writer_result result = { 0 };
	struct failure failure = { 0 };

	(void)state;
	assert_int_equal(save(&vmm, -1, &result, &failure), 0);
	assert_string_equal(result.id, ID);
	assert_int_equal(result.pause_us, 123);
	assert_int_equal(result.ram_bytes, 1048576);
	assert_false(was_killed(vmm.writer));
}

static void test_save_fails(void **state)
{
	static const struct {
		const char *reply, *says, *message;
		bool killed; /* the writer; else nobody told us who it is */
	} cases[] = {
		{ NULL, STEP, "without a word", true },
		{ NULL, "", "without a word", true },
		{ NULL, STEP "{\"ok\":tr", "without a word", true },
		{ NULL, STEP "{\"ok\":false,\"error\":{\"message\":\"no room\"}}\n", "no room",
		  true },
		{ NULL, "{}{}\n", "makes no sense", true },
		{ "{\"ok\":false,\"error\":{\"code\":\"failed\",\"message\":\"a disk\"}}", "",
		  "a disk", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fake_vmm vmm = { .reply = cases[i].reply, .says = cases[i].says };
		struct writer_result result = { .pause_us = 7 };
		struct failure failure = { 0 };
		char partial[128];

		write_partial(partial);
		assert_int_equal(save(&vmm, -1, &result, &failure), -1);
		assert_non_null(strstr(failure.message, cases[i].message));
		assert_int_equal(result.pause_us, 7);
		assert_int_equal(was_killed(vmm.writer), cases[i].killed);
		assert_int_equal(is_there(partial), !cases[i].killed);
	}
}

static void test_save_interrupted(void **state)
{
	struct fake_vmm vmm = { .says = STEP, .hangs = true };
	struct writer_result result;
	struct failure failure = { 0 };
	char partial[128];
	int interrupt[2];
	cleanup_fd int locked = -1;

	(void)state;
	assert_int_equal(pipe2(interrupt, O_CLOEXEC), 0);
	close(interrupt[1]);
	/* What is locked is another writer's. */
	write_partial(partial);
	locked = open(partial, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(locked, LOCK_EX), 0);
	assert_int_equal(save(&vmm, interrupt[0], &result, &failure), -1);
	assert_string_equal(failure.code, CODE_INTERRUPTED);
	assert_true(was_killed(vmm.writer));
	assert_true(is_there(partial));
	close(interrupt[0]);
}

/* --- the progress line --- */

static void test_bytes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1.0 KiB" },
		{ 1536, "1.5 KiB" },
		{ 92694118, "88.4 MiB" },
		{ 700ull << 20, "700 MiB" },
		{ 1023ull << 20, "1023 MiB" },
		{ 1ull << 30, "1.0 GiB" },
		{ UINT64_MAX, "16.0 EiB" },
	};
	char text[PROGRESS_BYTES_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		progress_format_bytes(cases[i].bytes, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void test_lines(void **state)
{
	static const struct {
		struct progress progress;
		const char *text;
	} cases[] = {
		{ { 0, 1 << 30, 0, 0 },
		  "[........................]   0%  0 B of 1.0 GiB  -  0 B/s" },
		{ { 512 << 20, 1 << 30, 128 << 20, 1000 },
		  "[############............]  50%  512 MiB of 1.0 GiB  4.0:1  512 MiB/s, 1.0 s "
		  "left" },
		{ { 1 << 20, 1 << 30, 1 << 20, 1000 },
		  "[........................]   0%  1.0 MiB of 1.0 GiB  1.0:1  1.0 MiB/s, 17m 03s "
		  "left" },
		{ { 32 << 20, 1 << 30, 1 << 20, 1000 },
		  "[........................]   3%  32.0 MiB of 1.0 GiB  32.0:1  32.0 MiB/s, 31 s "
		  "left" },
		{ { 1 << 30, 1 << 30, 1 << 28, 2000 },
		  "[########################] 100%  1.0 GiB of 1.0 GiB  4.0:1  512 MiB/s" },
		/* More than all, and all of nothing. */
		{ { 2 << 20, 1 << 20, 0, 1000 },
		  "[########################] 100%  2.0 MiB of 1.0 MiB  -  2.0 MiB/s" },
		{ { 0, 0, 0, 0 }, "[########################] 100%  0 B of 0 B  -  0 B/s" },
	};
	char line[PROGRESS_LINE_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		progress_format(&cases[i].progress, false, line);
		assert_string_equal(line, cases[i].text);
	}
	progress_format(&cases[1].progress, true, line);
	assert_memory_equal(line, "[█", strlen("[█"));
	assert_non_null(strstr(line, "░] "));
}

static void test_extremes(void **state)
{
	static const uint64_t values[] = { 0, 1, 1 << 20, INT64_MAX, UINT64_MAX };
	char line[PROGRESS_LINE_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT(values) * COUNT(values) * COUNT(values) * COUNT(values); i++) {
		struct progress progress = { values[i % 5], values[i / 5 % 5], values[i / 25 % 5],
			                     values[i / 125] };

		progress_format(&progress, true, line);
		assert_true(strlen(line) < PROGRESS_LINE_SIZE - 1);
	}
}

/* --- facts --- */

static char *word(const char *text)
{
	char *copy = strdup(text);

	assert_non_null(copy);
	return copy;
}

static json_t *facts_of_web(void)
{
	struct launch_plan plan = { .vmm = word("/bin/vmm"),
		                    .images = { .kernel = word("/k"), .image = word("/i") },
		                    .memory_mib = 1024,
		                    .cpus = 2,
		                    .size = { 1280, 800 },
		                    .ttl_s = 60,
		                    .page = word("http://a/"),
		                    .net = word("tap:t0"),
		                    .mac = "02:00:00:00:00:01",
		                    .relays = { { 8000, word("/s") } },
		                    .relay_count = 1 };
	json_t *facts = facts_of_plan("web", &plan, (struct facts_process){ 12, 3456 });

	launch_plan_finish(&plan);
	assert_non_null(facts);
	return facts;
}

static void check_origin(const json_t *facts, const char *expected)
{
	char text[80];

	facts_format_origin(facts, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void test_facts(void **state)
{
	json_auto_t *facts = facts_of_web();

	(void)state;
	assert_string_equal(client_string(facts, "name"), "web");
	assert_int_equal(client_integer(facts, "pid", 1, 100, 0), 12);
	assert_int_equal(client_integer(facts, "start_time", 1, 10000, 0), 3456);
	assert_string_equal(client_string(facts, "size"), "1280x800");
	assert_null(json_object_get(facts, "initramfs"));
	check_origin(facts, "boot");
}

static void test_facts_of_fork(void **state)
{
	json_auto_t *web = facts_of_web();
	const struct facts_fork fork = {
		.name = "copy", .parent = "web", .ttl_s = 0, .process = { 13, 4567 }
	};
	struct facts_fork plugged = fork;
	json_auto_t *facts = facts_of_fork(web, &fork);
	json_auto_t *orphan = facts_of_fork(NULL, &fork);
	json_auto_t *carded = NULL;
	struct launch_plan plan = { 0 };

	(void)state;
	plugged.net = "tap:t1";
	carded = facts_of_fork(web, &plugged);
	assert_string_equal(client_string(facts, "name"), "copy");
	assert_int_equal(client_integer(facts, "pid", 1, 100, 0), 13);
	assert_int_equal(client_integer(facts, "start_time", 1, 10000, 0), 4567);
	assert_int_equal(client_integer(facts, "ttl_s", 0, 100, -1), 0);
	assert_int_equal(client_integer(facts, "memory_mib", 0, 10000, 0), 1024);
	assert_null(json_object_get(facts, "net"));
	assert_null(json_object_get(facts, "mac"));
	assert_string_equal(client_string(carded, "net"), "tap:t1");
	check_origin(facts, "fork of web");
	/* The parent's are the parent's. */
	assert_string_equal(client_string(web, "name"), "web");
	assert_string_equal(client_string(web, "net"), "tap:t0");
	check_origin(web, "boot");
	assert_string_equal(client_string(orphan, "name"), "copy");

	assert_int_equal(facts_read_relays(facts, &plan), 0);
	assert_int_equal(plan.relay_count, 1);
	assert_int_equal(plan.relays[0].port, 8000);
	assert_string_equal(plan.relays[0].socket, "/s");
	launch_plan_finish(&plan);
}

static void test_relays_that_are_unsound(void **state)
{
	json_auto_t *facts = json_loads("{\"relays\":[{\"port\":0,\"socket\":\"/a\"},"
	                                "{\"port\":70000,\"socket\":\"/a\"},{\"port\":1},7,"
	                                "{\"port\":2,\"socket\":\"a\"},"
	                                "{\"port\":3,\"socket\":\"/b\"}]}",
	                                0, NULL);
	json_t *relays = json_array();
	struct launch_plan plan = { 0 };

	(void)state;
	assert_int_equal(facts_read_relays(facts, &plan), 0);
	assert_int_equal(plan.relay_count, 1);
	assert_int_equal(plan.relays[0].port, 3);
	launch_plan_finish(&plan);
	for (int i = 1; i < 100; i++)
		json_array_append_new(relays, json_pack("{s:i,s:s}", "port", i, "socket", "/s"));
	json_object_set_new(facts, "relays", relays);
	assert_int_equal(facts_read_relays(facts, &plan), 0);
	assert_int_equal(plan.relay_count, LAUNCH_RELAYS_MAX);
	launch_plan_finish(&plan);
}

static void test_origins(void **state)
{
	static const struct {
		const char *facts, *text;
	} cases[] = {
		{ "{}", "boot" },
		{ "{\"origin\":{\"kind\":\"boot\"}}", "boot" },
		{ "{\"origin\":{\"kind\":\"fork\",\"of\":\"a\"}}", "fork of a" },
		{ "{\"origin\":{\"kind\":\"restore\",\"of\":\"" ID "\",\"file\":\"/x/y.snap\"}}",
		  "y.snap" },
		{ "{\"origin\":{\"kind\":\"restore\",\"of\":\"" ID "\",\"file\":\"/x/d.snap\","
		  "\"template\":\"d\"}}",
		  "template d" },
		{ "{\"origin\":{\"kind\":\"\\u001b[1m\"}}", " [1m" },
		{ "{\"origin\":7}", "boot" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		json_auto_t *facts = json_loads(cases[i].facts, 0, NULL);

		assert_non_null(facts);
		check_origin(facts, cases[i].text);
	}
}

static void test_machine(void **state)
{
	json_auto_t *object = json_loads(
		"{\"config\":{\"memory_mib\":512,\"cpus\":2,\"width\":800,\"height\":600,"
		"\"guest_root\":true,\"page_reporting\":false,\"disks\":[\"/d\",7],"
		"\"image\":{\"file\":\"/old\",\"size\":1}}}",
		0, NULL);
	struct launch_plan plan = { 0 };
	struct failure failure = { 0 };

	(void)state;
	assert_int_equal(inspection_read_machine(object, &plan, &failure), 0);
	assert_int_equal(plan.memory_mib, 512);
	assert_int_equal(plan.size.height, 600);
	assert_true(plan.guest_root);
	assert_true(plan.no_page_reporting);
	assert_string_equal(plan.images.image, "/old");
	assert_int_equal(plan.disk_count, 1);
	assert_true(plan.disks[0].read_only);
	launch_plan_finish(&plan);

	/* An image that was given stands; of a machine that isn't known nothing is said. */
	plan.images.image = word("/new");
	assert_int_equal(inspection_read_machine(object, &plan, &failure), 0);
	assert_string_equal(plan.images.image, "/new");
	launch_plan_finish(&plan);
	json_object_del(object, "config");
	assert_int_equal(inspection_read_machine(object, &plan, &failure), 0);
	assert_int_equal(plan.memory_mib, 0);
	launch_plan_finish(&plan);
}

/* --- idleness --- */

static void test_idle(void **state)
{
	static const struct {
		const char *before, *after;
		int percent;
	} cases[] = {
		{ "cpu  0 0 0 0 0 0 0 0 0 0\n", "cpu  10 0 10 80 0 0 0 0 0 0\n", 80 },
		{ "cpu  5 5 5 5 5 5 5 5\n", "cpu  5 5 5 105 5 5 5 5\ncpu0 ", 100 },
		{ "cpu  0 0 0 0 0 0 0 0\n", "cpu  50 0 0 0 50 0 0 0\n", 50 },
		{ "cpu  0 0 0 0 0 0 0 0\n", "cpu  0 0 0 0 0 0 0 0\n", -1 },
		{ "cpu  9 0 0 0 0 0 0 0\n", "cpu  0 0 0 0 0 0 0 0\n", -1 },
		{ "cpu  9 0 0 9 0 0 0 0\n", "cpu  99 0 0 0 0 0 0 0\n", -1 },
		{ "", "cpu  1 1 1 1 1 1 1 1\n", -1 },
		{ "cpu  1 1 1\n", "cpu  1 1 1 1 1 1 1 1\n", -1 },
		{ "cpu  0 0 0 0 0 0 0 0\n", "cpu  18446744073709551615 1 1 1 1 1 1 1\n", -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(warm_idle_percent(cases[i].before, cases[i].after),
		                 cases[i].percent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writer_in_pieces),
		cmocka_unit_test(test_writer_refuses),
		cmocka_unit_test(test_writer_without_end),
		cmocka_unit_test(test_writer_numbers),
		cmocka_unit_test_setup_teardown(test_save, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_save_fails, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_save_interrupted, set_up, tear_down),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_facts_of_fork),
		cmocka_unit_test(test_relays_that_are_unsound),
		cmocka_unit_test(test_origins),
		cmocka_unit_test(test_machine),
		cmocka_unit_test(test_idle),
	};

	/* The fake VMM's writer may speak to somebody who has gone. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
