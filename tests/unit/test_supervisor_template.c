/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_supervisor_template.c - templates: what their json says and what it may not, when one fits, what
 * makes it out of date, where they lie; fingerprints of files; resident ones and which go. Links
 * supervisor/ without main.c and the commands, and lib.
 *
 * Everything happens in one temporary folder, which $XDG_CACHE_HOME and $XDG_RUNTIME_DIR name.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "supervisor/client.h"
#include "supervisor/fingerprint.h"
#include "supervisor/process.h"
#include "supervisor/residents.h"
#include "supervisor/template.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ID_A "00112233445566778899aabbccddeeff"
#define ID_B "ffeeddccbbaa99887766554433221100"

static char base[64];

static int set_up(void **state)
{
	(void)state;
	strcpy(base, "/tmp/cloche-unit-XXXXXX");
	if (!mkdtemp(base))
		return -1;
	return setenv("XDG_CACHE_HOME", base, 1) || setenv("XDG_RUNTIME_DIR", base, 1);
}

static int tear_down(void **state)
{
	char *const argv[] = { (char *)"/bin/rm", (char *)"-rf", base, NULL };
	char text[16];
	int status;

	(void)state;
	return process_capture(argv, 10000, text, sizeof(text), &status, NULL);
}

static char *path_in(const char *rest)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", base, rest) > 0);
	return path;
}

