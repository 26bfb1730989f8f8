/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_loader.c - kernels that are what they should be, and kernels that lie.
 *
 * Each row starts from a good file and spoils one thing. Files are memfds, which are regular files.
 */
#include "tests/unit/unit.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/boot.h"

#define MIB ((uint64_t)1 << 20)
#define RAM (16 * MIB)
#define TEXT_AT (2 * MIB)
#define DATA_AT (4 * MIB)
#define NAME "kernel.img"

struct elf {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[65];
	uint8_t text[4096];
	uint8_t data[512];
};

#define SETUP_SECTS 4
#define SETUP_BYTES ((SETUP_SECTS + 1) * 512)

struct bzimage {
	uint8_t setup[SETUP_BYTES];
	uint8_t body[8192];
};

union kernel {
	struct elf elf;
	struct bzimage bz;
};

static struct setup_header *header_of(union kernel *k)
{
	return (struct setup_header *)(void *)(k->bz.setup + BOOT_SETUP_HEADER_OFFSET);
}

static Elf64_Phdr load_at(uint64_t paddr, uint64_t offset, uint64_t filesz, uint64_t memsz)
{
	return (Elf64_Phdr){ .p_type = PT_LOAD,
		             .p_paddr = paddr,
		             .p_vaddr = 0xffffffff80000000ull,
		             .p_offset = offset,
		             .p_filesz = filesz,
		             .p_memsz = memsz };
}

static size_t make_elf(union kernel *k)
{
	struct elf *e = &k->elf;

	memset(e, 0, sizeof(*e));
	memcpy(e->eh.e_ident, ELFMAG, SELFMAG);
	e->eh.e_ident[EI_CLASS] = ELFCLASS64;
	e->eh.e_ident[EI_DATA] = ELFDATA2LSB;
	e->eh.e_type = ET_EXEC;
	e->eh.e_machine = EM_X86_64;
	e->eh.e_entry = TEXT_AT + 0x10;
	e->eh.e_phoff = offsetof(struct elf, ph);
	e->eh.e_phentsize = sizeof(Elf64_Phdr);
	e->eh.e_phnum = 3;
	e->ph[0] = load_at(TEXT_AT, offsetof(struct elf, text), sizeof(e->text), sizeof(e->text));
	e->ph[1] =
		(Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = UINT64_MAX, .p_filesz = UINT64_MAX };
	e->ph[2] = load_at(DATA_AT, offsetof(struct elf, data), sizeof(e->data), MIB);
	memset(e->text, 0xc3, sizeof(e->text));
	memset(e->data, 0xda, sizeof(e->data));
	return sizeof(*e);
}

static size_t make_bzimage(union kernel *k)
{
	memset(k, 0, sizeof(*k));
	*header_of(k) = (struct setup_header){
		.setup_sects = SETUP_SECTS,
		.boot_flag = 0xaa55,
		.header = 0x53726448,
		.version = 0x020f,
		.xloadflags = XLF_KERNEL_64,
		.pref_address = 2 * MIB,
		.init_size = 4 * MIB,
	};
	memset(k->bz.body, 0xb2, sizeof(k->bz.body));
	return sizeof(k->bz);
}

