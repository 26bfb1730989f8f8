/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk_request.h - what a driver asks of a disk (virtio 1.2 §5.2.6), parsed and checked.
 *
 * Pure: reads guest memory through the chain that it is given, once, and touches nothing else. Any
 * thread, as long as nobody else uses the chain.
 */
#ifndef CLOCHE_VMM_VIRTIO_BLK_REQUEST_H
#define CLOCHE_VMM_VIRTIO_BLK_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lib/error.h"
#include "vmm/virtio/queue.h"

#define BLK_SECTOR_SIZE 512u
/* Of one discard or write-zeroes request. */
#define BLK_RANGES_MAX 16
#define BLK_RANGE_SECTORS_MAX (((uint32_t)2 << 30) / BLK_SECTOR_SIZE)

enum blk_op {
	BLK_READ,
	BLK_WRITE,
	BLK_FLUSH,
	BLK_GET_ID,
	BLK_DISCARD,
	BLK_WRITE_ZEROES,
	BLK_REFUSED, /* nothing is to be done: .status is the answer */
};

/* What the disk is. */
struct blk_limits {
	uint64_t capacity; /* sectors */
	bool read_only;
};

/* Bytes of the disk; within it, size > 0. */
struct blk_range {
	uint64_t offset, size;
	bool unmap; /* zeroes by deallocation are welcome */
};

struct blk_request {
	enum blk_op op;
	uint8_t status; /* VIRTIO_BLK_S_…; OK for all but BLK_REFUSED */
	/* BLK_READ, BLK_WRITE: bytes of the disk, within it, and where they go to or come from. */
	uint64_t offset, size;
	unsigned iov_count;
	struct iovec iov[VIRTQUEUE_SIZE_MAX]; /* guest memory */
	/* BLK_DISCARD, BLK_WRITE_ZEROES */
	unsigned range_count;
	struct blk_range ranges[BLK_RANGES_MAX];
};

/*
 * 0: *out is filled, and its answer goes into the chain's last writable byte. -EPROTO: the chain has
 * no room for a header or for a status, so there is no answer, and @err says what is missing.
 */
int blk_request_parse(const struct virtqueue_chain *chain, const struct blk_limits *limits,
                      struct blk_request *out, struct error *err);

#endif
