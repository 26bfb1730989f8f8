/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_supervisor_view.c - what cloche-view lets in: tokens, Host, Origin, addresses, files.
 * Links supervisor/view_{address,assets,page,request}.c and what they need.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "supervisor/view_address.h"
#include "supervisor/view_assets.h"
#include "supervisor/view_request.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_tokens_are_drawn(void **state)
{
	struct view_token tokens[64];

	(void)state;
	for (size_t i = 0; i < COUNT(tokens); i++) {
		assert_int_equal(view_token_draw(&tokens[i]), 0);
		assert_int_equal(strlen(tokens[i].text), 32);
		assert_int_equal(strspn(tokens[i].text, "0123456789abcdef"), 32);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(tokens[i].text, tokens[j].text);
	}
}

static void test_tokens_match_whole(void **state)
{
	struct view_token token;
	char text[VIEW_TOKEN_CHARS + 2];

	(void)state;
	assert_int_equal(view_token_draw(&token), 0);
	snprintf(text, sizeof(text), "%s/", token.text);
	assert_true(view_token_matches(&token, text));
	for (size_t i = 0; i < VIEW_TOKEN_CHARS; i++) {
		for (int bit = 0; bit < 8; bit++) {
			text[i] = (char)(text[i] ^ (1 << bit));
			assert_false(view_token_matches(&token, text));
			text[i] = (char)(text[i] ^ (1 << bit));
		}
	}
	assert_true(view_token_matches(&token, text));
}

#define TOKEN "0123456789abcdef0123456789abcdef"

static void test_paths(void **state)
{
	static const struct {
		const char *path;
		bool has;
	} cases[] = {
		{ "/" TOKEN "/", true }, { "/" TOKEN "/novnc/core/rfb.js", true },
		{ "/" TOKEN, false },    { "/" TOKEN "x/", false },
		{ TOKEN "/", false },    { "//" TOKEN "/", false },
		{ "/0123/", false },     { "/", false },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *token = view_request_token(cases[i].path);

		assert_ptr_equal(token, cases[i].has ? cases[i].path + 1 : NULL);
	}
}

