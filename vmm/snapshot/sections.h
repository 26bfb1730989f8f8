/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sections.h - the state of a guest beside its RAM: sections, each with its length, version, hash.
 *
 *	u32 type | u32 instance | u16 version | u16 flags | u32 0 | u64 length | u64 hash | payload
 *
 * all little-endian, one section right behind the other (cloche-snapshot(5)). The hash is XXH3-64 of
 * the payload, seeded with that of the header's first 24 bytes. A (type, instance) comes once. A
 * reader that doesn't know a type skips it, unless it has SECTION_REQUIRED. What a payload holds is
 * between the module that writes it and itself; a change of it is a new version.
 *
 * The same encoding serves a fork, in memory, and a snapshot, in a file. No state; a writer belongs
 * to one thread. What is read is not trusted.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_SECTIONS_H
#define CLOCHE_VMM_SNAPSHOT_SECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/wire_fields.h"

/* The numbers are the format's. */
enum snapshot_section {
	SECTION_CONFIG = 1, /* the machine's shape and what it was started with */
	SECTION_VCPU = 3,   /* an instance each; 2 has no meaning */
	SECTION_VM,         /* what KVM holds once per VM: clock, PIT… */
	SECTION_IOAPIC,
	SECTION_SERIAL,
	SECTION_VIRTIO, /* an instance each device */
	SECTION_SCREEN,
	SECTION_PARENT, /* where the parent was; written and read by file.h alone */
	SECTION_INFO,   /* who wrote it, and when */
};

#define SECTIONS_HEADER_SIZE 32u
#define SECTIONS_MAX 256u     /* of them */
#define SECTION_REQUIRED 0x1u /* flags: who doesn't know the type must not go on */

/* --- writing --- */

struct sections_writer {
	struct wire_writer out; /* what is encoded so far; whole when no section is open */
	size_t begun;           /* where the open section's header is */
	bool open;
};

#define SECTIONS_WRITER_INIT                                                                       \
	{                                                                                          \
		.out = WIRE_WRITER_INIT                                                            \
	}

void sections_writer_finish(struct sections_writer *writer);

/*
 * Begins a section; its payload goes into the writer that is returned (writer->out), by wire_put_…
 * only. One at a time. @version counts from 1. A failure to take it all shows in writer->out.failed
 * at the end.
 */
struct wire_writer *sections_begin(struct sections_writer *writer, enum snapshot_section type,
                                   uint32_t instance, uint16_t version, bool required);

/* Ends it: its length and hash are filled in. */
void sections_end(struct sections_writer *writer);

/* --- reading --- */

struct section {
	uint32_t type; /* maybe none of enum snapshot_section */
	uint32_t instance;
	uint16_t version;
	bool required;
	const uint8_t *payload; /* borrowed */
	size_t size;
};

/* "vcpu" for SECTION_VCPU and so on, NULL for a type that isn't known. */
const char *sections_name(uint32_t type);

/*
 * Walks all of [data, data+size): lengths, flags, hashes, that no (type, instance) comes twice, that
 * nothing is left over, that every required type is known. Payloads aren't looked into.
 * 0; -EPROTO: not sections; -EBADMSG: a hash doesn't fit; -ENOTSUP: a required type or a flag that
 * isn't known.
 */
int sections_check(const uint8_t *data, size_t size, struct error *err);

/*
 * The section at *offset (0 to begin with), which then moves behind it. False at the end. @data has
 * passed sections_check(); known and unknown types come, in their order.
 */
bool sections_next(const uint8_t *data, size_t size, size_t *offset, struct section *out_section);

/*
 * Looks for (@type, @instance) in what has passed sections_check(). *out_reader reads its payload.
 * 0; -ENOENT; -ENOTSUP: its version is above @version_max.
 */
int sections_find(const uint8_t *data, size_t size, enum snapshot_section type, uint32_t instance,
                  uint16_t version_max, struct wire_reader *out_reader, uint16_t *out_version,
                  struct error *err);

#endif
