/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_fdt.c - the device tree, decompiled by dtc and compared with what it shall say.
 *
 * Run from the top of the tree. The golden files are read by people: a change of the machine shows
 * in their diff.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <libfdt.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "vmm/arch/arch.h"

#define TREE_MAX 65536

/* The devices of a guest with a root image, as vmm/devices.c lists them. */
static const struct arch_fdt_device devices[] = {
	{ "serial", "ns16550a", GPA(LAYOUT_SERIAL), 8, LAYOUT_PIN_SERIAL },
	{ "vmgenid", "microsoft,vmgenid", GPA(LAYOUT_VMGENID), 16, LAYOUT_PIN_VMGENID },
	{ "pvpanic", "qemu,pvpanic-mmio", GPA(LAYOUT_PVPANIC), 2, -1 },
	{ "power", "syscon", GPA(LAYOUT_POWER), 4, -1 },
	{ "virtio", "virtio,mmio", GPA(LAYOUT_VIRTIO), 0x1000, LAYOUT_PIN_VIRTIO },
	{ "virtio", "virtio,mmio", GPA(LAYOUT_VIRTIO + 0x1000), 0x1000, LAYOUT_PIN_VIRTIO + 1 },
	{ "virtio", "virtio,mmio", GPA(LAYOUT_VIRTIO + 0x2000), 0x1000, LAYOUT_PIN_VIRTIO + 2 },
};

static struct arch_fdt_machine machine_of(unsigned cpus)
{
	return (struct arch_fdt_machine){ .cpus = cpus,
		                          .devices = devices,
		                          .device_count = ARRAY_SIZE(devices) };
}

static char *read_all(FILE *from)
{
	char *text = calloc(1, TREE_MAX);

	assert_non_null(text);
	assert_true(fread(text, 1, TREE_MAX - 1, from) < TREE_MAX - 1);
	return text;
}

/* NULL when there is no dtc. */
static char *decompile(const void *blob)
{
	char path[] = "/tmp/cloche-unit-fdt-XXXXXX", command[64];
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, blob, fdt_totalsize(blob)), fdt_totalsize(blob));
	close(fd);
	/* -q twice: warnings too are none of this test's business. */
	snprintf(command, sizeof(command), "dtc -qq -I dtb -O dts %s", path);
	FILE *dtc = popen(command, "re");
	assert_non_null(dtc);
	char *text = read_all(dtc);
	int status = pclose(dtc);
	unlink(path);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
		free(text);
		return NULL;
	}
	assert_int_equal(status, 0);
	return text;
}

static void compare(unsigned cpus, const char *golden_path)
{
	static uint8_t blob[TREE_MAX];
	const struct arch_fdt_machine machine = machine_of(cpus);
	struct error err = { 0 };

	assert_int_equal(arch_fdt_build(&machine, blob, sizeof(blob), &err), 0);
	cleanup_free char *text = decompile(blob);
	if (!text) {
		print_message("skip: dtc is missing: install device-tree-compiler\n");
		skip();
	}
	cleanup_file FILE *golden = fopen(golden_path, "re");
	if (!golden)
		fail_msg("cannot open %s: run from the top of the tree", golden_path);
	cleanup_free char *expected = read_all(golden);
	/* Its first line is the licence's; dtc prints none. */
	char *tree = strchr(expected, '\n');
	if (!tree || strcmp(text, tree + 1) != 0) {
		/* Not through cmocka, which would cut it. */
		fprintf(stderr, "the tree is now:\n%s", text);
		fail_msg("the tree differs from %s", golden_path);
	}
}

static void test_one_cpu(void **state)
{
	(void)state;
	compare(1, "tests/unit/golden/machine-1cpu.dts");
}

static void test_two_cpus(void **state)
{
	(void)state;
	compare(2, "tests/unit/golden/machine-2cpu.dts");
}

/* However small the buffer, nothing is written behind it and the error says so. */
static void test_too_small(void **state)
{
	static uint8_t blob[TREE_MAX];
	const struct arch_fdt_machine machine = machine_of(ARCH_CPUS_MAX);
	struct error err = { 0 };

	(void)state;
	assert_int_equal(arch_fdt_build(&machine, blob, sizeof(blob), &err), 0);
	size_t needed = fdt_totalsize(blob);
	assert_true(needed < LAYOUT_FDT_MAX - 16);
	for (size_t size = 0; size < needed; size += 13) {
		memset(blob, 0xa5, sizeof(blob));
		err = (struct error){ 0 };
		assert_int_equal(arch_fdt_build(&machine, blob, size, &err), -ENOSPC);
		assert_non_null(strstr(err.msg, "the device tree doesn't fit"));
		for (size_t i = size; i < size + 64; i++)
			assert_int_equal(blob[i], 0xa5);
	}
}

/* The largest machine there can be still fits where boot_params.c puts it. */
static void test_largest_machine(void **state)
{
	static uint8_t blob[LAYOUT_FDT_MAX];
	struct arch_fdt_device many[32];
	const struct arch_fdt_machine machine = { ARCH_CPUS_MAX, many, ARRAY_SIZE(many) };
	struct error err = { 0 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct arch_fdt_device){ "virtio", "virtio,mmio",
			                            GPA(LAYOUT_VIRTIO + i * 0x1000), 0x1000,
			                            (int)i % 24 };
	assert_int_equal(arch_fdt_build(&machine, blob, sizeof(blob) - 16, &err), 0);
	assert_int_equal(fdt_check_full(blob, fdt_totalsize(blob)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_cpu),
		cmocka_unit_test(test_two_cpus),
		cmocka_unit_test(test_too_small),
		cmocka_unit_test(test_largest_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
