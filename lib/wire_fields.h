/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_fields.h - the binary half of the codec: little-endian fields, one after the other.
 *
 * What goes into a file or to another process goes through here field by field; no struct is ever
 * written raw. Failure is sticky on both sides, so a caller puts or gets all that it wants and looks
 * once at the end. Each object belongs to one thread. What is read is not trusted.
 */
#ifndef CLOCHE_LIB_WIRE_FIELDS_H
#define CLOCHE_LIB_WIRE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_FIELDS_MAX ((size_t)64 << 20) /* bytes that a writer takes at most */

/* --- writing --- */

struct wire_writer {
	uint8_t *data; /* owned */
	size_t size, room;
	bool failed; /* no memory, or beyond WIRE_FIELDS_MAX: nothing more is taken */
};

#define WIRE_WRITER_INIT                                                                           \
	{                                                                                          \
		.data = NULL                                                                       \
	}

/* Frees what the writer holds and makes it empty again; takes an empty one. */
void wire_writer_finish(struct wire_writer *writer);

void wire_put_u8(struct wire_writer *writer, uint8_t value);
void wire_put_u16(struct wire_writer *writer, uint16_t value);
void wire_put_u32(struct wire_writer *writer, uint32_t value);
void wire_put_u64(struct wire_writer *writer, uint64_t value);

/* @size bytes as they are; the reader must know how many there are. */
void wire_put_bytes(struct wire_writer *writer, const void *data, size_t size);

/* A u32 length and the bytes. @data may be NULL when @size is 0. */
void wire_put_blob(struct wire_writer *writer, const void *data, size_t size);

/* The bytes of @text, without its NUL, as a blob. */
void wire_put_string(struct wire_writer *writer, const char *text);

/* --- reading --- */

struct wire_reader {
	const uint8_t *at; /* borrowed */
	size_t left;
	bool failed; /* more was asked for than there is: from here on all is zero */
};

/* A reader of [data, data+size), which must outlive it. */
struct wire_reader wire_reader_over(const void *data, size_t size);

/* The next field; 0 once the reader has failed. */
uint8_t wire_get_u8(struct wire_reader *reader);
uint16_t wire_get_u16(struct wire_reader *reader);
uint32_t wire_get_u32(struct wire_reader *reader);
uint64_t wire_get_u64(struct wire_reader *reader);

/* @size raw bytes into @out, zeros once the reader has failed. */
void wire_get_bytes(struct wire_reader *reader, void *out, size_t size);

/*
 * A blob of at most @max bytes: a pointer into what is read, never NULL for an empty one. NULL, and
 * the reader fails, when it is longer or isn't all there.
 */
const uint8_t *wire_get_blob(struct wire_reader *reader, size_t max, size_t *out_size);

/*
 * A string into @out, which has @room bytes (> 0), NUL included. When it doesn't fit or has a NUL
 * inside, the reader fails; @out is "" then.
 */
void wire_get_string(struct wire_reader *reader, char *out, size_t room);

/* True: nothing has failed and nothing is left. */
bool wire_reader_ended(const struct wire_reader *reader);

#endif
