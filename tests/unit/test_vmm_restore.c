/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_restore.c - the three ways bring the same RAM, and the right one is chosen.
 *
 * Wraps what vmm_pager_bed.h does.
 */
#include "tests/unit/vmm_pager_bed.h"

#include <sys/mman.h>

#include "vmm/snapshot/restore.h"
#include "vmm/untouched.h"

#define LETTERS "szdzzdzs"
#define SIZE (8 * BLOCK + 2 * CHUNK + 2 * PAGE)

static char folder[PATH_MAX + 16];

static int setup(void **state)
{
	int ret = paged_setup(state);

	snprintf(folder, sizeof(folder), "%s", bed_path("templates"));
	return ret ? ret : mkdir(folder, 0700);
}

static int teardown(void **state)
{
	DIR *entries = opendir(folder);
	const struct dirent *entry;

	assert_non_null(entries);
	while ((entry = readdir(entries)))
		unlinkat(dirfd(entries), entry->d_name, 0);
	closedir(entries);
	return paged_teardown(state);
}

static int restore(const struct restore_config *config, enum restore_mode *out_mode)
{
	paged.err = (struct error){ 0 };
	paged.fds = count_fds();
	return restore_memory(&paged.memory, paged.file, config, HOLE_START, HOLE_END, out_mode,
	                      &paged.pager, &paged.err);
}

/* Brings RAM, sees that all of it is right, and that it is the guest's own; in which mode. */
static enum restore_mode bring(const struct restore_config *config)
{
	enum restore_mode mode = RESTORE_AUTO;

	if (restore(config, &mode))
		fail_msg("%s", paged.err.msg);
	assert_int_equal(paged.pager != NULL, mode == RESTORE_LAZY);
	assert_int_equal(paged.memory.count, 2);
	assert_int_equal(paged.memory.regions[0].size, HOLE_START.value);
	assert_int_equal(paged.memory.regions[1].base.value, HOLE_END.value);
	assert_int_equal(paged.memory.regions[1].size, SIZE - HOLE_START.value);
	assert_int_equal((uintptr_t)paged.memory.ram % BLOCK, 0);
	if (paged.pager) {
		atomic_store(&paged.finished, 0);
		if (paged_start())
			fail_msg("%s", paged.err.msg);
		assert_same_ram(&paged.memory);
		paged_end_whole();
	}
	assert_int_equal(count_fds(), paged.fds);
	assert_same_ram(&paged.memory);
	for (uint64_t at = 0; at < SIZE; at += PAGE)
		paged.memory.ram[at + 5] ^= 0xff;
	guest_memory_finish(&paged.memory);
	return mode;
}

static bool is_untouched(uint64_t offset, uint64_t size)
{
	struct untouched *untouched;

	assert_int_equal(untouched_scan(&paged.memory, &untouched, &paged.err), 0);
	bool answer = untouched_is(untouched, offset, size);
	untouched_destroy(untouched);
	return answer;
}

/* --- as asked for ---------------------------------------------------------------------------- */

static void test_eager(void **state)
{
	const struct restore_config config = { .mode = RESTORE_EAGER };
	enum restore_mode mode;

	(void)state;
	paged_open(LETTERS);
	assert_int_equal(bring(&config), RESTORE_EAGER);
	/* Zeros take no memory. */
	assert_int_equal(restore(&config, &mode), 0);
	assert_true(is_untouched(BLOCK, BLOCK));
	assert_true(is_untouched(3 * BLOCK, 2 * BLOCK));
	assert_false(is_untouched(2 * BLOCK, BLOCK));
	/* Not even beside something, where there are no huge pages. */
	assert_true(is_untouched(6 * CHUNK, BLOCK - 6 * CHUNK));
	assert_false(guest_memory_has_file(&paged.memory, 0, SIZE));
}

static void test_template(void **state)
{
	const struct restore_config config = { .mode = RESTORE_TEMPLATE, .templates = folder };
	enum restore_mode mode;

	(void)state;
	paged_open(LETTERS);
	/* The first makes it, the second finds it, unchanged by what the first has written. */
	assert_int_equal(bring(&config), RESTORE_TEMPLATE);
	unsigned reads = atomic_load(&host.reads);
	assert_int_equal(bring(&config), RESTORE_TEMPLATE);
	/* Its trailer at most, and nothing of the snapshot. */
	assert_true(atomic_load(&host.reads) - reads <= 1);

	assert_int_equal(restore(&config, &mode), 0);
	assert_true(is_untouched(BLOCK, BLOCK));
	assert_true(guest_memory_has_file(&paged.memory, 2 * BLOCK, 1));
	assert_false(guest_memory_has_file(&paged.memory, BLOCK, BLOCK));
}

static void test_lazy(void **state)
{
	const struct restore_config config = { .mode = RESTORE_LAZY, .record = bed_path("order") };
	const struct restore_config again = { .mode = RESTORE_LAZY, .touch = bed_path("order") };

	need_userfault(state);
	paged_open(LETTERS);
	assert_int_equal(bring(&config), RESTORE_LAZY);
	assert_int_equal(access(bed_path("order"), F_OK), 0);
	assert_int_equal(bring(&again), RESTORE_LAZY);
}

/* --- as it comes ----------------------------------------------------------------------------- */

