/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_supervisor_parse.c - the values of a command line, its options, and exit statuses.
 * Links supervisor/{parse,options,failure,exec_status}.c and what they need of lib.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proto.h"
#include "supervisor/exec_status.h"
#include "supervisor/failure.h"
#include "supervisor/options.h"
#include "supervisor/parse.h"
#include "supervisor/probe.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BAD UINT64_MAX

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t expected;
	} cases[] = {
		{ "1", 1 },    { "8", 8 },    { "08", 8 },   { "0", BAD },
		{ "9", BAD },  { "", BAD },   { "-1", BAD }, { "+1", BAD },
		{ " 1", BAD }, { "1 ", BAD }, { "1x", BAD }, { "18446744073709551617", BAD },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct failure failure = { 0 };
		uint64_t number = BAD;
		int rc = parse_number("--cpus", cases[i].text, 1, 8, &number, &failure);

		assert_int_equal(rc, cases[i].expected == BAD ? -1 : 0);
		assert_int_equal(number, cases[i].expected);
		if (rc < 0) {
			assert_int_equal(failure.status, STATUS_USAGE);
			assert_memory_equal(failure.message, "--cpus: ", 8);
		}
	}
}

static void test_memory(void **state)
{
	static const struct {
		const char *text;
		uint64_t expected;
	} cases[] = {
		{ "1G", 1024 },
		{ "512M", 512 },
		{ "512m", 512 },
		{ "2048", 2048 },
		{ "1GiB", 1024 },
		{ "1GB", 1024 },
		{ "64G", 65536 },
		{ "1048576K", 1024 },
		{ "1048577K", BAD },
		{ "65G", BAD },
		{ "127M", BAD },
		{ "1.5G", BAD },
		{ "G", BAD },
		{ "1T", BAD },
		{ "1Gx", BAD },
		{ "", BAD },
		{ "99999999999999999999G", BAD },
		{ "17179869185G", BAD },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct failure failure = { 0 };
		uint64_t mib = BAD;
		int rc = parse_memory("--mem", cases[i].text, 128, 65536, &mib, &failure);

		assert_int_equal(rc, cases[i].expected == BAD ? -1 : 0);
		assert_int_equal(mib, cases[i].expected);
	}
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		uint64_t expected;
	} cases[] = {
		{ "90", 90000 },
		{ "90s", 90000 },
		{ "0.5", 500 },
		{ "250ms", 250 },
		{ "15m", 900000 },
		{ "1h", 3600000 },
		{ "1.5m", 90000 },
		{ "0.001", 1 },
		{ "0.0001", BAD },
		{ "0", BAD },
		{ "2h", BAD },
		{ "1d", BAD },
		{ ".5", BAD },
		{ "1.", BAD },
		{ "-1", BAD },
		{ "1 s", BAD },
		{ "18446744073709551615", BAD },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct failure failure = { 0 };
		uint64_t ms = BAD;
		int rc = parse_duration("--timeout", cases[i].text, 1, PROTO_TIMEOUT_MAX_MS, &ms,
		                        &failure);

		assert_int_equal(rc, cases[i].expected == BAD ? -1 : 0);
		assert_int_equal(ms, cases[i].expected);
	}
}

static void test_bytes(void **state)
{
	struct failure failure = { 0 };
	uint64_t bytes = 0;

	(void)state;
	assert_int_equal(parse_bytes("--max", "20M", INT64_MAX, &bytes, &failure), 0);
	assert_int_equal(bytes, 20 << 20);
	assert_int_equal(parse_bytes("--max", "7", INT64_MAX, &bytes, &failure), 0);
	assert_int_equal(bytes, 7);
	assert_int_equal(parse_bytes("--max", "2K", 1024, &bytes, &failure), -1);
	assert_int_equal(bytes, 7);
}

static void test_region(void **state)
{
	static const char *const bad[] = {
		"",         "1",       "1,2,3",      "1,2,3,4,5",  "1,2,3,4,",
		",2,3,4",   "1,2,0,4", "1,2,3,0",    "1,2,-3,4",   "1, 2,3,4",
		"1,2,3,4x", "1x2x3x4", "1,2,3,4097", "4097,2,3,4", "1,2,3,99999999999999999999"
	};
	struct region region = { 9, 9, 9, 9 };
	struct failure failure = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		failure = (struct failure){ 0 };
		assert_int_equal(parse_region("--region", bad[i], &region, &failure), -1);
		assert_int_equal(failure.status, STATUS_USAGE);
		assert_true(region.x == 9 && region.height == 9);
	}
	assert_int_equal(parse_region("--region", "0,50,640,4096", &region, &failure), 0);
	assert_int_equal(region.x, 0);
	assert_int_equal(region.y, 50);
	assert_int_equal(region.width, 640);
	assert_int_equal(region.height, 4096);
}