static int file_of(const void *data, size_t size)
{
	int fd = memfd_create(NAME, MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	return fd;
}

struct loaded {
	struct guest_memory memory;
	struct arch_entry entry;
	struct gpa end;
	struct error err;
};

static int load_fd(struct loaded *l, uint64_t ram, int fd)
{
	*l = (struct loaded){ .entry.pc = GPA(0xdead), .end = GPA(0xdead) };
	assert_int_equal(guest_memory_init(&l->memory, ram, GPA(LAYOUT_HOLE_START),
	                                   GPA(LAYOUT_HOLE_END), &l->err),
	                 0);
	return arch_load_kernel(&l->memory, fd, NAME, &l->entry, &l->end, &l->err);
}

/* Outputs stay untouched on failure, and the message names the file. */
static void assert_refused(const char *row, const struct loaded *l, int ret, int code,
                           const char *words)
{
	if (ret != code || l->err.code != code || !strstr(l->err.msg, words))
		fail_msg("row '%s': %d '%s', expected %d '%s'", row, ret, l->err.msg, code, words);
	assert_row(row, strstr(l->err.msg, NAME) == l->err.msg || strstr(l->err.msg, " " NAME));
	assert_row(row, !strchr(l->err.msg, '\n'));
	assert_row(row, l->entry.pc.value == 0xdead && l->end.value == 0xdead);
}

static void test_good_elf(void **state)
{
	static union kernel k;
	struct loaded l;
	cleanup_fd int fd = file_of(&k, make_elf(&k));

	(void)state;
	assert_int_equal(load_fd(&l, RAM, fd), 0);
	assert_int_equal(l.entry.pc.value, TEXT_AT + 0x10);
	assert_int_equal(l.end.value, DATA_AT + MIB);
	assert_memory_equal(l.memory.ram + TEXT_AT, k.elf.text, sizeof(k.elf.text));
	assert_memory_equal(l.memory.ram + DATA_AT, k.elf.data, sizeof(k.elf.data));
	assert_int_equal(l.memory.ram[DATA_AT + sizeof(k.elf.data)], 0);
	guest_memory_finish(&l.memory);
}

#define ELF_LIE(name_, statement)                                                                  \
	static void name_(struct elf *e)                                                           \
	{                                                                                          \
		statement;                                                                         \
	}
ELF_LIE(class_32, e->eh.e_ident[EI_CLASS] = ELFCLASS32)
ELF_LIE(big_endian, e->eh.e_ident[EI_DATA] = ELFDATA2MSB)
ELF_LIE(other_machine, e->eh.e_machine = EM_AARCH64)
ELF_LIE(relocatable, e->eh.e_type = ET_REL)
ELF_LIE(small_headers, e->eh.e_phentsize = 32)
ELF_LIE(no_headers, e->eh.e_phnum = 0)
ELF_LIE(many_headers, e->eh.e_phnum = 65)
ELF_LIE(all_headers, e->eh.e_phnum = 65535)
ELF_LIE(headers_behind, e->eh.e_phoff = sizeof(struct elf))
ELF_LIE(headers_far, e->eh.e_phoff = (uint64_t)INT64_MAX - 4096)
ELF_LIE(headers_nowhere, e->eh.e_phoff = UINT64_MAX)
ELF_LIE(segment_behind, e->ph[0].p_offset = sizeof(struct elf) + 1)
ELF_LIE(segment_long, e->ph[0].p_offset = sizeof(struct elf) - 4095)
ELF_LIE(segment_wraps_file, e->ph[0].p_offset = UINT64_MAX - 100)
ELF_LIE(file_over_memory, e->ph[0].p_memsz = 4095)
ELF_LIE(size_enormous, e->ph[0].p_filesz = e->ph[0].p_memsz = UINT64_MAX)
ELF_LIE(low_address, e->ph[0].p_paddr = MIB - 1)
ELF_LIE(null_address, e->ph[0].p_paddr = 0)
ELF_LIE(address_wraps, e->ph[2].p_paddr = UINT64_MAX - 4095)
ELF_LIE(address_wraps_to_zero, e->ph[2].p_paddr = UINT64_MAX - MIB + 1)
ELF_LIE(memory_enormous, e->ph[2].p_memsz = UINT64_MAX)
ELF_LIE(above_ram, e->ph[2].p_paddr = RAM)
ELF_LIE(out_of_ram, e->ph[2].p_paddr = RAM - MIB + 1)
ELF_LIE(in_the_hole, e->ph[2].p_paddr = LAYOUT_HOLE_START)
ELF_LIE(entry_before, e->eh.e_entry = TEXT_AT - 1)
ELF_LIE(entry_behind, e->eh.e_entry = TEXT_AT + sizeof(e->text))
ELF_LIE(entry_zero, e->eh.e_entry = 0)
ELF_LIE(nothing_to_load, e->ph[0].p_type = e->ph[2].p_type = PT_NULL)

static void test_elf_lies(void **state)
{
	static const struct {
		const char *name;
		void (*lie)(struct elf *e);
		int code;
		const char *words;
	} rows[] = {
		{ "32 bit", class_32, -ENOEXEC, "no x86-64 kernel" },
		{ "big endian", big_endian, -ENOEXEC, "no x86-64 kernel" },
		{ "other machine", other_machine, -ENOEXEC, "no x86-64 kernel" },
		{ "relocatable", relocatable, -ENOEXEC, "no x86-64 kernel" },
		{ "small headers", small_headers, -ENOEXEC, "no x86-64 kernel" },
		{ "no headers", no_headers, -ENOEXEC, "has 0 program headers" },
		{ "65 headers", many_headers, -ENOEXEC, "has 65 program headers; 1 to 64" },
		{ "65535 headers", all_headers, -ENOEXEC, "has 65535 program headers" },
		{ "headers at the end", headers_behind, -EINVAL, "is cut short" },
		{ "headers far away", headers_far, -EINVAL, "" },
		{ "headers at -1", headers_nowhere, -EINVAL, "" },
		{ "segment behind the file", segment_behind, -ENOEXEC, "outside the file" },
		{ "segment longer than the file", segment_long, -ENOEXEC, "outside the file" },
		{ "offset that wraps", segment_wraps_file, -ENOEXEC, "outside the file" },
		{ "more in the file than in memory", file_over_memory, -ENOEXEC,
		  "outside the file" },
		{ "enormous segment", size_enormous, -ENOEXEC, "outside the file" },
		{ "into the first MiB", low_address, -ENOEXEC, "the first MiB" },
		{ "address 0", null_address, -ENOEXEC, "the first MiB" },
		{ "address that wraps", address_wraps, -ENOEXEC, "wraps" },
		{ "address that wraps to 0", address_wraps_to_zero, -ENOEXEC, "wraps" },
		{ "enormous in memory", memory_enormous, -ENOEXEC, "wraps" },
		{ "above RAM", above_ram, -ENOMEM,
		  "needs memory up to 17 MiB, the guest has 16 MiB" },
		{ "out of RAM", out_of_ram, -ENOMEM, "give it more (--mem)" },
		{ "in the hole", in_the_hole, -ENOMEM, "give it more (--mem)" },
		{ "entry before", entry_before, -ENOEXEC, "entry point" },
		{ "entry behind", entry_behind, -ENOEXEC, "entry point" },
		{ "entry 0", entry_zero, -ENOEXEC, "entry point" },
		{ "nothing to load", nothing_to_load, -ENOEXEC, "entry point" },
	};
	static union kernel k;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t size = make_elf(&k);
		struct loaded l;

		rows[i].lie(&k.elf);
		cleanup_fd int fd = file_of(&k, size);
		int ret = load_fd(&l, RAM, fd);
		assert_refused(rows[i].name, &l, ret, rows[i].code, rows[i].words);
		guest_memory_finish(&l.memory);
	}
}

