/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_snapshot.c - snapshot files that are anything: opened, looked into, and their chunks read.
 *
 *	u8     flags: 1 hashes are made to fit, 2 a parent comes first
 *	u24    size of the parent, if there is one, and its bytes
 *	then   the file
 *
 * Without the first flag hardly a mutation gets beyond a hash; with it, all rules behind are met.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/snapshot/file_private.h"
#include "vmm/snapshot/sections.h"

#define SEALED 1u
#define HAS_PARENT 2u
#define READ_MAX 8u /* chunks from either end */

static int memfds[2];

void fuzz_init(void)
{
	for (unsigned i = 0; i < 2; i++) {
		memfds[i] = memfd_create("snapshot", MFD_CLOEXEC);
		CHECK(memfds[i] >= 0);
	}
}

static uint64_t get(const uint8_t *at, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = size; i-- > 0;)
		value = value << 8 | at[i];
	return value;
}

static void put(uint8_t *at, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static void seal_sections(uint8_t *state, size_t size)
{
	for (size_t at = 0; size - at >= SECTIONS_HEADER_SIZE;) {
		uint64_t length = get(state + at + 16, 8);
		size_t left = size - at - SECTIONS_HEADER_SIZE;

		if (length > left)
			return;
		put(state + at + 24,
		    XXH3_64bits_withSeed(state + at + SECTIONS_HEADER_SIZE, (size_t)length,
		                         XXH3_64bits(state + at, 24)),
		    8);
		at += SECTIONS_HEADER_SIZE + (size_t)length;
	}
}

static void seal_index(uint8_t *index, size_t size, const uint8_t *data, size_t data_size)
{
	size_t entries = (size - SNAPSHOT_HASH_SIZE) / SNAPSHOT_ENTRY_SIZE;

	for (size_t i = 0; i < entries; i++) {
		struct snapshot_entry e = snapshot_entry_get(index, i);

		if (e.size > data_size)
			break;
		if (e.kind == KIND_LZ4)
			e.check = snapshot_check(data, e.size);
		if (e.kind == KIND_RAW)
			e.check = (uint32_t)e.hash;
		snapshot_entry_put(index, i, &e);
		data += e.size;
		data_size -= e.size;
	}
	size -= SNAPSHOT_HASH_SIZE;
	put(index + size, XXH3_64bits(index, size), SNAPSHOT_HASH_SIZE);
}

/* Makes the hashes fit, as far as the sizes say where they are. */
static void seal(uint8_t *file, size_t size)
{
	if (size < SNAPSHOT_HEADER_SIZE)
		return;
	put(file + 120, XXH3_64bits(file, 120), 8);
	uint64_t state_size = get(file + 64, 8), data_size = get(file + 72, 8);
	size_t left = size - SNAPSHOT_HEADER_SIZE;
	uint8_t *state = file + SNAPSHOT_HEADER_SIZE;

	if (state_size > left)
		return;
	seal_sections(state, (size_t)state_size);
	left -= (size_t)state_size;
	if (data_size > left || left - data_size < SNAPSHOT_HASH_SIZE)
		return;
	uint8_t *data = state + state_size;
	seal_index(data + data_size, left - (size_t)data_size, data, (size_t)data_size);
}

/* What every file that was opened keeps, whatever its bytes. */
static void check_file(const struct snapshot_file *file, size_t size)
{
	uint64_t end = SNAPSHOT_HEADER_SIZE + file->header.state_size, count = file->chunk_count;
	size_t state_size, offset = 0;
	struct section s;

	CHECK(snapshot_header_file_size(&file->header) == size);
	CHECK(count ==
	      (snapshot_file_ram_size(file) + SNAPSHOT_CHUNK_SIZE - 1) / SNAPSHOT_CHUNK_SIZE);
	for (uint64_t i = 0; i < count; i++) {
		CHECK(file->chunks[i].offset == end);
		CHECK(file->chunks[i].size <= snapshot_file_chunk_size(file, i));
		end += file->chunks[i].size;
	}
	CHECK(end + snapshot_header_index_size(&file->header) == size);

	const uint8_t *state = snapshot_file_state(file, &state_size);
	while (sections_next(state, state_size, &offset, &s)) {
		struct wire_reader reader;
		uint16_t version;

		CHECK(s.payload >= state && s.payload + s.size <= state + state_size);
		CHECK(!s.required || sections_name(s.type));
		if (!sections_name(s.type))
			continue;
		CHECK(sections_find(state, state_size, (enum snapshot_section)s.type, s.instance,
		                    UINT16_MAX, &reader, &version, NULL) == 0);
		CHECK(reader.at == s.payload && reader.left == s.size && version == s.version);
	}
	CHECK(offset == state_size);
}

static struct snapshot_file *load(unsigned which, const uint8_t *data, size_t size, bool sealed)
{
	struct snapshot_file *file = NULL;
	struct error err = { 0 };
	uint8_t header[SNAPSHOT_HEADER_SIZE];
	uint8_t *copy = malloc(size ? size : 1);

	CHECK(copy);
	memcpy(copy, data, size);
	if (sealed)
		seal(copy, size);
	CHECK(ftruncate(memfds[which], 0) == 0);
	CHECK(pwrite(memfds[which], copy, size, 0) == (ssize_t)size);
	int ret = snapshot_file_load_head(dup(memfds[which]), "file", &file, &err);
	if (ret == 0) {
		ret = snapshot_file_load_index(file, &err);
		if (ret) {
			snapshot_file_close(file);
			file = NULL;
		}
	}
	if (ret) {
		CHECK(!file && ret == err.code && strncmp(err.msg, "file: ", 6) == 0);
	} else {
		check_file(file, size);
		snapshot_header_encode(&file->header, header);
		CHECK(memcmp(header, copy, sizeof(header)) == 0);
	}
	free(copy);
	return file;
}

static void read_chunks(const struct snapshot_file *file)
{
	static uint8_t chunk[SNAPSHOT_CHUNK_SIZE];

	for (uint64_t i = 0; i < file->chunk_count; i++) {
		size_t size = snapshot_file_chunk_size(file, i);
		struct error err = { 0 };

		if (i >= READ_MAX && i < file->chunk_count - READ_MAX)
			continue;
		int ret = snapshot_file_read_chunk(file, i, chunk, &err);
		CHECK(ret == 0 || (ret == -EBADMSG && ret == err.code));
		if (ret == 0 && snapshot_file_chunk(file, i) == SNAPSHOT_CHUNK_DATA)
			CHECK(XXH3_64bits(chunk, size) == snapshot_file_chunk_hash(file, i));
		if (ret == 0 && snapshot_file_chunk(file, i) == SNAPSHOT_CHUNK_ZERO)
			CHECK(chunk[0] == 0 && memcmp(chunk, chunk + 1, size - 1) == 0);
	}
}

void fuzz_one(struct input *in)
{
	struct snapshot_file *parent = NULL;
	struct error err = { 0 };
	const uint8_t *bytes;
	uint8_t flags = input_u8(in);

	if (flags & HAS_PARENT) {
		size_t size = input_bytes(in, input_number(in, 3), &bytes);
		parent = load(0, bytes, size, flags & SEALED);
	}
	struct snapshot_file *file = load(1, in->data, in->size, flags & SEALED);
	if (file && parent && snapshot_id_equal(&file->header.parent, &parent->header.id) &&
	    !parent->parent_hint && snapshot_file_adopt(file, parent, &err) == 0)
		parent = NULL; /* the child's */
	/* What is left to a parent can't be asked for without it. */
	if (file && (!file->parent_hint || file->parent)) {
		read_chunks(file);
		json_t *object = snapshot_file_inspect(file);
		CHECK(object);
		json_decref(object);
	}
	snapshot_file_close(parent);
	snapshot_file_close(file);
}
