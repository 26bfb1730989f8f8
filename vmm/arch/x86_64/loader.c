/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loader.c - ELF vmlinux and bzImage into guest memory.
 *
 * Both are entered in 64-bit mode. A vmlinux is placed by its program headers and entered at
 * e_entry, which is a physical address. A bzImage is placed whole at its preferred address and
 * entered 0x200 behind its 32-bit entry; it unpacks itself inside init_size bytes. What it is
 * compressed with is its own business: nothing is unpacked here.
 */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/full_io.h"
#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/boot.h"

#define PROGRAM_HEADERS_MAX 64
#define BZIMAGE_MAGIC 0x53726448u /* "HdrS" */
#define BZIMAGE_MAGIC_OFFSET 0x202
#define BZIMAGE_ENTRY_64 0x200

int boot_read_at(int fd, const char *path, void *buffer, uint64_t size, uint64_t offset,
                 struct error *err)
{
	ssize_t got = pread_full(fd, buffer, size, offset);

	if (got < 0)
		return error_set(err, (int)got, "cannot read %s: %s", path, strerror((int)-got));
	if ((uint64_t)got < size)
		return error_set(err, -EINVAL, "%s is cut short: it ends at byte %llu", path,
		                 (unsigned long long)offset + (unsigned long long)got);
	return 0;
}

static int too_little_memory(const struct guest_memory *memory, const char *path, uint64_t end,
                             struct error *err)
{
	return error_set(
		err, -ENOMEM,
		"%s needs memory up to %llu MiB, the guest has %llu MiB: give it more (--mem)",
		path, (unsigned long long)((end + (1 << 20) - 1) >> 20),
		(unsigned long long)(memory->ram_size >> 20));
}

/* Places one PT_LOAD. RAM is fresh, so the part beyond p_filesz is zero already. */
static int load_segment(const struct guest_memory *memory, int fd, const char *path,
                        uint64_t file_size, const Elf64_Phdr *ph, struct error *err)
{
	if (ph->p_filesz > ph->p_memsz || ph->p_offset > file_size ||
	    ph->p_filesz > file_size - ph->p_offset)
		return error_set(err, -ENOEXEC,
		                 "%s is no usable kernel: a segment lies outside the file", path);
	if (ph->p_paddr < LAYOUT_HIGH_START)
		return error_set(
			err, -ENOEXEC,
			"%s is no usable kernel: it wants the first MiB, which holds boot data",
			path);
	if (ph->p_paddr + ph->p_memsz < ph->p_paddr)
		return error_set(err, -ENOEXEC, "%s is no usable kernel: a segment wraps", path);

	void *at = guest_memory_at(memory, GPA(ph->p_paddr), ph->p_memsz, GUEST_WRITE);
	if (!at)
		return too_little_memory(memory, path, ph->p_paddr + ph->p_memsz, err);
	return boot_read_at(fd, path, at, ph->p_filesz, ph->p_offset, err);
}

static int load_elf(const struct guest_memory *memory, int fd, const char *path, uint64_t file_size,
                    struct arch_entry *out_entry, struct gpa *out_end, struct error *err)
{
	Elf64_Phdr headers[PROGRAM_HEADERS_MAX];
	Elf64_Ehdr eh;
	uint64_t end = 0;
	bool entry_loaded = false;

	int ret = boot_read_at(fd, path, &eh, sizeof(eh), 0, err);
	if (ret)
		return ret;
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB ||
	    eh.e_machine != EM_X86_64 || (eh.e_type != ET_EXEC && eh.e_type != ET_DYN) ||
	    eh.e_phentsize != sizeof(Elf64_Phdr))
		return error_set(err, -ENOEXEC, "%s is an ELF file, but no x86-64 kernel", path);
	if (eh.e_phnum == 0 || eh.e_phnum > PROGRAM_HEADERS_MAX)
		return error_set(err, -ENOEXEC, "%s has %u program headers; 1 to %u are accepted",
		                 path, eh.e_phnum, PROGRAM_HEADERS_MAX);
	ret = boot_read_at(fd, path, headers, eh.e_phnum * sizeof(headers[0]), eh.e_phoff, err);
	if (ret)
		return ret;

	for (unsigned i = 0; i < eh.e_phnum; i++) {
		const Elf64_Phdr *ph = &headers[i];

		if (ph->p_type != PT_LOAD || ph->p_memsz == 0)
			continue;
		ret = load_segment(memory, fd, path, file_size, ph, err);
		if (ret)
			return ret;
		if (ph->p_paddr + ph->p_memsz > end)
			end = ph->p_paddr + ph->p_memsz;
		if (eh.e_entry >= ph->p_paddr && eh.e_entry - ph->p_paddr < ph->p_memsz)
			entry_loaded = true;
	}
	if (!entry_loaded)
		return error_set(err, -ENOEXEC,
		                 "%s is no usable kernel: its entry point isn't in it", path);
	out_entry->pc = GPA(eh.e_entry);
	*out_end = GPA(end);
	return 0;
}