static void test_auto(void **state)
{
	const struct restore_config without = { .mode = RESTORE_AUTO };
	const struct restore_config with = { .mode = RESTORE_AUTO, .templates = folder };
	const struct restore_config build = { .mode = RESTORE_TEMPLATE, .templates = folder };

	need_userfault(state);
	paged_open(LETTERS);
	assert_int_equal(bring(&without), RESTORE_LAZY);
	/* None is there, and none is made. */
	assert_int_equal(bring(&with), RESTORE_LAZY);
	assert_int_equal(bring(&with), RESTORE_LAZY);
	assert_int_equal(bring(&build), RESTORE_TEMPLATE);
	assert_int_equal(bring(&with), RESTORE_TEMPLATE);
	assert_int_equal(bring(&without), RESTORE_LAZY);

	host.no_userfault = EPERM;
	host.no_device = true;
	assert_int_equal(bring(&without), RESTORE_EAGER);
	assert_int_equal(bring(&with), RESTORE_TEMPLATE);
}

static void test_auto_with_a_bad_template(void **state)
{
	const struct restore_config with = { .mode = RESTORE_AUTO, .templates = folder };
	const struct restore_config build = { .mode = RESTORE_TEMPLATE, .templates = folder };
	char hex[SNAPSHOT_ID_HEX_SIZE], path[PATH_MAX + 80];

	(void)state;
	paged_open(LETTERS);
	host.no_userfault = EPERM;
	host.no_device = true;
	snapshot_id_to_hex(snapshot_file_id(paged.file), hex);
	snprintf(path, sizeof(path), "%s/%s.mem", folder, hex);
	write_whole(path, (const uint8_t *)"garbage", 7);
	assert_int_equal(bring(&with), RESTORE_EAGER);
	assert_int_equal(bring(&build), RESTORE_TEMPLATE);
	assert_int_equal(bring(&with), RESTORE_TEMPLATE);
	/* A folder that others may write to is as good as none. */
	assert_int_equal(chmod(folder, 0777), 0);
	assert_int_equal(bring(&with), RESTORE_EAGER);
	assert_int_equal(chmod(folder, 0700), 0);
}

/* --- failures -------------------------------------------------------------------------------- */

static void assert_refused(const struct restore_config *config, int code, const char *says)
{
	enum restore_mode mode = RESTORE_AUTO;

	assert_int_equal(restore(config, &mode), code);
	assert_clear(&paged.err, code, says);
	assert_null(paged.memory.ram);
	assert_null(paged.pager);
	assert_int_equal(mode, RESTORE_AUTO);
	assert_int_equal(count_fds(), paged.fds);
}

static void test_spoilt(void **state)
{
	static const enum restore_mode modes[] = { RESTORE_EAGER, RESTORE_TEMPLATE };
	struct restore_config config = { .templates = folder };

	(void)state;
	paged_open(LETTERS);
	bed_spoil_first_chunk("snapshot");
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		config.mode = modes[i];
		assert_refused(&config, -EBADMSG, bed_path("snapshot"));
	}
	host.no_userfault = EPERM;
	host.no_device = true;
	config.mode = RESTORE_AUTO;
	assert_refused(&config, -EBADMSG, bed_path("snapshot"));
}

static void test_refused(void **state)
{
	const struct restore_config template = { .mode = RESTORE_TEMPLATE };
	const struct restore_config nowhere = { .mode = RESTORE_TEMPLATE,
		                                .templates = bed_path("nowhere") };
	const struct restore_config lazy = { .mode = RESTORE_LAZY };
	const struct restore_config automatic = { .mode = RESTORE_AUTO };

	(void)state;
	paged_open(LETTERS);
	assert_refused(&template, -EINVAL, "--templates");
	assert_refused(&nowhere, -ENOENT, bed_path("nowhere"));
	/* Who asks for lazy gets it or nothing. */
	host.no_userfault = EPERM;
	host.no_device = true;
	assert_refused(&lazy, -ENOTSUP, "userfaultfd");
	/* That there are no files to be had is no reason to take another way. */
	host.no_userfault = EMFILE;
	assert_refused(&automatic, -EMFILE, "userfaultfd");
}

static void test_too_little_ram(void **state)
{
	const struct restore_config config = { .mode = RESTORE_EAGER };

	(void)state;
	bed_fill("ab", CHUNK);
	paged.file = bed_snapshot("snapshot");
	assert_refused(&config, -EINVAL, bed_path("snapshot"));
}

static void test_names(void **state)
{
	enum restore_mode mode = RESTORE_AUTO;

	(void)state;
	for (enum restore_mode is = RESTORE_TEMPLATE; is <= RESTORE_EAGER; is++) {
		assert_int_equal(restore_mode_parse(restore_mode_name(is), &mode), 0);
		assert_int_equal(mode, is);
	}
	assert_string_equal(restore_mode_name(RESTORE_LAZY), "lazy");
	assert_int_equal(restore_mode_parse("auto", &mode), -EINVAL);
	assert_int_equal(restore_mode_parse("", &mode), -EINVAL);
	assert_int_equal(mode, RESTORE_EAGER);
}

#define restore_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		restore_test(test_eager),
		restore_test(test_template),
		restore_test(test_lazy),
		restore_test(test_auto),
		restore_test(test_auto_with_a_bad_template),
		restore_test(test_spoilt),
		restore_test(test_refused),
		restore_test(test_too_little_ram),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
