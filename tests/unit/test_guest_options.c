/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_guest_options.c - the agent's kernel command line, arguments, URL rule and environment.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guest/agent.h"
#include "guest/environment.h"
#include "guest/options.h"

static void test_kernel_line(void **state)
{
	static const struct {
		const char *line;
		int ret;
		uint32_t width, height;
		bool root;
		const char *page;
	} rows[] = {
		{ "", 0, 1280, 800, false, "about:blank" },
		{ "console=ttyS0 quiet\n", 0, 1280, 800, false, "about:blank" },
		{ "cloche.size=640x480 cloche.root=1", 0, 640, 480, true, "about:blank" },
		{ "a cloche.page=http://127.0.0.1:80/?a=b c", 0, 1280, 800, false,
		  "http://127.0.0.1:80/?a=b" },
		{ "cloche.size=4096x64", 0, 4096, 64, false, "about:blank" },
		{ "cloche.size=4097x64 cloche.root=1", -EINVAL, 1280, 800, true, "about:blank" },
		{ "cloche.size=63x64", -EINVAL, 1280, 800, false, "about:blank" },
		{ "cloche.size=640", -EINVAL, 1280, 800, false, "about:blank" },
		{ "cloche.size=640x480x24", -EINVAL, 1280, 800, false, "about:blank" },
		{ "cloche.size=99999999999x1", -EINVAL, 1280, 800, false, "about:blank" },
		{ "cloche.size=-640x480", -EINVAL, 1280, 800, false, "about:blank" },
		{ "cloche.size=", -EINVAL, 1280, 800, false, "about:blank" },
		{ "cloche.root=0", 0, 1280, 800, false, "about:blank" },
		{ "cloche.root=11", 0, 1280, 800, false, "about:blank" },
		{ "xcloche.root=1", 0, 1280, 800, false, "about:blank" },
		{ "cloche.page=file:///etc/passwd cloche.size=640x480", -EINVAL, 640, 480, false,
		  "about:blank" },
		{ "cloche.page=--no-sandbox", -EINVAL, 1280, 800, false, "about:blank" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { 0 };
		struct options options;

		options_init(&options);
		assert_int_equal(options_parse_kernel(&options, rows[i].line, &err), rows[i].ret);
		assert_int_equal(err.code, rows[i].ret);
		assert_int_equal(options.width, rows[i].width);
		assert_int_equal(options.height, rows[i].height);
		assert_int_equal(options.root, rows[i].root);
		assert_string_equal(options.page, rows[i].page);
	}
}

static void test_page_too_long(void **state)
{
	char line[OPTIONS_URL_MAX + 64] = "cloche.page=http://";
	struct options options;

	(void)state;
	memset(line + strlen(line), 'x', OPTIONS_URL_MAX);
	options_init(&options);
	assert_int_equal(options_parse_kernel(&options, line, NULL), -EINVAL);
	assert_string_equal(options.page, "about:blank");
}

static void test_arguments(void **state)
{
	char *good[] = { "agent",  "--channel", "unix:/a/b", "--display", "97",    "--root",
		         "--size", "64x64",     "--home",    "/h",        "--run", "/r" };
	static char *const bad[][3] = {
		{ "agent", "--channel", "tcp:1" }, { "agent", "--channel", "unix:" },
		{ "agent", "--display", "1000" },  { "agent", "--display", "x" },
		{ "agent", "--frobnicate", "1" },  { "agent", "--root", "--size" },
		{ "agent", "--page", "chrome:" },  { "agent", "--home", "" },
	};
	struct options options;
	struct error err = { 0 };

	(void)state;
	options_init(&options);
	assert_int_equal(options_parse_arguments(&options, (int)(sizeof(good) / sizeof(*good)),
	                                         good, &err),
	                 0);
	assert_string_equal(options.channel, "/a/b");
	assert_int_equal(options.display, 97);
	assert_true(options.root);
	assert_int_equal(options.width, 64);
	assert_string_equal(options.home, "/h");
	assert_string_equal(options.run, "/r");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *argv[3];

		memcpy(argv, bad[i], sizeof(argv));
		options_init(&options);
		assert_int_equal(options_parse_arguments(&options, 3, argv, &err), -EINVAL);
	}
}

static void test_urls(void **state)
{
	static const char *const good[] = {
		"http://a",         "https://a/b?c#d",  "HTTP://A",
		"data:text/html,x", "about:blank",      "About:Blank",
		"about:blank#part", "http://[::1]:80/", "http://ä.example",
	};
	static const char *const bad[] = {
		"",
		"http:",
		"http:/a",
		"a",
		"/etc",
		"file:///etc",
		"FILE:///etc",
		"chrome://settings",
		"about:",
		"about:gpu",
		"about:blankx",
		"javascript:1",
		" http://a",
		"\thttp://a",
		"http://a\nb",
		"java\nscript:1",
		"view-source:http://a",
		"blob:http://a",
		"devtools://x",
		"ftp://a",
		"--flag",
		"http://a\x7f",
		"chrome-extension://x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(options_url_allowed(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(options_url_allowed(bad[i]));
}

static const char *variable(char **envp, const char *name)
{
	size_t length = strlen(name);
	const char *found = NULL;

	for (; *envp; envp++) {
		if (strncmp(*envp, name, length) != 0 || (*envp)[length] != '=')
			continue;
		assert_null(found);
		found = *envp + length + 1;
	}
	return found;
}

static void test_environment(void **state)
{
	struct agent agent = { .init = false };
	json_t *extra = json_pack("{s:s, s:s}", "LANG", "C", "FOO", "a=b");
	char **envp = NULL;

	(void)state;
	options_init(&agent.options);
	assert_int_equal(environment_make(&agent, false, extra, &envp), 0);
	assert_string_equal(variable(envp, "LANG"), "C");
	assert_string_equal(variable(envp, "FOO"), "a=b");
	assert_string_equal(variable(envp, "HOME"), "/home/agent");
	assert_string_equal(variable(envp, "DISPLAY"), ":0");
	environment_free(envp);
	assert_int_equal(environment_make(&agent, true, NULL, &envp), 0);
	assert_string_equal(variable(envp, "HOME"), "/root");
	assert_string_equal(variable(envp, "USER"), "root");
	environment_free(envp);
	json_decref(extra);
}

static void test_environment_refused(void **state)
{
	static const char *const texts[] = { "[]", "{\"A\":1}", "{\"A=B\":\"c\"}", "{\"\":\"c\"}",
		                             "\"A=b\"" };
	struct agent agent = { .init = false };

	(void)state;
	options_init(&agent.options);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *extra = json_loads(texts[i], JSON_DECODE_ANY, NULL);
		char **envp = NULL;

		assert_int_equal(environment_make(&agent, false, extra, &envp), -EINVAL);
		assert_null(envp);
		json_decref(extra);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_line), cmocka_unit_test(test_page_too_long),
		cmocka_unit_test(test_arguments),   cmocka_unit_test(test_urls),
		cmocka_unit_test(test_environment), cmocka_unit_test(test_environment_refused),
	};

	return cmocka_run_group_tests_name("guest_options", tests, NULL, NULL);
}