static void test_hosts(void **state)
{
	static const struct {
		const char *host;
		bool local, remote; /* good enough for a server on this host alone, for any */
	} cases[] = {
		{ "127.0.0.1:6080", true, true },
		{ "127.0.0.1", true, true },
		{ "127.255.0.3:1", true, true },
		{ "localhost:6080", true, true },
		{ "LocalHost", true, true },
		{ "[::1]:65535", true, true },
		{ "[::1]", true, true },
		{ "192.0.2.1:80", false, true },
		{ "[2001:db8::1]:80", false, true },
		{ "0.0.0.0:80", false, true },
		{ "[::ffff:127.0.0.1]:80", false, true },
		{ "", false, false },
		{ ":80", false, false },
		{ "[]:80", false, false },
		{ "[::1", false, false },
		{ "[::1]80", false, false },
		{ "[127.0.0.1]:80", false, false },
		{ "::1", false, false },
		{ "localhost.", false, false },
		{ "localhost.evil.example:6080", false, false },
		{ "evil.example", false, false },
		{ "127.0.0.1.evil.example:6080", false, false },
		{ "127.0.0.1:6080,evil.example", false, false },
		{ "127.0.0.1:", false, false },
		{ "127.0.0.1:123456", false, false },
		{ "127.0.0.1:80x", false, false },
		{ "127.0.0.1:-1", false, false },
		{ " 127.0.0.1", false, false },
		{ "127.1", false, false },
		{ "2130706433", false, false },
		{ "0177.0.0.1", false, false },
		{ "user@127.0.0.1", false, false },
		{ "127.0.0.1/x", false, false },
		{ "1111111111111111111111111111111111111111111111111111111111", false, false },
		{ "[1111111111111111111111111111111111111111111111111111111]", false, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(view_request_host_ok(cases[i].host, false), cases[i].local);
		assert_int_equal(view_request_host_ok(cases[i].host, true), cases[i].remote);
	}
}

static void test_origins(void **state)
{
	static const struct {
		const char *origin, *host;
		bool ok;
	} cases[] = {
		{ "http://127.0.0.1:6080", "127.0.0.1:6080", true },
		{ "http://localhost:6080", "LOCALHOST:6080", true },
		{ "http://localhost", "localhost", true },
		{ "http://[::1]:6080", "[::1]:6080", true },
		{ "https://127.0.0.1:6080", "127.0.0.1:6080", false },
		{ "http://127.0.0.1:6081", "127.0.0.1:6080", false },
		{ "http://127.0.0.1", "127.0.0.1:6080", false },
		{ "http://localhost:6080", "127.0.0.1:6080", false },
		{ "http://127.0.0.1:6080/", "127.0.0.1:6080", false },
		{ "http://127.0.0.1:60801", "127.0.0.1:6080", false },
		{ "http://evil.example", "127.0.0.1:6080", false },
		{ "null", "127.0.0.1:6080", false },
		{ "127.0.0.1:6080", "127.0.0.1:6080", false },
		{ "http://", "", true }, /* but no Host is empty */
		{ "", "", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(view_request_origin_ok(cases[i].origin, cases[i].host),
		                 cases[i].ok);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *text, *written; /* NULL: it is refused */
		bool loopback;
	} cases[] = {
		{ "127.0.0.1:6080", "127.0.0.1:6080", true },
		{ "127.9.9.9:0", "127.9.9.9:0", true },
		{ "[::1]:65535", "[::1]:65535", true },
		{ "0.0.0.0:80", "0.0.0.0:80", false },
		{ "192.0.2.1:80", "192.0.2.1:80", false },
		{ "[::]:80", "[::]:80", false },
		{ "[2001:DB8::0:1]:80", "[2001:db8::1]:80", false },
		{ "128.0.0.1:80", "128.0.0.1:80", false },
		{ "127.0.0.1", NULL, false },
		{ "127.0.0.1:", NULL, false },
		{ "127.0.0.1:65536", NULL, false },
		{ "127.0.0.1:1:2", NULL, false },
		{ "127.1:80", NULL, false },
		{ "localhost:80", NULL, false },
		{ "::1:80", NULL, false },
		{ "[::1]", NULL, false },
		{ "[]:1", NULL, false },
		{ "[:80", NULL, false },
		{ ":80", NULL, false },
		{ "", NULL, false },
		{ "[1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19:20:21:22]:80", NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct failure failure = { 0 };
		struct view_address address;
		char written[VIEW_AUTHORITY_MAX];
		int rc = view_address_parse("--listen", cases[i].text, &address, &failure);

		assert_int_equal(rc, cases[i].written ? 0 : -1);
		if (rc < 0) {
			assert_int_equal(failure.status, STATUS_USAGE);
			assert_memory_equal(failure.message, "--listen: ", 10);
			continue;
		}
		view_address_write(&address, written);
		assert_string_equal(written, cases[i].written);
		assert_int_equal(view_address_is_loopback(&address), cases[i].loopback);
	}
}

static void test_listening(void **state)
{
	struct failure failure = { 0 };
	struct view_address address, same;
	char text[VIEW_AUTHORITY_MAX];
	cleanup_fd int fd = -1;
	int other = -1;

	(void)state;
	assert_int_equal(view_address_parse("x", "127.0.0.1:0", &address, &failure), 0);
	assert_int_equal(view_address_listen(&address, &fd, &failure), 0);
	assert_int_not_equal(view_address_port(&address), 0);
	view_address_write(&address, text);
	assert_int_equal(view_address_parse("x", text, &same, &failure), 0);
	assert_int_equal(view_address_listen(&same, &other, &failure), -1);
	assert_int_equal(failure.status, STATUS_FAILED);
	assert_non_null(strstr(failure.message, text));
	assert_int_equal(other, -1);
}

/* --- files --- */

static char folder[64];

static void write_file(const char *path, const char *text)
{
	char full[160];
	cleanup_file FILE *file = NULL;

	snprintf(full, sizeof(full), "%s/%s", folder, path);
	file = fopen(full, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
}

static void make_folder(const char *path)
{
	char full[160];

	snprintf(full, sizeof(full), "%s/%s", folder, path);
	assert_int_equal(mkdir(full, 0700), 0);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/cloche-view-XXXXXX");
	assert_non_null(mkdtemp(folder));
	make_folder("core");
	make_folder("core/util");
	make_folder("vendor");
	make_folder("vendor/pako");
	make_folder("vendor/pako/lib");
	write_file("core/rfb.js", "rfb");
	write_file("core/util/log.js", "log");
	write_file("core/notes.txt", "no");
	write_file("core/.hidden.js", "no");
	write_file("core/a b.js", "no");
	write_file("core/a%2fb.js", "no");
	write_file("vendor/other.js", "no");
	write_file("vendor/pako/lib/inflate.js", "inflate");
	write_file("vnc.html", "no");
	return 0;
}

static int tear_down(void **state)
{
	char command[96];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command); // NOLINT(cert-env33-c): the folder is ours
}

static void assert_asset(const struct view_assets *assets, const char *path, const char *text)
{
	const struct view_asset *asset = view_assets_find(assets, path);

	if (!text) {
		assert_null(asset);
		return;
	}
	assert_non_null(asset);
	assert_int_equal(asset->size, strlen(text));
	assert_memory_equal(asset->data, text, asset->size);
}

static void test_assets(void **state)
{
	struct failure failure = { 0 };
	struct view_assets assets;
	char path[160], target[160];

	(void)state;
	snprintf(path, sizeof(path), "%s/core/link.js", folder);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	snprintf(path, sizeof(path), "%s/core/away", folder);
	snprintf(target, sizeof(target), "%s/vendor", folder);
	assert_int_equal(symlink(target, path), 0);
	snprintf(path, sizeof(path), "%s/core/fifo.js", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(view_assets_load(folder, &assets, &failure), 0);
	assert_int_equal(assets.count, 3 + 3);
	assert_asset(&assets, "novnc/core/rfb.js", "rfb");
	assert_asset(&assets, "novnc/core/util/log.js", "log");
	assert_asset(&assets, "novnc/vendor/pako/lib/inflate.js", "inflate");
	assert_asset(&assets, "novnc/core/link.js", NULL);
	assert_asset(&assets, "novnc/core/away/other.js", NULL);
	assert_asset(&assets, "novnc/core", NULL);
	assert_asset(&assets, "novnc/core/", NULL);
	assert_asset(&assets, "novnc/core/../vnc.html", NULL);
	assert_non_null(view_assets_find(&assets, ""));
	assert_non_null(view_assets_find(&assets, "viewer.js"));
	assert_non_null(view_assets_find(&assets, "viewer.css"));
	view_assets_finish(&assets);
}

static void test_assets_that_are_missing(void **state)
{
	struct failure failure = { 0 };
	struct view_assets assets;
	char path[160];

	(void)state;
	assert_int_equal(view_assets_load("/nonexistent/novnc", &assets, &failure), -1);
	assert_int_equal(failure.status, STATUS_FAILED);
	assert_non_null(strstr(failure.message, "apt-get install"));
	failure = (struct failure){ 0 };
	snprintf(path, sizeof(path), "%s/core/rfb.js", folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(view_assets_load(folder, &assets, &failure), -1);
	assert_non_null(strstr(failure.message, "rfb.js"));
	assert_int_equal(assets.count, 0);
}

static void test_assets_that_are_too_much(void **state)
{
	struct failure failure = { 0 };
	struct view_assets assets;
	char path[160];

	(void)state;
	snprintf(path, sizeof(path), "%s/core/rfb.js", folder);
	assert_int_equal(truncate(path, (off_t)VIEW_ASSET_SIZE_MAX + 1), 0);
	assert_int_equal(view_assets_load(folder, &assets, &failure), -1);
	assert_non_null(strstr(failure.message, "core/rfb.js"));
	failure = (struct failure){ 0 };
	assert_int_equal(truncate(path, 3), 0);
	for (int i = 0; i < VIEW_ASSETS_MAX; i++) {
		char name[32];

		snprintf(name, sizeof(name), "core/many%d.js", i);
		write_file(name, "x");
	}
	assert_int_equal(view_assets_load(folder, &assets, &failure), -1);
	assert_int_equal(failure.status, STATUS_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens_are_drawn),
		cmocka_unit_test(test_tokens_match_whole),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_origins),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_listening),
		cmocka_unit_test_setup_teardown(test_assets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_assets_that_are_missing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_assets_that_are_too_much, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
