/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_net_header.c - vmm/virtio/net_header.c: what of a guest's header reaches the host's kernel.
 *
 *	12 bytes of header, u32 size of the frame, u64 features
 */
#include <endian.h>
#include <linux/virtio_net.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/virtio/net_header.h"

void fuzz_init(void)
{
}

void fuzz_one(struct input *in)
{
	uint8_t raw[NET_HEADER_SIZE] = { 0 }, checked[NET_HEADER_SIZE];
	struct virtio_net_hdr_v1 header;
	const uint8_t *bytes;

	size_t taken = input_bytes(in, sizeof(raw), &bytes);
	memcpy(raw, bytes, taken);
	uint64_t size = input_u32(in), features = input_number(in, 8);

	if (net_header_check(raw, size, features, checked))
		return;
	memcpy(&header, checked, sizeof(header));
	bool checksum = header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	CHECK(size >= NET_FRAME_MIN && size <= NET_FRAME_MAX);
	CHECK((header.flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 && header.num_buffers == 0);
	CHECK(!checksum || (features & NET_F(VIRTIO_NET_F_CSUM)));
	CHECK(!checksum ||
	      (uint64_t)le16toh(header.csum_start) + le16toh(header.csum_offset) + 2 <= size);
	CHECK(le16toh(header.hdr_len) <= size);
	if (header.gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return;
	CHECK(checksum && header.gso_size != 0);
	CHECK(header.gso_type == VIRTIO_NET_HDR_GSO_TCPV4
	              ? features & NET_F(VIRTIO_NET_F_HOST_TSO4)
	              : header.gso_type == VIRTIO_NET_HDR_GSO_TCPV6 &&
	                        features & NET_F(VIRTIO_NET_F_HOST_TSO6));
}
