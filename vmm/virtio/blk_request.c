/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk_request.c - see blk_request.h.
 *
 * A request is a header of 16 bytes, data, and a status of one byte that is the last writable one.
 * How they are cut into buffers is the driver's affair (§2.7.4): what comes before and behind the
 * data is found by counting bytes. All arithmetic is in sectors first, where nothing that fits the
 * disk overflows, and in bytes after the check.
 */
#include "vmm/virtio/blk_request.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <string.h>

#define HEADER_SIZE sizeof(struct virtio_blk_outhdr)

static bool within(const struct blk_limits *limits, uint64_t sector, uint64_t sectors)
{
	return sector <= limits->capacity && sectors <= limits->capacity - sector;
}

/* The parts of @buffers that hold the bytes [skip, skip + size), as many as there are. */
static unsigned slice(const struct virtqueue_buffer *buffers, unsigned count, uint64_t skip,
                      uint64_t size, struct iovec *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < count && size > 0; i++) {
		const struct virtqueue_buffer *b = &buffers[i];

		if (skip >= b->size) {
			skip -= b->size;
			continue;
		}
		uint64_t length = b->size - skip;
		if (length > size)
			length = size;
		out[n++] = (struct iovec){ .iov_base = b->data + skip, .iov_len = (size_t)length };
		size -= length;
		skip = 0;
	}
	return n;
}

static uint8_t parse_transfer(const struct virtqueue_chain *chain, const struct blk_limits *limits,
                              uint64_t sector, struct blk_request *out)
{
	bool read = out->op == BLK_READ;
	uint64_t size = read ? chain->writable_size - 1 : chain->readable_size - HEADER_SIZE;

	if (size % BLK_SECTOR_SIZE || !within(limits, sector, size / BLK_SECTOR_SIZE) ||
	    (!read && limits->read_only))
		return VIRTIO_BLK_S_IOERR;
	out->offset = sector * BLK_SECTOR_SIZE;
	out->size = size;
	out->iov_count =
		read ? slice(chain->buffers + chain->readable, chain->writable, 0, size, out->iov)
		     : slice(chain->buffers, chain->readable, HEADER_SIZE, size, out->iov);
	return VIRTIO_BLK_S_OK;
}

static uint8_t parse_range(const struct blk_limits *limits, enum blk_op op,
                           const struct virtio_blk_discard_write_zeroes *segment,
                           struct blk_range *out)
{
	uint64_t sector = le64toh(segment->sector);
	uint32_t sectors = le32toh(segment->num_sectors), flags = le32toh(segment->flags);
	uint32_t known = op == BLK_WRITE_ZEROES ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;

	if (flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (sectors == 0 || sectors > BLK_RANGE_SECTORS_MAX || !within(limits, sector, sectors))
		return VIRTIO_BLK_S_IOERR;
	*out = (struct blk_range){ .offset = sector * BLK_SECTOR_SIZE,
		                   .size = (uint64_t)sectors * BLK_SECTOR_SIZE,
		                   .unmap = flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP };
	return VIRTIO_BLK_S_OK;
}

static uint8_t parse_ranges(const struct virtqueue_chain *chain, const struct blk_limits *limits,
                            struct blk_request *out)
{
	struct virtio_blk_discard_write_zeroes segments[BLK_RANGES_MAX];
	uint64_t size = chain->readable_size - HEADER_SIZE;

	if (limits->read_only || size == 0 || size > sizeof(segments) || size % sizeof(segments[0]))
		return VIRTIO_BLK_S_IOERR;
	virtqueue_read(chain, HEADER_SIZE, segments, (size_t)size);
	out->range_count = (unsigned)(size / sizeof(segments[0]));
	for (unsigned i = 0; i < out->range_count; i++) {
		uint8_t status = parse_range(limits, out->op, &segments[i], &out->ranges[i]);

		if (status != VIRTIO_BLK_S_OK)
			return status;
	}
	return VIRTIO_BLK_S_OK;
}

static uint8_t parse_body(const struct virtqueue_chain *chain, const struct blk_limits *limits,
                          const struct virtio_blk_outhdr *header, struct blk_request *out)
{
	switch (le32toh(header->type)) {
	case VIRTIO_BLK_T_IN:
		out->op = BLK_READ;
		return parse_transfer(chain, limits, le64toh(header->sector), out);
	case VIRTIO_BLK_T_OUT:
		out->op = BLK_WRITE;
		return parse_transfer(chain, limits, le64toh(header->sector), out);
	case VIRTIO_BLK_T_FLUSH:
		out->op = BLK_FLUSH;
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_GET_ID:
		out->op = BLK_GET_ID;
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_DISCARD:
		out->op = BLK_DISCARD;
		return parse_ranges(chain, limits, out);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		out->op = BLK_WRITE_ZEROES;
		return parse_ranges(chain, limits, out);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

int blk_request_parse(const struct virtqueue_chain *chain, const struct blk_limits *limits,
                      struct blk_request *out, struct error *err)
{
	struct virtio_blk_outhdr header;

	if (chain->readable_size < HEADER_SIZE)
		return error_set(err, -EPROTO, "blk: a request without a whole header");
	if (chain->writable_size < 1)
		return error_set(err, -EPROTO, "blk: a request without room for its status");
	virtqueue_read(chain, 0, &header, sizeof(header));
	/* Not the arrays: they are large, and their counts say how much of them is there. */
	out->offset = out->size = 0;
	out->iov_count = out->range_count = 0;
	out->status = parse_body(chain, limits, &header, out);
	if (out->status != VIRTIO_BLK_S_OK)
		out->op = BLK_REFUSED;
	return 0;
}