static void test_geometry(void **state)
{
	static const char *const bad[] = { "",         "1280",     "1280x",     "x800",
		                           "1280X800", "63x800",   "1280x4097", "1280x800x1",
		                           "-1x800",   "1280x 800" };
	struct failure failure = { 0 };
	struct geometry size = { 0, 0 };

	(void)state;
	assert_int_equal(parse_geometry("--size", "1280x800", &size, &failure), 0);
	assert_int_equal(size.width, 1280);
	assert_int_equal(size.height, 800);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(parse_geometry("--size", bad[i], &size, &failure), -1);
	assert_int_equal(size.width, 1280);
}

static void test_relays(void **state)
{
	static const char *const bad[] = { "",     "8080",     "8080:",   ":/s",
		                           "0:/s", "65536:/s", "1024:/s", "x:/s" };
	struct failure failure = { 0 };
	const char *socket = NULL;
	uint16_t port = 0;

	(void)state;
	assert_int_equal(parse_relay("8080:/run/a:b", &port, &socket, &failure), 0);
	assert_int_equal(port, 8080);
	assert_string_equal(socket, "/run/a:b");
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(parse_relay(bad[i], &port, &socket, &failure), -1);
}

static void test_disks(void **state)
{
	static const struct {
		const char *text, *file;
		bool read_only;
	} good[] = {
		{ "disk", "disk", false },     { "/a/b.img,ro", "/a/b.img", true },
		{ "disk,rw", "disk", false },  { "a,b", "a,b", false },
		{ "a,ro,rw", "a,ro", false },  { "a,ro,ro", "a,ro", true },
		{ "disk,r", "disk,r", false }, { "disk,rox", "disk,rox", false },
		{ "ro", "ro", false },         { "a,", "a,", false },
	};
	static const char *const bad[] = { "", ",ro", ",rw" };
	struct failure failure = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		bool read_only = !good[i].read_only;
		char *file = NULL;

		assert_int_equal(parse_disk(good[i].text, &file, &read_only, &failure), 0);
		assert_string_equal(file, good[i].file);
		assert_int_equal(read_only, good[i].read_only);
		free(file);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		bool read_only;
		char *file;

		assert_int_equal(parse_disk(bad[i], &file, &read_only, &failure), -1);
		assert_int_equal(failure.status, STATUS_USAGE);
	}
}

static void test_names(void **state)
{
	static const char *const good[] = { "a",       "7",   "demo",
		                            "A.b-c_9", "a..", "abcdefghijklmnopqrstuvwxyz012345" };
	static const char *const bad[] = { "",
		                           ".",
		                           "..",
		                           "-a",
		                           "_a",
		                           "a/b",
		                           "a b",
		                           "a:",
		                           "a\nb",
		                           "\xc3\xa9",
		                           "abcdefghijklmnopqrstuvwxyz0123456" };

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		assert_true(parse_name_ok(good[i]));
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(parse_name_ok(bad[i]));
}

static void test_guest_paths(void **state)
{
	static const char *const host[] = { "file", "/a:b", "./a:b", "a/b:c", "", ":x", "-a:b" };
	const char *path = NULL;
	size_t size = 0;

	(void)state;
	assert_true(parse_guest_path("demo:/tmp/a:b", &size, &path));
	assert_int_equal(size, 4);
	assert_string_equal(path, "/tmp/a:b");
	assert_true(parse_guest_path("demo:", &size, &path));
	assert_string_equal(path, "");
	for (size_t i = 0; i < COUNT(host); i++)
		assert_false(parse_guest_path(host[i], &size, &path));
}

static void test_urls(void **state)
{
	(void)state;
	assert_null(parse_url_problem("https://example.com/a?b=c"));
	assert_null(parse_url_problem("about:blank"));
	assert_non_null(parse_url_problem(""));
	assert_non_null(parse_url_problem("example.com"));
	assert_non_null(parse_url_problem("://x"));
	assert_null(parse_url_problem("data:text/html,a b"));
	assert_non_null(parse_url_problem(" http://a"));
	assert_non_null(parse_url_problem("http://a\n"));
}

/* --- options --- */

struct parsed {
	struct invocation inv;
	struct arguments arguments;
	struct failure failure;
	bool flag;
	const char *text;
	uint64_t ms;
	struct option_list list;
	int rc;
};

static const struct command test_command = { "test", "NAME", "Tests", NULL, NULL };

