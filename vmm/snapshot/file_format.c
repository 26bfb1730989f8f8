/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/file_format.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "lib/log.h"
#include "lib/wire_fields.h"
#include "vmm/memory.h"

#define HASHED_SIZE (SNAPSHOT_HEADER_SIZE - SNAPSHOT_HASH_SIZE)
#define RESERVED_FIELDS 3 /* u64 */

/* Control-Z ends a text file of old, and line feeds don't survive a transfer as text. */
static const uint8_t magic[8] = { 'C', 'L', 'O', 'C', 'H', 'E', 0x1a, '\n' };

bool snapshot_id_is_zero(const struct snapshot_id *id)
{
	static const struct snapshot_id zero;

	return snapshot_id_equal(id, &zero);
}

bool snapshot_id_equal(const struct snapshot_id *a, const struct snapshot_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void snapshot_id_to_hex(const struct snapshot_id *id, char out_hex[SNAPSHOT_ID_HEX_SIZE])
{
	for (size_t i = 0; i < sizeof(id->bytes); i++) {
		out_hex[2 * i] = "0123456789abcdef"[id->bytes[i] >> 4];
		out_hex[2 * i + 1] = "0123456789abcdef"[id->bytes[i] & 15];
	}
	out_hex[2 * sizeof(id->bytes)] = '\0';
}

uint64_t snapshot_header_chunks(const struct snapshot_header *header)
{
	return (header->ram_size + SNAPSHOT_CHUNK_SIZE - 1) / SNAPSHOT_CHUNK_SIZE;
}

uint64_t snapshot_header_index_size(const struct snapshot_header *header)
{
	return snapshot_header_chunks(header) * SNAPSHOT_ENTRY_SIZE + SNAPSHOT_HASH_SIZE;
}

uint64_t snapshot_header_file_size(const struct snapshot_header *header)
{
	return SNAPSHOT_HEADER_SIZE + header->state_size + header->data_size +
	       snapshot_header_index_size(header);
}

size_t snapshot_chunk_size(uint64_t ram_size, uint64_t index)
{
	uint64_t left = ram_size - index * SNAPSHOT_CHUNK_SIZE;

	return left < SNAPSHOT_CHUNK_SIZE ? (size_t)left : SNAPSHOT_CHUNK_SIZE;
}

/* Puts the @size low bytes of @value at @at and returns where the next field goes. */
static uint8_t *put(uint8_t *at, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> (8 * i));
	return at + size;
}

void snapshot_header_encode(const struct snapshot_header *header,
                            uint8_t out_bytes[SNAPSHOT_HEADER_SIZE])
{
	uint8_t *at = out_bytes;

	at = mempcpy(at, magic, sizeof(magic));
	at = put(at, SNAPSHOT_FORMAT_VERSION, 4);
	at = put(at, SNAPSHOT_HEADER_SIZE, 4);
	at = mempcpy(at, header->id.bytes, sizeof(header->id.bytes));
	at = mempcpy(at, header->parent.bytes, sizeof(header->parent.bytes));
	at = put(at, header->ram_size, 8);
	at = put(at, SNAPSHOT_CHUNK_SIZE, 4);
	at = put(at, 0, 4);
	at = put(at, header->state_size, 8);
	at = put(at, header->data_size, 8);
	at = put(at, snapshot_header_index_size(header), 8);
	at = put(at, snapshot_header_file_size(header), 8);
	for (int i = 0; i < RESERVED_FIELDS; i++)
		at = put(at, 0, 8);
	at = put(at, XXH3_64bits(out_bytes, HASHED_SIZE), SNAPSHOT_HASH_SIZE);
	ASSERT(at == out_bytes + SNAPSHOT_HEADER_SIZE);
}

/* Fields that the rest of the header decides already. */
struct derived {
	uint32_t header_size, chunk_size, zero;
	uint64_t index_size, file_size, reserved;
};

