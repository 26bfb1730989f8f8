/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm_restore_bed.h - vmm_snapshot_bed.h with RAM that is large enough for a guest, told by a letter
 * a block of 2 MiB, and guest memory to restore it to.
 *
 *	z  zeros    d  every chunk, raw and packed by turns    s  one chunk of text, the 6th
 *
 * A last block of three chunks follows, text, zeros, text, of which the last has two pages.
 */
#ifndef CLOCHE_TESTS_UNIT_VMM_RESTORE_BED_H
#define CLOCHE_TESTS_UNIT_VMM_RESTORE_BED_H

#include "tests/unit/vmm_snapshot_bed.h"

#include "vmm/memory.h"
#include "vmm/snapshot/blocks.h"

#define HOLE_START GPA((uint64_t)6 << 20) /* in the middle of RAM */
#define HOLE_END GPA((uint64_t)4 << 30)
#define BLOCK GUEST_BLOCK_SIZE
#define PAGE GUEST_PAGE_SIZE

/* RAM of the blocks @letters and the last one. */
static inline void bed_fill_blocks(const char *letters)
{
	char pattern[64 * BLOCK_CHUNKS] = "";
	size_t at = 0;

	assert_true(strlen(letters) < 60);
	for (const char *l = letters; *l; l++)
		for (size_t i = 0; i < BLOCK_CHUNKS; i++)
			pattern[at++] = *l == 'd'             ? (i % 2 ? 'r' : 'x')
			                : *l == 's' && i == 5 ? 't'
			                                      : 'z';
	memcpy(pattern + at, "azb", 4);
	bed_fill(pattern, 2 * PAGE);
}

/* Writes RAM into the file @name and opens it. */
static inline struct snapshot_file *bed_snapshot(const char *name)
{
	struct snapshot_file *file;
	struct error err = { 0 };

	bed_write(name, NULL);
	if (snapshot_file_open(bed_path(name), &file, &err))
		fail_msg("%s", err.msg);
	return file;
}

/* Makes the stored data of the first chunk that isn't zero wrong, in a way that opening can't see. */
static inline void bed_spoil_first_chunk(const char *name)
{
	size_t size;
	uint8_t *data = read_whole(bed_path(name), &size);
	struct snapshot_header header;
	struct error err = { 0 };

	assert_int_equal(snapshot_header_decode(
				 data, size < SNAPSHOT_HEADER_SIZE ? size : SNAPSHOT_HEADER_SIZE,
				 &header, &err),
	                 0);
	data[SNAPSHOT_HEADER_SIZE + header.state_size + 40] ^= 1;
	write_whole(bed_path(name), data, size);
	free(data);
}

static inline void bed_init_memory(struct guest_memory *memory)
{
	struct error err = { 0 };

	if (guest_memory_init(memory, bed.ram_size, HOLE_START, HOLE_END, &err))
		fail_msg("%s", err.msg);
}

static inline void assert_same_ram(const struct guest_memory *memory)
{
	assert_int_equal(memory->ram_size, bed.ram_size);
	for (size_t at = 0; at < bed.ram_size; at += PAGE)
		if (memcmp(memory->ram + at, bed.ram + at, PAGE) != 0)
			fail_msg("RAM differs at %#zx", at);
}

#endif
