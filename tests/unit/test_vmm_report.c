/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_report.c - what is written when a guest has ended, and how it is written.
 *
 * The machine is the test's own: a console that says what the test wants, and reasons by number.
 */
#include "tests/unit/unit.h"

#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/report.h"

static const char *console_text;
static unsigned pauses;

void vm_pause(struct vm *vm)
{
	(void)vm;
	pauses++;
}

const char *vm_reason_name(enum vm_reason reason)
{
	return reason == VM_PANIC ? "panic" : reason == VM_REBOOT ? "reboot" : "other";
}

int vm_reason_status(enum vm_reason reason)
{
	return reason == VM_PANIC ? 3 : 0;
}

void serial_tail(struct serial *serial, unsigned lines, char *out, size_t size)
{
	(void)serial;
	assert_true(pauses == 1 && lines > 0);
	snprintf(out, size, "%s", console_text);
}

struct bed {
	char folder[32], path[64], other[64];
	struct vm_config config;
	struct vm vm;
};

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	if (!bed)
		return -1;
	strcpy(bed->folder, "/tmp/unit.XXXXXX");
	if (!mkdtemp(bed->folder))
		return -1;
	snprintf(bed->path, sizeof(bed->path), "%s/report.json", bed->folder);
	snprintf(bed->other, sizeof(bed->other), "%s/other", bed->folder);
	bed->config = (struct vm_config){ .name = "demo", .report = bed->path };
	bed->vm.config = &bed->config;
	bed->vm.ending.vcpu = -1;
	console_text = "";
	pauses = 0;
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;
	char temporary[80];

	snprintf(temporary, sizeof(temporary), "%s.tmp", bed->path);
	unlink(temporary);
	unlink(bed->path);
	unlink(bed->other);
	int ret = rmdir(bed->folder);
	free(bed);
	return ret;
}

static void end(struct bed *bed, enum vm_reason reason, const char *detail)
{
	bed->vm.ending.reason = reason;
	snprintf(bed->vm.ending.detail, sizeof(bed->vm.ending.detail), "%s", detail);
}

static json_t *written(const struct bed *bed)
{
	json_t *report = json_load_file(bed->path, 0, NULL);

	assert_non_null(report);
	return report;
}

static const char *text_of(const json_t *report, const char *key)
{
	return json_string_value(json_object_get(report, key));
}

static void test_file(void **state)
{
	struct bed *bed = *state;
	struct stat st;

	console_text = "one\ntwo\n";
	end(bed, VM_REBOOT, "it asked for a reset");
	bed->vm.ending.pc = 0xffffffff81000000;
	bed->vm.ending.vcpu = 2;
	atomic_store(&bed->vm.stages[STAGE_STARTED], 5);
	assert_int_equal(report_ending(&bed->vm), 0);
	json_t *report = written(bed);
	assert_string_equal(text_of(report, "name"), "demo");
	assert_string_equal(text_of(report, "reason"), "reboot");
	assert_string_equal(text_of(report, "detail"), "it asked for a reset");
	assert_string_equal(text_of(report, "rip"), "0xffffffff81000000");
	assert_int_equal(json_integer_value(json_object_get(report, "vcpu")), 2);
	assert_int_equal(json_integer_value(json_object_get(report, "started_ns")), 5);
	const json_t *lines = json_object_get(report, "console");
	assert_int_equal(json_array_size(lines), 2);
	assert_string_equal(json_string_value(json_array_get(lines, 1)), "two");
	json_decref(report);
	assert_int_equal(stat(bed->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_no_vcpu_no_rip(void **state)
{
	struct bed *bed = *state;

	end(bed, VM_QUIT, "asked to");
	assert_int_equal(report_ending(&bed->vm), 0);
	json_t *report = written(bed);
	assert_null(json_object_get(report, "rip"));
	assert_null(json_object_get(report, "vcpu"));
	json_decref(report);
}

static void test_panic_by_its_words(void **state)
{
	static const struct {
		const char *name, *console;
		enum vm_reason reason;
		const char *detail, *named;
	} rows[] = {
		{ "a reset that was a panic", "x\n[1] Kernel panic - not syncing: no init\nmore\n",
		  VM_REBOOT, "Kernel panic - not syncing: no init", "panic" },
		{ "a panic", "Kernel panic - not syncing: Fatal", VM_PANIC,
		  "Kernel panic - not syncing: Fatal", "panic" },
		{ "a panic without words", "nothing\n", VM_PANIC, "as it was", "panic" },
		{ "a reset", "reboot: Restarting\n", VM_REBOOT, "as it was", "reboot" },
		{ "others are what they are", "Kernel panic - not syncing: x\n", VM_QUIT,
		  "as it was", "other" },
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		console_text = rows[i].console;
		pauses = 0;
		end(bed, rows[i].reason, "as it was");
		int status = report_ending(&bed->vm);
		json_t *report = written(bed);

		assert_row(rows[i].name, strcmp(text_of(report, "detail"), rows[i].detail) == 0);
		assert_row(rows[i].name, strcmp(text_of(report, "reason"), rows[i].named) == 0);
		assert_row(rows[i].name, (status == 3) == (strcmp(rows[i].named, "panic") == 0));
		json_decref(report);
	}
}

/* The guest's console may hold anything; what is no text must not cost the report. */
static void test_console_of_garbage(void **state)
{
	struct bed *bed = *state;

	console_text = "good\n\xff\xfe\x80\nlast\n";
	end(bed, VM_QUIT, "asked to");
	assert_int_equal(report_ending(&bed->vm), 0);
	json_t *report = written(bed);
	const json_t *lines = json_object_get(report, "console");
	assert_string_equal(json_string_value(json_array_get(lines, 0)), "good");
	json_decref(report);
}

static void test_cannot_be_written(void **state)
{
	struct bed *bed = *state;
	char long_path[5000], temporary[80];

	end(bed, VM_PANIC, "it did");
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	bed->config.report = long_path;
	assert_int_equal(report_ending(&bed->vm), 3);
	pauses = 0;
	bed->config.report = "/nowhere/there/is/report.json";
	assert_int_equal(report_ending(&bed->vm), 3);
	pauses = 0;
	bed->config.report = NULL;
	assert_int_equal(report_ending(&bed->vm), 3);
	/* A link in the temporary file's place isn't followed. */
	pauses = 0;
	bed->config.report = bed->path;
	snprintf(temporary, sizeof(temporary), "%s.tmp", bed->path);
	assert_int_equal(symlink(bed->other, temporary), 0);
	assert_int_equal(report_ending(&bed->vm), 3);
	assert_int_not_equal(access(bed->other, F_OK), 0);
	assert_int_not_equal(access(bed->path, F_OK), 0);
}

int main(void)
{
#define REPORT_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		REPORT_TEST(test_file),
		REPORT_TEST(test_no_vcpu_no_rip),
		REPORT_TEST(test_panic_by_its_words),
		REPORT_TEST(test_console_of_garbage),
		REPORT_TEST(test_cannot_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