static void write_file(const char *rest, const char *text)
{
	cleanup_free char *path = path_in(rest);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static bool exists(const char *rest)
{
	cleanup_free char *path = path_in(rest);
	struct stat st;

	return lstat(path, &st) == 0;
}

/* --- fingerprints --- */

static void test_files(void **state)
{
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	cleanup_free char *path = path_in("file");
	cleanup_free char *copy = path_in("copy");
	struct failure failure = { 0 };
	json_t *fresh = NULL;
	json_t *noted;

	(void)state;
	write_file("file", "one");
	write_file("copy", "one");
	noted = fingerprint_of_file(path, &failure);
	assert_non_null(noted);
	assert_int_equal(strlen(client_string(noted, "hash")), 16);
	assert_int_equal(fingerprint_compare(noted, path, &fresh), FINGERPRINT_SAME);

	/* The same bytes elsewhere, or touched: read once, then known. */
	assert_int_equal(fingerprint_compare(noted, copy, &fresh), FINGERPRINT_RESTAMPED);
	assert_int_equal(utimensat(AT_FDCWD, copy, old, 0), 0);
	json_decref(noted);
	noted = fresh;
	fresh = NULL;
	assert_int_equal(fingerprint_compare(noted, copy, &fresh), FINGERPRINT_RESTAMPED);
	json_decref(noted);
	noted = fresh;
	fresh = NULL;
	assert_int_equal(fingerprint_compare(noted, copy, &fresh), FINGERPRINT_SAME);

	/* Other bytes of the same length, with the old time put back: the change itself has a time. */
	write_file("copy", "two");
	assert_int_equal(utimensat(AT_FDCWD, copy, old, 0), 0);
	assert_int_equal(fingerprint_compare(noted, copy, &fresh), FINGERPRINT_DIFFERENT);
	assert_int_equal(unlink(copy), 0);
	assert_int_equal(fingerprint_compare(noted, copy, &fresh), FINGERPRINT_DIFFERENT);
	assert_null(fresh);
	json_decref(noted);

	assert_null(fingerprint_of_file(copy, &failure));
	assert_int_equal(failure.status, STATUS_FAILED);
	assert_null(fingerprint_of_file(base, &failure));
}

static void test_long_file(void **state)
{
	cleanup_free char *path = path_in("long");
	struct failure failure = { 0 };
	cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	json_t *fresh = NULL;
	json_t *noted;

	(void)state;
	assert_int_equal(ftruncate(fd, (5 << 20) + 1), 0);
	noted = fingerprint_of_file(path, &failure);
	assert_non_null(noted);
	/* One byte in the middle, one at the very end. */
	assert_int_equal(pwrite(fd, "x", 1, (3 << 20) + 7), 1);
	assert_int_equal(fingerprint_compare(noted, path, &fresh), FINGERPRINT_DIFFERENT);
	assert_int_equal(pwrite(fd, "\0", 1, (3 << 20) + 7), 1);
	assert_int_equal(fingerprint_compare(noted, path, &fresh), FINGERPRINT_RESTAMPED);
	assert_int_equal(pwrite(fd, "x", 1, 5 << 20), 1);
	assert_int_equal(fingerprint_compare(noted, path, &fresh), FINGERPRINT_DIFFERENT);
	json_decref(fresh);
	json_decref(noted);
}

static void test_host(void **state)
{
	char first[FINGERPRINT_TEXT_SIZE];
	char again[FINGERPRINT_TEXT_SIZE];

	(void)state;
	fingerprint_of_cpu(first);
	fingerprint_of_cpu(again);
	assert_string_equal(first, again);
	assert_true(strlen(first) > 20);
	fingerprint_of_host(first);
	assert_true(strlen(first) > 3);
}

/* --- json --- */

#define GOOD(more)                                                                                 \
	"{\"version\":1,\"id\":\"" ID_A "\",\"memory_mib\":1024,\"cpus\":2,"                       \
	"\"size\":\"1280x800\",\"resident_bytes\":4096,\"files\":{},\"snapshot\":{}" more "}"

static bool parses(const char *text, struct template *template)
{
	json_auto_t *object = json_loads(text, 0, NULL);

	assert_non_null(object);
	return template_parse(object, template);
}

static void test_json(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"version\":2,\"id\":\"" ID_A "\",\"memory_mib\":1024,\"cpus\":2,"
		"\"size\":\"1280x800\",\"files\":{},\"snapshot\":{}}",
		"{\"version\":1,\"id\":\"../../../../../../../../etc/passwd\",\"memory_mib\":1024,"
		"\"cpus\":2,\"size\":\"1280x800\",\"files\":{},\"snapshot\":{}}",
		"{\"version\":1,\"id\":\"" ID_A "0\",\"memory_mib\":1024,\"cpus\":2,"
		"\"size\":\"1280x800\",\"files\":{},\"snapshot\":{}}",
		"{\"version\":1,\"id\":\"" ID_A "\",\"memory_mib\":-1,\"cpus\":2,"
		"\"size\":\"1280x800\",\"files\":{},\"snapshot\":{}}",
		"{\"version\":1,\"id\":\"" ID_A "\",\"memory_mib\":1024,\"cpus\":\"2\","
		"\"size\":\"1280x800\",\"files\":{},\"snapshot\":{}}",
		"{\"version\":1,\"id\":\"" ID_A "\",\"memory_mib\":1024,\"cpus\":2,"
		"\"size\":\"0x800\",\"files\":{},\"snapshot\":{}}",
		"{\"version\":1,\"id\":\"" ID_A "\",\"memory_mib\":1024,\"cpus\":2,"
		"\"size\":\"1280x800\",\"files\":[],\"snapshot\":{}}",
		"{\"version\":1,\"id\":\"" ID_A "\",\"memory_mib\":1024,\"cpus\":2,"
		"\"size\":\"1280x800\",\"files\":{}}",
	};
	struct template template = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(parses(bad[i], &template));
	assert_int_equal(template.memory_mib, 0);
	assert_true(parses(GOOD(",\"unknown\":1"), &template));
	assert_string_equal(template.id, ID_A);
	assert_int_equal(template.memory_mib, 1024);
	assert_int_equal(template.cpus, 2);
	assert_int_equal(template.size.height, 800);
	assert_int_equal(template.resident_bytes, 4096);
}

static void test_shape(void **state)
{
	static const struct {
		uint64_t memory, cpus;
		struct geometry size;
		const char *differs;
	} cases[] = {
		{ 0, 0, { 0, 0 }, NULL },
		{ 1024, 2, { 1280, 800 }, NULL },
		{ 1024, 0, { 0, 0 }, NULL },
		{ 512, 0, { 0, 0 }, "1024 MiB" },
		{ 0, 1, { 0, 0 }, "2 CPUs" },
		{ 0, 0, { 1280, 801 }, "1280x800" },
		{ 0, 0, { 1281, 800 }, "1280x800" },
	};
	struct template template = { 0 };

	(void)state;
	assert_true(parses(GOOD(""), &template));
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[80] = "";
		bool differs = template_shape_differs(&template, cases[i].memory, cases[i].cpus,
		                                      cases[i].size, text, sizeof(text));

		assert_int_equal(differs, cases[i].differs != NULL);
		if (differs)
			assert_non_null(strstr(text, cases[i].differs));
	}
}

/* --- on disk --- */