static bool is_sane(const struct snapshot_header *h, const struct derived *d)
{
	/* Limits first: they keep the sums from wrapping. */
	return h->ram_size > 0 && h->ram_size <= GUEST_MEMORY_MAX &&
	       h->ram_size % GUEST_PAGE_SIZE == 0 && h->state_size <= WIRE_FIELDS_MAX &&
	       h->data_size <= h->ram_size && d->header_size == SNAPSHOT_HEADER_SIZE &&
	       d->chunk_size == SNAPSHOT_CHUNK_SIZE && d->zero == 0 && d->reserved == 0 &&
	       d->index_size == snapshot_header_index_size(h) &&
	       d->file_size == snapshot_header_file_size(h) && !snapshot_id_is_zero(&h->id);
}

int snapshot_header_decode(const uint8_t *bytes, size_t size, struct snapshot_header *out_header,
                           struct error *err)
{
	struct wire_reader in = wire_reader_over(bytes, size);
	struct snapshot_header h = { 0 };
	struct derived d = { 0 };
	uint8_t start[sizeof(magic)];

	wire_get_bytes(&in, start, sizeof(start));
	if (in.failed || memcmp(start, magic, sizeof(magic)) != 0)
		return error_set(err, -EINVAL, "no snapshot of cloche");
	/* What follows is the version's business. */
	uint32_t version = wire_get_u32(&in);
	if (!in.failed && version != SNAPSHOT_FORMAT_VERSION)
		return error_set(err, -ENOTSUP,
		                 "version %u of the format; this cloche reads version %u", version,
		                 SNAPSHOT_FORMAT_VERSION);
	d.header_size = wire_get_u32(&in);
	wire_get_bytes(&in, h.id.bytes, sizeof(h.id.bytes));
	wire_get_bytes(&in, h.parent.bytes, sizeof(h.parent.bytes));
	h.ram_size = wire_get_u64(&in);
	d.chunk_size = wire_get_u32(&in);
	d.zero = wire_get_u32(&in);
	h.state_size = wire_get_u64(&in);
	h.data_size = wire_get_u64(&in);
	d.index_size = wire_get_u64(&in);
	d.file_size = wire_get_u64(&in);
	for (int i = 0; i < RESERVED_FIELDS; i++)
		d.reserved |= wire_get_u64(&in);
	uint64_t hash = wire_get_u64(&in);
	if (!wire_reader_ended(&in))
		return error_set(err, -EPROTO, "cut off in its header");
	if (hash != XXH3_64bits(bytes, HASHED_SIZE))
		return error_set(err, -EBADMSG, "damaged header (its hash doesn't fit)");
	if (!is_sane(&h, &d))
		return error_set(err, -EPROTO, "header breaks the rules");
	*out_header = h;
	return 0;
}

uint32_t snapshot_check(const void *stored, size_t size)
{
	return (uint32_t)XXH3_64bits(stored, size);
}

void snapshot_entry_put(uint8_t *entries, uint64_t index, const struct snapshot_entry *entry)
{
	uint8_t *at = entries + index * SNAPSHOT_ENTRY_SIZE;
	uint32_t size = htole32(entry->size), check = htole32(entry->check);
	uint64_t hash = htole64(entry->hash);

	at[0] = entry->kind;
	memcpy(at + 1, &size, sizeof(size));
	memcpy(at + 5, &check, sizeof(check));
	memcpy(at + 9, &hash, sizeof(hash));
}

struct snapshot_entry snapshot_entry_get(const uint8_t *entries, uint64_t index)
{
	const uint8_t *at = entries + index * SNAPSHOT_ENTRY_SIZE;
	uint32_t size, check;
	uint64_t hash;

	memcpy(&size, at + 1, sizeof(size));
	memcpy(&check, at + 5, sizeof(check));
	memcpy(&hash, at + 9, sizeof(hash));
	return (struct snapshot_entry){
		.kind = at[0], .size = le32toh(size), .check = le32toh(check), .hash = le64toh(hash)
	};
}
