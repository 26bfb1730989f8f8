/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/sections.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "lib/log.h"

#define HASHED_SIZE 24u /* of the header */

/* Offsets in the header of what is filled in at the end. */
#define AT_LENGTH 16u
#define AT_HASH 24u

static const char *const names[] = {
	[SECTION_CONFIG] = "config", [SECTION_VCPU] = "vcpu",     [SECTION_VM] = "vm",
	[SECTION_IOAPIC] = "ioapic", [SECTION_SERIAL] = "serial", [SECTION_VIRTIO] = "virtio",
	[SECTION_SCREEN] = "screen", [SECTION_PARENT] = "parent", [SECTION_INFO] = "info",
};

const char *sections_name(uint32_t type)
{
	return type < sizeof(names) / sizeof(names[0]) ? names[type] : NULL;
}

static uint64_t hash_section(const uint8_t *header, size_t payload_size)
{
	uint64_t seed = XXH3_64bits(header, HASHED_SIZE);

	return XXH3_64bits_withSeed(header + SECTIONS_HEADER_SIZE, payload_size, seed);
}

void sections_writer_finish(struct sections_writer *writer)
{
	wire_writer_finish(&writer->out);
	*writer = (struct sections_writer)SECTIONS_WRITER_INIT;
}

struct wire_writer *sections_begin(struct sections_writer *writer, enum snapshot_section type,
                                   uint32_t instance, uint16_t version, bool required)
{
	struct wire_writer *out = &writer->out;

	ASSERT(!writer->open && version > 0);
	writer->open = true;
	writer->begun = out->size;
	wire_put_u32(out, type);
	wire_put_u32(out, instance);
	wire_put_u16(out, version);
	wire_put_u16(out, required ? SECTION_REQUIRED : 0);
	wire_put_u32(out, 0);
	wire_put_u64(out, 0); /* length */
	wire_put_u64(out, 0); /* hash */
	return out;
}

/* Overwrites the u64 at @offset of the open section. */
static void patch_u64(struct sections_writer *writer, size_t offset, uint64_t value)
{
	for (size_t i = 0; i < sizeof(value); i++)
		writer->out.data[writer->begun + offset + i] = (uint8_t)(value >> (8 * i));
}

void sections_end(struct sections_writer *writer)
{
	ASSERT(writer->open);
	writer->open = false;
	if (writer->out.failed)
		return;
	size_t size = writer->out.size - writer->begun - SECTIONS_HEADER_SIZE;

	patch_u64(writer, AT_LENGTH, size);
	patch_u64(writer, AT_HASH, hash_section(writer->out.data + writer->begun, size));
}

/* What a header says, before anything of it is believed. */
struct header {
	struct section section; /* payload and size only when they are inside */
	uint32_t reserved;
	uint16_t flags;
	uint64_t length, hash;
};

static struct header decode_header(const uint8_t *at)
{
	struct wire_reader in = wire_reader_over(at, SECTIONS_HEADER_SIZE);
	struct header h = { 0 };

	h.section.type = wire_get_u32(&in);
	h.section.instance = wire_get_u32(&in);
	h.section.version = wire_get_u16(&in);
	h.flags = wire_get_u16(&in);
	h.section.required = h.flags & SECTION_REQUIRED;
	h.reserved = wire_get_u32(&in);
	h.length = wire_get_u64(&in);
	h.hash = wire_get_u64(&in);
	return h;
}

bool sections_next(const uint8_t *data, size_t size, size_t *offset, struct section *out_section)
{
	if (*offset > size || size - *offset < SECTIONS_HEADER_SIZE)
		return false;
	struct header h = decode_header(data + *offset);
	size_t left = size - *offset - SECTIONS_HEADER_SIZE;

	if (h.length > left)
		return false;
	h.section.payload = data + *offset + SECTIONS_HEADER_SIZE;
	h.section.size = (size_t)h.length;
	*offset += SECTIONS_HEADER_SIZE + (size_t)h.length;
	*out_section = h.section;
	return true;
}

/* How messages call a section: "section vcpu 2". */
static int refuse(const struct section *s, int code, const char *what, struct error *err)
{
	const char *name = sections_name(s->type);

	if (name)
		return error_set(err, code, "section %s %u %s", name, s->instance, what);
	return error_set(err, code, "section of type %u, instance %u, %s", s->type, s->instance,
	                 what);
}

static bool is_duplicate(const uint8_t *data, size_t size, const struct section *s)
{
	struct section other;
	size_t offset = 0;

	while (sections_next(data, size, &offset, &other))
		if (other.type == s->type && other.instance == s->instance)
			return true;
	return false;
}

/* Checks the section at @offset, behind others that are checked; *out_next is where it ends. */
static int check_one(const uint8_t *data, size_t size, size_t offset, size_t *out_next,
                     struct error *err)
{
	const uint8_t *at = data + offset;

	if (size - offset < SECTIONS_HEADER_SIZE)
		return error_set(err, -EPROTO, "%zu bytes behind the last section", size - offset);
	struct header h = decode_header(at);
	struct section *s = &h.section;

	if (h.length > size - offset - SECTIONS_HEADER_SIZE)
		return refuse(s, -EPROTO, "is longer than what there is", err);
	/* First the hash: what it doesn't cover is damage, not a rule that somebody broke. */
	if (h.hash != hash_section(at, (size_t)h.length))
		return refuse(s, -EBADMSG, "is damaged (its hash doesn't fit)", err);
	if (h.flags & ~SECTION_REQUIRED)
		return refuse(s, -ENOTSUP, "has flags that this cloche doesn't know", err);
	if (h.reserved || s->version == 0)
		return refuse(s, -EPROTO, "has a header that breaks the rules", err);
	if (s->required && !sections_name(s->type))
		return refuse(s, -ENOTSUP, "is required and unknown: a newer cloche wrote it", err);
	if (is_duplicate(data, offset, s))
		return refuse(s, -EPROTO, "is there twice", err);
	*out_next = offset + SECTIONS_HEADER_SIZE + (size_t)h.length;
	return 0;
}

int sections_check(const uint8_t *data, size_t size, struct error *err)
{
	size_t offset = 0;

	for (unsigned count = 0; offset < size; count++) {
		if (count == SECTIONS_MAX)
			return error_set(err, -EPROTO, "more than %u sections", SECTIONS_MAX);
		int ret = check_one(data, size, offset, &offset, err);
		if (ret)
			return ret;
	}
	return 0;
}

int sections_find(const uint8_t *data, size_t size, enum snapshot_section type, uint32_t instance,
                  uint16_t version_max, struct wire_reader *out_reader, uint16_t *out_version,
                  struct error *err)
{
	struct section s;
	size_t offset = 0;

	while (sections_next(data, size, &offset, &s)) {
		if (s.type != (uint32_t)type || s.instance != instance)
			continue;
		if (s.version > version_max)
			return error_set(err, -ENOTSUP,
			                 "section %s %u has version %u, this cloche reads up to %u",
			                 sections_name(type), instance, s.version, version_max);
		*out_reader = wire_reader_over(s.payload, s.size);
		*out_version = s.version;
		return 0;
	}
	return error_set(err, -ENOENT, "there is no section %s %u", sections_name(type), instance);
}