/* The four files that a template depends on. */
static void make_plan(struct launch_plan *plan)
{
	write_file("vmm", "vmm");
	write_file("kernel", "kernel");
	write_file("initramfs", "initramfs");
	write_file("image", "image");
	plan->vmm = path_in("vmm");
	plan->images.kernel = path_in("kernel");
	plan->images.initramfs = path_in("initramfs");
	plan->images.image = path_in("image");
}

/* Writes template @name as a bake would. */
static void make_template(const struct template_folder *folder, const char *name, const char *id,
                          const struct launch_plan *plan)
{
	struct failure failure = { 0 };
	json_t *object = json_loads(GOOD(""), 0, NULL);
	json_t *more = template_dependencies(plan, &failure);
	cleanup_free char *rest;
	cleanup_free char *path;
	struct stat st;

	assert_non_null(more);
	assert_true(asprintf(&rest, "cloche/templates/%s.snap", name) > 0);
	write_file(rest, "snapshot");
	path = path_in(rest);
	assert_int_equal(stat(path, &st), 0);
	json_object_set_new(object, "id", json_string(id));
	json_object_set_new(object, "snapshot", fingerprint_of_look(&st));
	json_object_update(object, more);
	assert_int_equal(template_write(folder, name, object, &failure), 0);
	json_decref(object);
	json_decref(more);
}

static void load(const struct template_folder *folder, const char *name, struct template *template)
{
	struct failure failure = { 0 };

	template_finish(template);
	assert_int_equal(template_load(folder, name, template, &failure), 0);
}