/* Parses the words, which end with NULL. */
static void parse_words(struct parsed *out_parsed, struct options_shape shape, char **words)
{
	struct parsed *p = out_parsed;
	struct option options[] = {
		{ "flag", 'f', OPTION_FLAG, &p->flag, NULL, "", 0, 0 },
		{ "text", 0, OPTION_STRING, &p->text, "T", "", 0, 0 },
		{ "time", 't', OPTION_DURATION, &p->ms, "T", "", 1, 10000 },
		{ "list", 0, OPTION_LIST, &p->list, "L", "", 0, 0 },
	};

	*p = (struct parsed){ .inv = { .command = &test_command, .argv = words } };
	while (words[p->inv.argc])
		p->inv.argc++;
	p->rc = options_parse(&p->inv, options, COUNT(options), shape, &p->arguments, &p->failure);
}

#define PARSE(p, shape, ...)                                                                       \
	parse_words((p), (struct options_shape)shape, (char *[]){ __VA_ARGS__, NULL })
#define SHAPE(min, max, rest)                                                                      \
	{                                                                                          \
		min, max, rest                                                                     \
	}

static void test_options_anywhere(void **state)
{
	struct parsed p;

	(void)state;
	PARSE(&p, SHAPE(1, 2, false), "a", "-f", "--text=x=y", "-t", "2s", "b", "--list", "1",
	      "--list", "2", "--json");
	assert_int_equal(p.rc, 0);
	assert_true(p.flag);
	assert_true(p.inv.json);
	assert_string_equal(p.text, "x=y");
	assert_int_equal(p.ms, 2000);
	assert_int_equal(p.list.count, 2);
	assert_string_equal(p.list.items[1], "2");
	assert_int_equal(p.arguments.count, 2);
	assert_string_equal(p.arguments.items[0], "a");
	assert_string_equal(p.arguments.items[1], "b");
}

static void test_options_end(void **state)
{
	struct parsed p;

	(void)state;
	PARSE(&p, SHAPE(1, 2, false), "-", "--", "--flag");
	assert_int_equal(p.rc, 0);
	assert_false(p.flag);
	assert_string_equal(p.arguments.items[0], "-");
	assert_string_equal(p.arguments.items[1], "--flag");
}

static void test_options_rest(void **state)
{
	struct parsed p;

	(void)state;
	PARSE(&p, SHAPE(1, 1, true), "a", "-f", "--", "ls", "-f", "--json");
	assert_int_equal(p.rc, 0);
	assert_true(p.flag);
	assert_false(p.inv.json);
	assert_int_equal(p.arguments.rest_count, 3);
	assert_string_equal(p.arguments.rest[0], "ls");
	assert_string_equal(p.arguments.rest[2], "--json");

	PARSE(&p, SHAPE(1, 1, true), "--time", "1", "a", "ls", "--flag");
	assert_int_equal(p.rc, 0);
	assert_false(p.flag);
	assert_int_equal(p.ms, 1000);
	assert_int_equal(p.arguments.rest_count, 2);
	assert_string_equal(p.arguments.rest[1], "--flag");

	PARSE(&p, SHAPE(1, 1, true), "a");
	assert_int_equal(p.rc, -1);
	PARSE(&p, SHAPE(1, 1, true), "a", "--");
	assert_int_equal(p.rc, -1);
	PARSE(&p, SHAPE(1, 1, true), "--", "a");
	assert_int_equal(p.rc, -1);
}

static void test_options_mistakes(void **state)
{
	static const char *const first[] = { "--nosuch",  "-x",      "--text", "--flag=1",
		                             "--time=1h", "--text=", "--time", "-ff",
		                             "--",        "--fla" };

	(void)state;
	for (size_t i = 0; i < COUNT(first); i++) {
		struct parsed p;

		PARSE(&p, SHAPE(1, 1, false), (char *)first[i]);
		assert_int_equal(p.rc, -1);
		assert_int_equal(p.failure.status, STATUS_USAGE);
	}
}

static void test_options_json_behind_mistake(void **state)
{
	struct parsed p;

	(void)state;
	PARSE(&p, SHAPE(0, 0, false), "--nosuch", "--other", "--json");
	assert_int_equal(p.rc, -1);
	assert_true(p.inv.json);
	assert_non_null(strstr(p.failure.message, "--nosuch"));
}

/* --- failures and statuses --- */

static void test_text_clean(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{ "plain", "plain" },
		{ "\033[2Jx\r\n\x7f", " [2Jx   " },
		{ "h\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x99\x82",
		  "h\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x99\x82" },
		{ "\xc2\x9b"
		  "1m",
		  "  1m" },
		{ "\xc2\xa0", "\xc2\xa0" },
		{ "a\xff\xc3", "a??" },
		{ "\xc3(", "?(" },
		{ "\xe6\xbc", "??" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[64];

		strcpy(text, cases[i].text);
		text_clean(text);
		assert_string_equal(text, cases[i].expected);
	}
}

