/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_boot_params.c - what a Linux kernel reads at its entry.
 */
#include "tests/unit/unit.h"

#include <asm/bootparam.h>
#include <asm/e820.h>
#include <fcntl.h>
#include <libfdt.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "vmm/arch/arch.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define KERNEL_END (32 * MIB)
#define NAME "initramfs.img"

struct machine {
	struct guest_memory memory;
	struct arch_entry entry;
	struct error err;
};

static void start(struct machine *m, uint64_t ram)
{
	*m = (struct machine){ 0 };
	assert_int_equal(guest_memory_init(&m->memory, ram, GPA(LAYOUT_HOLE_START),
	                                   GPA(LAYOUT_HOLE_END), &m->err),
	                 0);
}

static int write_params(struct machine *m, const char *cmdline, int initramfs)
{
	const struct arch_fdt_machine tree = { .cpus = 1 };

	return arch_write_boot_params(&m->memory, cmdline, &tree, initramfs, NAME, GPA(KERNEL_END),
	                              &m->entry, &m->err);
}

static const struct boot_params *params_of(const struct machine *m)
{
	assert_int_equal(m->entry.boot_params.value, LAYOUT_BOOT_PARAMS);
	return (const void *)(m->memory.ram + LAYOUT_BOOT_PARAMS);
}

static void test_header(void **state)
{
	struct machine m;

	(void)state;
	start(&m, 512 * MIB);
	/* What was there before doesn't shine through. */
	memset(m.memory.ram + LAYOUT_BOOT_PARAMS, 0xee, sizeof(struct boot_params));
	assert_int_equal(write_params(&m, "quiet", -1), 0);
	const struct boot_params *bp = params_of(&m);
	assert_int_equal(bp->hdr.header, 0x53726448);
	assert_int_equal(bp->hdr.boot_flag, 0xaa55);
	assert_true(bp->hdr.version >= 0x0209);
	assert_int_equal(bp->hdr.type_of_loader, 0xff);
	assert_true(bp->hdr.loadflags & LOADED_HIGH);
	assert_int_equal(bp->hdr.ramdisk_image, 0);
	assert_int_equal(bp->hdr.ramdisk_size, 0);
	assert_int_equal(bp->ext_ramdisk_image, 0);
	assert_int_equal(bp->acpi_rsdp_addr, 0);
	guest_memory_finish(&m.memory);
}

static void test_memory_map(void **state)
{
	static const struct {
		const char *name;
		uint64_t ram;
		unsigned count;
		struct {
			uint64_t start, end;
		} entries[3];
	} rows[] = {
		{ "512 MiB", 512 * MIB, 2, { { 0, LAYOUT_LOW_END }, { MIB, 512 * MIB } } },
		{ "3 GiB", 3 * GIB, 2, { { 0, LAYOUT_LOW_END }, { MIB, 3 * GIB } } },
		{ "5 GiB",
		  5 * GIB,
		  3,
		  { { 0, LAYOUT_LOW_END }, { MIB, 3 * GIB }, { 4 * GIB, 6 * GIB } } },
		{ "64 GiB",
		  64 * GIB,
		  3,
		  { { 0, LAYOUT_LOW_END }, { MIB, 3 * GIB }, { 4 * GIB, 65 * GIB } } },
		{ "1 MiB", MIB, 1, { { 0, LAYOUT_LOW_END } } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct machine m;
		uint8_t image;

		start(&m, rows[i].ram);
		/* The root image is a device's: it must not show as RAM. */
		assert_int_equal(
			guest_memory_add(&m.memory, GPA(100 * GIB), 2 * MIB, &image, false), 0);
		assert_row(rows[i].name, write_params(&m, "", -1) == 0);
		const struct boot_params *bp = params_of(&m);
		assert_row(rows[i].name, bp->e820_entries == rows[i].count);
		for (unsigned n = 0; n < rows[i].count; n++) {
			const struct boot_e820_entry *e = &bp->e820_table[n];

			assert_row(rows[i].name, e->type == E820_RAM);
			assert_row(rows[i].name, e->addr == rows[i].entries[n].start);
			assert_row(rows[i].name, e->addr + e->size == rows[i].entries[n].end);
		}
		guest_memory_finish(&m.memory);
	}
}

static void test_command_line(void **state)
{
	static const struct {
		const char *name;
		size_t length;
		int code;
	} rows[] = { { "none", 0, 0 },
		     { "short", 5, 0 },
		     { "2047", 2047, 0 },
		     { "2048", 2048, -E2BIG },
		     { "a lot", 100000, -E2BIG } };
	static char text[100001];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct machine m;

		memset(text, 'a', rows[i].length);
		text[rows[i].length] = '\0';
		start(&m, 64 * MIB);
		assert_row(rows[i].name, write_params(&m, text, -1) == rows[i].code);
		if (rows[i].code == 0) {
			const struct boot_params *bp = params_of(&m);

			assert_string_equal((char *)m.memory.ram + bp->hdr.cmd_line_ptr, text);
			assert_row(rows[i].name, bp->hdr.cmdline_size == 2047);
		} else {
			assert_row(rows[i].name, strstr(m.err.msg, "at most 2047 fit"));
			assert_row(rows[i].name, m.entry.boot_params.value == 0);
		}
		guest_memory_finish(&m.memory);
	}
}

