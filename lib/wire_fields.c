/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/wire_fields.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MIN ((size_t)256)

/* Space for @size more bytes, or NULL: the writer has failed. */
static uint8_t *grow(struct wire_writer *writer, size_t size)
{
	if (writer->failed || size > WIRE_FIELDS_MAX - writer->size) {
		writer->failed = true;
		return NULL;
	}
	if (size > writer->room - writer->size) {
		size_t room = writer->room ? writer->room : ROOM_MIN;

		while (room < writer->size + size)
			room *= 2;
		uint8_t *data = realloc(writer->data, room);
		if (!data) {
			writer->failed = true;
			return NULL;
		}
		writer->data = data;
		writer->room = room;
	}
	uint8_t *at = writer->data + writer->size;
	writer->size += size;
	return at;
}

void wire_writer_finish(struct wire_writer *writer)
{
	free(writer->data);
	*writer = (struct wire_writer)WIRE_WRITER_INIT;
}

void wire_put_bytes(struct wire_writer *writer, const void *data, size_t size)
{
	if (size == 0)
		return;
	uint8_t *at = grow(writer, size);
	if (at)
		memcpy(at, data, size);
}

void wire_put_u8(struct wire_writer *writer, uint8_t value)
{
	wire_put_bytes(writer, &value, sizeof(value));
}

void wire_put_u16(struct wire_writer *writer, uint16_t value)
{
	value = htole16(value);
	wire_put_bytes(writer, &value, sizeof(value));
}

void wire_put_u32(struct wire_writer *writer, uint32_t value)
{
	value = htole32(value);
	wire_put_bytes(writer, &value, sizeof(value));
}

void wire_put_u64(struct wire_writer *writer, uint64_t value)
{
	value = htole64(value);
	wire_put_bytes(writer, &value, sizeof(value));
}

void wire_put_blob(struct wire_writer *writer, const void *data, size_t size)
{
	if (size > WIRE_FIELDS_MAX) {
		writer->failed = true;
		return;
	}
	wire_put_u32(writer, (uint32_t)size);
	wire_put_bytes(writer, data, size);
}

void wire_put_string(struct wire_writer *writer, const char *text)
{
	wire_put_blob(writer, text, strlen(text));
}

struct wire_reader wire_reader_over(const void *data, size_t size)
{
	return (struct wire_reader){ .at = data, .left = size };
}

/* The next @size bytes, or NULL: the reader has failed. */
static const uint8_t *take(struct wire_reader *reader, size_t size)
{
	if (reader->failed || size > reader->left) {
		reader->failed = true;
		return NULL;
	}
	const uint8_t *at = reader->at;
	reader->at += size;
	reader->left -= size;
	return at;
}

void wire_get_bytes(struct wire_reader *reader, void *out, size_t size)
{
	if (size == 0)
		return;
	const uint8_t *at = take(reader, size);
	if (at)
		memcpy(out, at, size);
	else
		memset(out, 0, size);
}

uint8_t wire_get_u8(struct wire_reader *reader)
{
	uint8_t value;

	wire_get_bytes(reader, &value, sizeof(value));
	return value;
}

uint16_t wire_get_u16(struct wire_reader *reader)
{
	uint16_t value;

	wire_get_bytes(reader, &value, sizeof(value));
	return le16toh(value);
}

uint32_t wire_get_u32(struct wire_reader *reader)
{
	uint32_t value;

	wire_get_bytes(reader, &value, sizeof(value));
	return le32toh(value);
}

uint64_t wire_get_u64(struct wire_reader *reader)
{
	uint64_t value;

	wire_get_bytes(reader, &value, sizeof(value));
	return le64toh(value);
}

const uint8_t *wire_get_blob(struct wire_reader *reader, size_t max, size_t *out_size)
{
	size_t size = wire_get_u32(reader);

	if (size > max)
		reader->failed = true;
	const uint8_t *at = take(reader, size);
	if (at)
		*out_size = size;
	return at;
}

void wire_get_string(struct wire_reader *reader, char *out, size_t room)
{
	size_t size = 0;
	const uint8_t *text = wire_get_blob(reader, room - 1, &size);

	if (text && memchr(text, '\0', size)) {
		reader->failed = true;
		size = 0;
	}
	if (text)
		memcpy(out, text, size);
	out[size] = '\0';
}

bool wire_reader_ended(const struct wire_reader *reader)
{
	return !reader->failed && reader->left == 0;
}