static void test_reply_codes(void **state)
{
	const char *code = NULL;

	(void)state;
	assert_int_equal(failure_status_of_code(PROTO_ERR_BAD_REQUEST, &code), STATUS_USAGE);
	assert_int_equal(failure_status_of_code(PROTO_ERR_TIMEOUT, &code), STATUS_TIMEOUT);
	assert_int_equal(failure_status_of_code(PROTO_ERR_GONE, &code), STATUS_DEAD);
	assert_string_equal(code, PROTO_ERR_GONE);
	assert_int_equal(failure_status_of_code("\033[2J", &code), STATUS_FAILED);
	assert_string_equal(code, PROTO_ERR_FAILED);
}

static void test_exec_statuses(void **state)
{
	static const struct {
		const char *reply;
		int expected;
	} cases[] = {
		{ "{\"exit\":0}", 0 },
		{ "{\"exit\":7,\"timed_out\":false}", 7 },
		{ "{\"exit\":255}", 255 },
		{ "{\"signal\":9}", 137 },
		{ "{\"signal\":15,\"timed_out\":true}", STATUS_EXEC_TIMEOUT },
		{ "{\"exit\":0,\"timed_out\":true}", STATUS_EXEC_TIMEOUT },
		{ "{\"exit\":256}", -1 },
		{ "{\"exit\":-1}", -1 },
		{ "{\"exit\":\"0\"}", -1 },
		{ "{\"signal\":0}", -1 },
		{ "{\"signal\":65}", -1 },
		{ "{}", -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *reply = json_loads(cases[i].reply, 0, NULL);

		assert_int_equal(exec_status_of_reply(reply), cases[i].expected);
		json_decref(reply);
	}
	assert_int_equal(exec_status_of_failure(STATUS_FAILED, PROTO_ERR_NOT_FOUND), 127);
	assert_int_equal(exec_status_of_failure(STATUS_FAILED, PROTO_ERR_DENIED), 126);
	assert_int_equal(exec_status_of_failure(STATUS_FAILED, PROTO_ERR_FAILED), 126);
	assert_int_equal(exec_status_of_failure(STATUS_FAILED, CODE_BROKEN), 125);
	assert_int_equal(exec_status_of_failure(STATUS_FAILED, PROTO_ERR_BUSY), 125);
	assert_int_equal(exec_status_of_failure(STATUS_NO_SESSION, CODE_NO_SESSION), 125);
	assert_int_equal(exec_status_of_failure(STATUS_USAGE, CODE_USAGE), 125);
}

/* --- the probe's answer --- */

static void test_probe(void **state)
{
	struct failure failure = { 0 };
	struct probe probe = { 0 };
	char advice[320];

	(void)state;
	assert_int_equal(
		probe_parse("{\"kvm\":\"permission\",\"group\":\"kvm\",\"message\":\"no\"}", false,
	                    &probe, &failure),
		0);
	assert_int_equal(probe.kvm, PROBE_KVM_PERMISSION);
	probe_advise(&probe, advice, sizeof(advice));
	assert_non_null(strstr(advice, "usermod -aG kvm $USER"));
	probe_finish(&probe);

	assert_int_equal(
		probe_parse("{\"kvm\":\"unusable\",\"missing_capabilities\":[\"A\",\"B\"]}", false,
	                    &probe, &failure),
		0);
	assert_string_equal(probe.missing, "A, B");
	probe_advise(&probe, advice, sizeof(advice));
	assert_non_null(strstr(advice, "A, B"));
	probe_finish(&probe);

	assert_int_equal(
		probe_parse("{\"kvm\":\"ok\",\"interpreted\":true,\"ring0_loop_us\":99000}", false,
	                    &probe, &failure),
		0);
	assert_true(probe.interpreted);
	assert_int_equal(probe.ring0_us, 99000);
	probe_advise(&probe, advice, sizeof(advice));
	assert_non_null(strstr(advice, "scripts/testbed"));
	probe_finish(&probe);

	assert_int_equal(probe_parse("", true, &probe, &failure), -1);
	assert_int_equal(probe_parse("{\"kvm\":\"perhaps\"}", true, &probe, &failure), -1);
	assert_int_equal(probe_parse("[]", true, &probe, &failure), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_geometry),
		cmocka_unit_test(test_region),
		cmocka_unit_test(test_relays),
		cmocka_unit_test(test_disks),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_guest_paths),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_options_anywhere),
		cmocka_unit_test(test_options_end),
		cmocka_unit_test(test_options_rest),
		cmocka_unit_test(test_options_mistakes),
		cmocka_unit_test(test_options_json_behind_mistake),
		cmocka_unit_test(test_text_clean),
		cmocka_unit_test(test_reply_codes),
		cmocka_unit_test(test_exec_statuses),
		cmocka_unit_test(test_probe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
