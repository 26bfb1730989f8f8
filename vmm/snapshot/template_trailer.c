/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/template_trailer.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "lib/wire_fields.h"

#define VERSION 1u

static const uint8_t magic[8] = { 'C', 'L', 'O', 'C', 'H', 'E', 'T', 0x1a };

static size_t bits_size(uint64_t ram_size)
{
	return (guest_blocks(ram_size) + 7) / 8;
}

size_t template_trailer_size(uint64_t ram_size)
{
	return TEMPLATE_TRAILER_HEAD + bits_size(ram_size) + 8;
}

int template_trailer_encode(const struct snapshot_id *id, uint64_t ram_size,
                            const struct block_set *blocks, uint8_t out_bytes[TEMPLATE_TRAILER_MAX])
{
	struct wire_writer out = WIRE_WRITER_INIT;

	wire_put_bytes(&out, magic, sizeof(magic));
	wire_put_u32(&out, VERSION);
	wire_put_u32(&out, GUEST_BLOCK_SIZE);
	wire_put_bytes(&out, id->bytes, sizeof(id->bytes));
	wire_put_u64(&out, ram_size);
	wire_put_u32(&out, (uint32_t)bits_size(ram_size));
	wire_put_u32(&out, 0);
	wire_put_bytes(&out, blocks->bits, bits_size(ram_size));
	wire_put_u64(&out, out.failed ? 0 : XXH3_64bits(out.data, out.size));

	int ret = out.failed ? -ENOMEM : 0;
	if (ret == 0)
		memcpy(out_bytes, out.data, out.size);
	wire_writer_finish(&out);
	return ret;
}

/* Bits beyond the last block must be clear, or they would name memory that isn't there. */
static bool bits_fit(const struct block_set *blocks, uint64_t ram_size)
{
	for (uint64_t i = guest_blocks(ram_size); i % 8; i++)
		if (guest_block_is_set(blocks->bits, i))
			return false;
	return true;
}

int template_trailer_decode(const uint8_t *bytes, size_t size, const struct snapshot_id *id,
                            uint64_t ram_size, struct block_set *out_blocks, struct error *err)
{
	struct wire_reader in = wire_reader_over(bytes, size);
	struct block_set blocks = { 0 };
	struct snapshot_id its_id;
	uint8_t its_magic[sizeof(magic)];

	if (size != template_trailer_size(ram_size))
		return error_set(err, -EBADMSG, "its trailer has the wrong size");
	wire_get_bytes(&in, its_magic, sizeof(its_magic));
	if (memcmp(its_magic, magic, sizeof(magic)) != 0 || wire_get_u32(&in) != VERSION)
		return error_set(err, -EBADMSG, "it is no template of this version");
	bool block_size_fits = wire_get_u32(&in) == GUEST_BLOCK_SIZE;
	wire_get_bytes(&in, its_id.bytes, sizeof(its_id.bytes));
	if (!snapshot_id_equal(&its_id, id))
		return error_set(err, -EBADMSG, "it is the template of another snapshot");
	if (!block_size_fits || wire_get_u64(&in) != ram_size ||
	    wire_get_u32(&in) != bits_size(ram_size) || wire_get_u32(&in) != 0)
		return error_set(err, -EBADMSG, "it has another shape than its snapshot");
	wire_get_bytes(&in, blocks.bits, bits_size(ram_size));
	if (wire_get_u64(&in) != XXH3_64bits(bytes, size - 8) || !wire_reader_ended(&in))
		return error_set(err, -EBADMSG, "its trailer is damaged");
	if (!bits_fit(&blocks, ram_size))
		return error_set(err, -EBADMSG, "its trailer names memory that isn't there");
	*out_blocks = blocks;
	return 0;
}