/* A file that ends anywhere is refused, never read past. */
static void test_elf_cut_anywhere(void **state)
{
	static union kernel k;
	size_t size = make_elf(&k);

	(void)state;
	for (size_t cut = 0; cut < size; cut += 97) {
		cleanup_fd int fd = file_of(&k, cut);
		struct loaded l;
		int ret = load_fd(&l, RAM, fd);

		assert_true(ret == -ENOEXEC || ret == -EINVAL);
		assert_int_equal(l.err.code, ret);
		assert_int_equal(l.entry.pc.value, 0xdead);
		guest_memory_finish(&l.memory);
	}
}

static void test_64_headers_are_taken(void **state)
{
	static union kernel k;
	size_t size = make_elf(&k);
	struct loaded l;

	(void)state;
	k.elf.eh.e_phnum = 64;
	k.elf.ph[63] = load_at(8 * MIB, 0, 0, 4096);
	cleanup_fd int fd = file_of(&k, size);
	assert_int_equal(load_fd(&l, RAM, fd), 0);
	assert_int_equal(l.end.value, 8 * MIB + 4096);
	guest_memory_finish(&l.memory);
}

static void test_good_bzimage(void **state)
{
	static const struct {
		const char *name;
		uint8_t setup_sects;
		uint32_t init_size;
		uint64_t end;
	} rows[] = {
		{ "as it says", SETUP_SECTS, 4 * MIB, 6 * MIB },
		{ "0 setup sectors mean 4", 0, 4 * MIB, 6 * MIB },
		{ "init_size below the body", SETUP_SECTS, 1,
		  2 * MIB + sizeof(((struct bzimage *)0)->body) },
		{ "just fits", SETUP_SECTS, (uint32_t)(RAM - 2 * MIB), RAM },
	};
	static union kernel k;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t size = make_bzimage(&k);
		struct loaded l;

		header_of(&k)->setup_sects = rows[i].setup_sects;
		header_of(&k)->init_size = rows[i].init_size;
		cleanup_fd int fd = file_of(&k, size);
		assert_row(rows[i].name, load_fd(&l, RAM, fd) == 0);
		assert_row(rows[i].name, l.entry.pc.value == 2 * MIB + 0x200);
		assert_row(rows[i].name, l.end.value == rows[i].end);
		assert_memory_equal(l.memory.ram + 2 * MIB, k.bz.body, sizeof(k.bz.body));
		guest_memory_finish(&l.memory);
	}
}

#define BZ_LIE(name_, statement)                                                                   \
	static void name_(struct setup_header *h)                                                  \
	{                                                                                          \
		statement;                                                                         \
	}
