/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot_params.c - the "zero page" of the Linux x86 boot protocol (boot.rst, zero-page.rst).
 *
 * Of a bzImage's own setup header only init_size is handed on: its entry moves itself by that
 * before it unpacks. The other fields that are read are the same for both kinds of kernel.
 */
#include <asm/bootparam.h>
#include <asm/e820.h>
#include <errno.h>
#include <libfdt.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/log.h"
#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/boot.h"

#define BOOT_FLAG 0xaa55
#define BOOT_MAGIC 0x53726448u
#define BOOT_PROTOCOL 0x020f
#define LOADER_UNDEFINED 0xff

static void add_e820(struct boot_params *bp, uint64_t start, uint64_t end)
{
	if (end <= start)
		return;
	ASSERT(bp->e820_entries < E820_MAX_ENTRIES_ZEROPAGE);
	bp->e820_table[bp->e820_entries++] =
		(struct boot_e820_entry){ .addr = start, .size = end - start, .type = E820_RAM };
}

/* Writable regions are RAM; the root image is a device's business and stays out of the map. */
static void write_memory_map(struct boot_params *bp, const struct guest_memory *memory)
{
	add_e820(bp, 0, LAYOUT_LOW_END);
	for (unsigned i = 0; i < memory->count; i++) {
		const struct guest_region *r = &memory->regions[i];

		if (!r->writable)
			continue;
		uint64_t start = r->base.value ? r->base.value : LAYOUT_HIGH_START;
		add_e820(bp, start, r->base.value + r->size);
	}
}

static int write_cmdline(const struct guest_memory *memory, const char *cmdline,
                         struct boot_params *bp, struct error *err)
{
	size_t size = strlen(cmdline) + 1;

	if (size > LAYOUT_CMDLINE_MAX)
		return error_set(err, -E2BIG,
		                 "the kernel command line has %zu characters, at most %u fit: "
		                 "shorten --append or --page",
		                 size - 1, LAYOUT_CMDLINE_MAX - 1);
	void *at = guest_memory_at(memory, GPA(LAYOUT_CMDLINE), size, GUEST_WRITE);
	ASSERT(at);
	memcpy(at, cmdline, size);
	bp->hdr.cmd_line_ptr = LAYOUT_CMDLINE;
	bp->hdr.cmdline_size = LAYOUT_CMDLINE_MAX - 1;
	return 0;
}

static int write_initramfs(const struct guest_memory *memory, int fd, const char *path,
                           struct gpa kernel_end, struct boot_params *bp, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return error_set(err, -errno, "cannot examine %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return error_set(err, -EINVAL,
		                 "%s is no initramfs: it must be a file with something in it",
		                 path);

	uint64_t size = (uint64_t)st.st_size;
	uint64_t low_end = memory->regions[0].size;
	uint64_t start = size < low_end ? (low_end - size) & ~(uint64_t)(GUEST_PAGE_SIZE - 1) : 0;
	if (start < kernel_end.value)
		return error_set(err, -ENOMEM,
		                 "%s (%llu MiB) doesn't fit beside the kernel in %llu MiB: give "
		                 "the guest more (--mem)",
		                 path, (unsigned long long)(size >> 20),
		                 (unsigned long long)(memory->ram_size >> 20));
	void *at = guest_memory_at(memory, GPA(start), size, GUEST_WRITE);
	ASSERT(at);
	int ret = boot_read_at(fd, path, at, size, 0, err);
	if (ret)
		return ret;
	bp->hdr.ramdisk_image = (uint32_t)start;
	bp->hdr.ramdisk_size = (uint32_t)size;
	return 0;
}

/* The device tree travels as setup_data (boot.rst, "setup_data", type SETUP_DTB). */
static int write_device_tree(const struct guest_memory *memory,
                             const struct arch_fdt_machine *machine, struct boot_params *bp,
                             struct error *err)
{
	struct setup_data *data =
		guest_memory_at(memory, GPA(LAYOUT_FDT), LAYOUT_FDT_MAX, GUEST_WRITE);

	ASSERT(data);
	int ret = arch_fdt_build(machine, data->data, LAYOUT_FDT_MAX - sizeof(*data), err);
	if (ret)
		return ret;
	data->next = 0;
	data->type = SETUP_DTB;
	data->len = fdt_totalsize(data->data);
	bp->hdr.setup_data = LAYOUT_FDT;
	return 0;
}

int arch_write_boot_params(const struct guest_memory *memory, const char *cmdline,
                           const struct arch_fdt_machine *machine, int initramfs_fd,
                           const char *initramfs_path, struct gpa kernel_end,
                           struct arch_entry *entry, struct error *err)
{
	struct boot_params *bp =
		guest_memory_at(memory, GPA(LAYOUT_BOOT_PARAMS), sizeof(*bp), GUEST_WRITE);

	ASSERT(bp);
	memset(bp, 0, sizeof(*bp));
	bp->hdr.boot_flag = BOOT_FLAG;
	bp->hdr.header = BOOT_MAGIC;
	bp->hdr.version = BOOT_PROTOCOL;
	bp->hdr.type_of_loader = LOADER_UNDEFINED;
	bp->hdr.loadflags = LOADED_HIGH;
	bp->hdr.kernel_alignment = 0x200000;
	bp->hdr.init_size = entry->init_size;
	write_memory_map(bp, memory);

	int ret = write_cmdline(memory, cmdline, bp, err);
	if (ret == 0)
		ret = write_device_tree(memory, machine, bp, err);
	if (ret == 0 && initramfs_fd >= 0)
		ret = write_initramfs(memory, initramfs_fd, initramfs_path, kernel_end, bp, err);
	if (ret)
		return ret;
	entry->boot_params = GPA(LAYOUT_BOOT_PARAMS);
	return 0;
}
