/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * little_endian.h - numbers of fixed places in headers: of virtio's packets, of streams and files of ours.
 * Formats whose fields follow each other have wire_fields.h. No state; any thread.
 */
#ifndef CLOCHE_LIB_LITTLE_ENDIAN_H
#define CLOCHE_LIB_LITTLE_ENDIAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

/* @at needn't be aligned. */

static inline void put_le32(uint8_t *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof(value));
}

static inline void put_le64(uint8_t *at, uint64_t value)
{
	value = htole64(value);
	memcpy(at, &value, sizeof(value));
}

static inline uint32_t get_le32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static inline uint64_t get_le64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return le64toh(value);
}

#endif