static void test_folder(void **state)
{
	cleanup_template_folder struct template_folder folder = TEMPLATE_FOLDER_INIT;
	cleanup_template struct template template = { 0 };
	cleanup_free char *path = path_in("cloche/templates");
	struct failure failure = { 0 };
	struct stat st;

	(void)state;
	assert_int_equal(template_folder_open(false, &folder, &failure), 0);
	assert_int_equal(folder.fd, -1);
	assert_int_equal(template_load(&folder, "default", &template, &failure), 1);
	assert_int_equal(template_folder_open(true, &folder, &failure), 0);
	assert_string_equal(folder.path, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(template_load(&folder, "default", &template, &failure), 1);
	assert_int_equal(template_load(&folder, "../x", &template, &failure), -1);
	assert_int_equal(failure.status, STATUS_USAGE);

	template_folder_close(&folder);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(template_folder_open(false, &folder, &failure), -1);
	assert_non_null(strstr(failure.message, "chmod 700"));

	/* Without a place only a bake fails. */
	setenv("XDG_CACHE_HOME", "relative", 1);
	unsetenv("HOME");
	folder = (struct template_folder)TEMPLATE_FOLDER_INIT;
	assert_int_equal(template_folder_open(false, &folder, &failure), 0);
	assert_int_equal(folder.fd, -1);
	assert_int_equal(template_folder_open(true, &folder, &failure), -1);
}

static void test_complete(void **state)
{
	cleanup_template_folder struct template_folder folder = TEMPLATE_FOLDER_INIT;
	cleanup_template struct template template = { 0 };
	cleanup_plan struct launch_plan plan = { 0 };
	cleanup_free char *path = path_in("cloche/templates/t.snap");
	struct failure failure = { 0 };

	(void)state;
	assert_int_equal(template_folder_open(true, &folder, &failure), 0);
	make_plan(&plan);
	make_template(&folder, "t", ID_A, &plan);
	load(&folder, "t", &template);
	assert_true(template.complete);
	assert_string_equal(template.snapshot, path);
	assert_null(template.touch);
	write_file("cloche/templates/t.touch", "order");
	load(&folder, "t", &template);
	assert_non_null(template.touch);

	/* Another snapshot than the json means: a bake was killed in between, or somebody meddled. */
	assert_int_equal(unlink(path), 0);
	load(&folder, "t", &template);
	assert_false(template.complete);
	assert_int_equal(template.memory_mib, 1024);
	write_file("cloche/templates/t.snap", "snapshot");
	load(&folder, "t", &template);
	assert_false(template.complete);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	load(&folder, "t", &template);
	assert_false(template.complete);

	write_file("cloche/templates/t.json", "{\"version\":1");
	load(&folder, "t", &template);
	assert_false(template.complete);
	assert_int_equal(template.memory_mib, 0);
	write_file("cloche/templates/t.json", "");
	load(&folder, "t", &template);
	assert_false(template.complete);
}

static void test_compare(void **state)
{
	static const struct {
		const char *file, *words;
	} files[] = {
		{ "vmm", "cloche-vmm" },
		{ "kernel", "kernel" },
		{ "initramfs", "initramfs" },
		{ "image", "root image" },
	};
	cleanup_template_folder struct template_folder folder = TEMPLATE_FOLDER_INIT;
	cleanup_template struct template template = { 0 };
	cleanup_plan struct launch_plan plan = { 0 };
	struct failure failure = { 0 };
	struct template_check check;

	(void)state;
	assert_int_equal(template_folder_open(true, &folder, &failure), 0);
	make_plan(&plan);
	make_template(&folder, "t", ID_A, &plan);
	load(&folder, "t", &template);
	check = template_compare(&template, &plan);
	assert_null(check.changed);
	assert_false(check.restamped);
	assert_false(check.new_host);

	for (size_t i = 0; i < COUNT(files); i++) {
		cleanup_free char *path = path_in(files[i].file);

		/* A new file with the old bytes counts as the old one, and is known from then on. */
		assert_int_equal(unlink(path), 0);
		write_file(files[i].file, files[i].file);
		load(&folder, "t", &template);
		check = template_compare(&template, &plan);
		assert_null(check.changed);
		assert_true(check.restamped);
		assert_int_equal(template_write(&folder, "t", template.object, &failure), 0);
		load(&folder, "t", &template);
		assert_false(template_compare(&template, &plan).restamped);

		write_file(files[i].file, "changed");
		check = template_compare(&template, &plan);
		assert_non_null(check.changed);
		assert_non_null(strstr(check.changed, files[i].words));
		write_file(files[i].file, files[i].file);
	}
	load(&folder, "t", &template);
	json_object_set_new(template.object, "host", json_string("another kernel"));
	check = template_compare(&template, &plan);
	assert_null(check.changed);
	assert_true(check.new_host);
	assert_false(template_compare(&template, &plan).new_host);
	json_object_set_new(template.object, "cpu", json_string("another"));
	assert_non_null(strstr(template_compare(&template, &plan).changed, "CPU"));
}

/* --- resident ones --- */

static void test_residents(void **state)
{
	cleanup_template_folder struct template_folder folder = TEMPLATE_FOLDER_INIT;
	cleanup_residents struct residents residents = RESIDENTS_INIT;
	cleanup_plan struct launch_plan plan = { 0 };
	cleanup_free char *path = path_in("cloche/.templates");
	cleanup_free char *lock = path_in("cloche/.templates/" ID_B ".lock");
	struct failure failure = { 0 };
	cleanup_fd int held = -1;
	struct stat st;

	(void)state;
	assert_int_equal(template_folder_open(true, &folder, &failure), 0);
	make_plan(&plan);
	make_template(&folder, "t", ID_A, &plan);
	assert_int_equal(residents_open(&residents, &failure), 0);
	assert_string_equal(residents.path, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);

	assert_true(residents_can_hold(&residents, ID_A, 4096));
	assert_false(residents_can_hold(&residents, ID_A, UINT64_MAX / 2));
	write_file("cloche/.templates/" ID_A ".mem", "");
	assert_true(residents_can_hold(&residents, ID_A, UINT64_MAX / 2));

	write_file("cloche/.templates/" ID_B ".mem", "");
	write_file("cloche/.templates/." ID_B ".partial", "");
	write_file("cloche/.templates/lock", "");
	write_file("cloche/.templates/" ID_B ".lock", "");
	held = open(lock, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(held, LOCK_EX), 0);
	residents_prune(&residents, &folder);
	assert_true(exists("cloche/.templates/" ID_A ".mem"));
	assert_false(exists("cloche/.templates/" ID_B ".mem"));
	assert_false(exists("cloche/.templates/." ID_B ".partial"));
	assert_true(exists("cloche/.templates/lock"));
	/* A builder is at work on it. */
	assert_true(exists("cloche/.templates/" ID_B ".lock"));
	close_fd(&held);
	residents_prune(&residents, &folder);
	assert_false(exists("cloche/.templates/" ID_B ".lock"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_files),   TEST(test_long_file), TEST(test_host),
		TEST(test_json),    TEST(test_shape),     TEST(test_complete),
		TEST(test_compare), TEST(test_residents), TEST(test_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