BZ_LIE(old_version, h->version = 0x020b)
BZ_LIE(no_64_bit, h->xloadflags = (uint16_t)~XLF_KERNEL_64)
BZ_LIE(all_setup, h->setup_sects = 255)
BZ_LIE(body_too_small, h->setup_sects = 19)
BZ_LIE(pref_low, h->pref_address = MIB - 1)
BZ_LIE(pref_null, h->pref_address = 0)
BZ_LIE(pref_wraps, h->pref_address = UINT64_MAX - 4096)
BZ_LIE(pref_above, h->pref_address = RAM)
BZ_LIE(pref_high, h->pref_address = 1ull << 40)
BZ_LIE(init_enormous, h->init_size = UINT32_MAX)
BZ_LIE(init_by_one, h->init_size = (uint32_t)(RAM - 2 * MIB + 1))
BZ_LIE(no_magic, h->header = 0x53726449)

static void test_bzimage_lies(void **state)
{
	static const struct {
		const char *name;
		void (*lie)(struct setup_header *h);
		int code;
		const char *words;
	} rows[] = {
		{ "old protocol", old_version, -ENOEXEC,
		  "no 64-bit entry point (boot protocol 2.11)" },
		{ "32-bit kernel", no_64_bit, -ENOEXEC, "no 64-bit entry point" },
		{ "setup beyond the file", all_setup, -ENOEXEC, "cut short" },
		{ "body without entry", body_too_small, -ENOEXEC, "cut short" },
		{ "into the first MiB", pref_low, -ENOEXEC, "impossible load address" },
		{ "address 0", pref_null, -ENOEXEC, "impossible load address" },
		{ "address that wraps", pref_wraps, -ENOEXEC, "impossible load address" },
		{ "above RAM", pref_above, -ENOMEM,
		  "needs memory up to 20 MiB, the guest has 16 MiB" },
		{ "far above RAM", pref_high, -ENOMEM, "give it more (--mem)" },
		{ "needs 4 GiB", init_enormous, -ENOMEM, "give it more (--mem)" },
		{ "needs a byte too much", init_by_one, -ENOMEM, "give it more (--mem)" },
		{ "no magic", no_magic, -ENOEXEC, "is no kernel" },
	};
	static union kernel k;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t size = make_bzimage(&k);
		struct loaded l;

		rows[i].lie(header_of(&k));
		cleanup_fd int fd = file_of(&k, size);
		int ret = load_fd(&l, RAM, fd);
		assert_refused(rows[i].name, &l, ret, rows[i].code, rows[i].words);
		guest_memory_finish(&l.memory);
	}
}

static void test_bzimage_cut_in_its_setup(void **state)
{
	static union kernel k;

	(void)state;
	make_bzimage(&k);
	for (size_t cut = 0x206; cut <= SETUP_BYTES + 0x200; cut += 61) {
		cleanup_fd int fd = file_of(&k, cut);
		struct loaded l;
		int ret = load_fd(&l, RAM, fd);

		assert_true(ret == -ENOEXEC || ret == -EINVAL);
		guest_memory_finish(&l.memory);
	}
}

static void test_no_kernels(void **state)
{
	struct loaded l;
	uint8_t zeros[4096] = { 0 };
	int pair[2];

	(void)state;
	cleanup_fd int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = load_fd(&l, RAM, folder);
	assert_refused("a folder", &l, ret, -EINVAL, "is no regular file");
	guest_memory_finish(&l.memory);

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	ret = load_fd(&l, RAM, pair[0]);
	assert_refused("a FIFO", &l, ret, -EINVAL, "is no regular file");
	guest_memory_finish(&l.memory);
	close(pair[0]);
	close(pair[1]);

	cleanup_fd int device = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ret = load_fd(&l, RAM, device);
	assert_refused("a device", &l, ret, -EINVAL, "is no regular file");
	guest_memory_finish(&l.memory);

	static const size_t sizes[] = { 0, 1, 63, 64, 0x205, 0x206, 4096 };
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		cleanup_fd int fd = file_of(zeros, sizes[i]);

		ret = load_fd(&l, RAM, fd);
		assert_refused("zeros", &l, ret, -ENOEXEC,
		               "is no kernel: neither an ELF vmlinux nor a bzImage");
		guest_memory_finish(&l.memory);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_elf),
		cmocka_unit_test(test_elf_lies),
		cmocka_unit_test(test_elf_cut_anywhere),
		cmocka_unit_test(test_64_headers_are_taken),
		cmocka_unit_test(test_good_bzimage),
		cmocka_unit_test(test_bzimage_lies),
		cmocka_unit_test(test_bzimage_cut_in_its_setup),
		cmocka_unit_test(test_no_kernels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