/* The kernel takes the tree through a chain of one setup_data. */
static void test_device_tree(void **state)
{
	struct machine m;

	(void)state;
	start(&m, 64 * MIB);
	assert_int_equal(write_params(&m, "", -1), 0);
	const struct boot_params *bp = params_of(&m);
	const struct setup_data *data = (const void *)(m.memory.ram + bp->hdr.setup_data);
	assert_int_equal(data->type, SETUP_DTB);
	assert_int_equal(data->next, 0);
	assert_int_equal(fdt_check_header(data->data), 0);
	assert_int_equal(data->len, fdt_totalsize(data->data));
	assert_true(bp->hdr.setup_data + sizeof(*data) + data->len <= LAYOUT_LOW_END);
	guest_memory_finish(&m.memory);
}

static int file_of_size(size_t size)
{
	int fd = memfd_create(NAME, MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	if (size) {
		assert_int_equal(pwrite(fd, "F", 1, 0), 1);
		assert_int_equal(pwrite(fd, "L", 1, (off_t)size - 1), 1);
	}
	return fd;
}

static void test_initramfs_placement(void **state)
{
	static const struct {
		const char *name;
		uint64_t ram, size, start; /* start 0: refused */
	} rows[] = {
		{ "a byte", 64 * MIB, 1, 64 * MIB - 4096 },
		{ "a page", 64 * MIB, 4096, 64 * MIB - 4096 },
		{ "a page and a byte", 64 * MIB, 4097, 64 * MIB - 8192 },
		{ "down to the kernel", 64 * MIB, 32 * MIB, KERNEL_END },
		{ "into the kernel", 64 * MIB, 32 * MIB + 1, 0 },
		{ "as large as RAM", 64 * MIB, 64 * MIB, 0 },
		{ "larger than RAM", 64 * MIB, 65 * MIB, 0 },
		{ "below the hole", 5 * GIB, 5 * MIB, 3 * GIB - 5 * MIB },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_fd int fd = file_of_size(rows[i].size);
		struct machine m;

		start(&m, rows[i].ram);
		int ret = write_params(&m, "", fd);
		assert_row(rows[i].name, ret == (rows[i].start ? 0 : -ENOMEM));
		if (ret == 0) {
			const struct boot_params *bp = params_of(&m);

			assert_row(rows[i].name, bp->hdr.ramdisk_image == rows[i].start);
			assert_row(rows[i].name, bp->hdr.ramdisk_size == rows[i].size);
			assert_row(rows[i].name,
			           m.memory.ram[rows[i].start] == (rows[i].size > 1 ? 'F' : 'L'));
			assert_row(rows[i].name,
			           m.memory.ram[rows[i].start + rows[i].size - 1] == 'L');
		} else {
			assert_row(rows[i].name, strstr(m.err.msg, "give the guest more (--mem)"));
			assert_row(rows[i].name, strstr(m.err.msg, NAME));
		}
		guest_memory_finish(&m.memory);
	}
}

static void test_no_initramfs(void **state)
{
	struct machine m;

	(void)state;
	cleanup_fd int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int empty = file_of_size(0);
	cleanup_fd int unreadable = open("/proc/self/mem", O_WRONLY | O_CLOEXEC);
	const int fds[] = { folder, empty, unreadable };
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		start(&m, 64 * MIB);
		assert_int_equal(write_params(&m, "", fds[i]), -EINVAL);
		assert_non_null(strstr(m.err.msg, NAME " is no initramfs"));
		guest_memory_finish(&m.memory);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_memory_map),
		cmocka_unit_test(test_command_line),
		cmocka_unit_test(test_device_tree),
		cmocka_unit_test(test_initramfs_placement),
		cmocka_unit_test(test_no_initramfs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