static int load_bzimage(const struct guest_memory *memory, int fd, const char *path,
                        uint64_t file_size, struct arch_entry *out_entry, struct gpa *out_end,
                        struct error *err)
{
	struct setup_header hdr;

	int ret = boot_read_at(fd, path, &hdr, sizeof(hdr), BOOT_SETUP_HEADER_OFFSET, err);
	if (ret)
		return ret;
	if (hdr.version < 0x020c || !(hdr.xloadflags & XLF_KERNEL_64))
		return error_set(
			err, -ENOEXEC,
			"%s has no 64-bit entry point (boot protocol %u.%02u): use a 64-bit kernel",
			path, hdr.version >> 8, hdr.version & 0xff);

	/* boot.rst: setup_sects of 0 means 4; one more sector is the boot sector itself. */
	uint64_t setup_size = ((hdr.setup_sects ? hdr.setup_sects : 4u) + 1u) * 512u;
	if (setup_size >= file_size || file_size - setup_size <= BZIMAGE_ENTRY_64)
		return error_set(err, -ENOEXEC, "%s is cut short: nothing follows its setup code",
		                 path);
	uint64_t body = file_size - setup_size;
	uint64_t need = hdr.init_size > body ? hdr.init_size : body;
	struct gpa load = GPA(hdr.pref_address);
	if (load.value < LAYOUT_HIGH_START || load.value + need < load.value)
		return error_set(err, -ENOEXEC, "%s asks for an impossible load address", path);
	if (!guest_memory_at(memory, load, need, GUEST_WRITE))
		return too_little_memory(memory, path, load.value + need, err);

	ret = boot_read_at(fd, path, guest_memory_at(memory, load, body, GUEST_WRITE), body,
	                   setup_size, err);
	if (ret)
		return ret;
	out_entry->pc = GPA(load.value + BZIMAGE_ENTRY_64);
	out_entry->init_size = hdr.init_size;
	*out_end = GPA(load.value + need);
	return 0;
}

int arch_load_kernel(const struct guest_memory *memory, int fd, const char *path,
                     struct arch_entry *out_entry, struct gpa *out_kernel_end, struct error *err)
{
	uint8_t magic[BZIMAGE_MAGIC_OFFSET + sizeof(uint32_t)];
	struct stat st;
	uint32_t bz;

	if (fstat(fd, &st))
		return error_set(err, -errno, "cannot examine %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "%s is no regular file: name a kernel (--kernel)",
		                 path);
	if ((uint64_t)st.st_size < sizeof(magic))
		return error_set(err, -ENOEXEC,
		                 "%s is no kernel: neither an ELF vmlinux nor a bzImage (--kernel)",
		                 path);
	int ret = boot_read_at(fd, path, magic, sizeof(magic), 0, err);
	if (ret)
		return ret;

	memcpy(&bz, magic + BZIMAGE_MAGIC_OFFSET, sizeof(bz));
	if (memcmp(magic, ELFMAG, SELFMAG) == 0)
		return load_elf(memory, fd, path, (uint64_t)st.st_size, out_entry, out_kernel_end,
		                err);
	if (bz == BZIMAGE_MAGIC)
		return load_bzimage(memory, fd, path, (uint64_t)st.st_size, out_entry,
		                    out_kernel_end, err);
	return error_set(err, -ENOEXEC,
	                 "%s is no kernel: neither an ELF vmlinux nor a bzImage (--kernel)", path);
}
