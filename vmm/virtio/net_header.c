/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_header.c - see net_header.h. Rules for what a driver transmits (§5.1.6.2):
 *
 *  N1  a frame has 14 to NET_FRAME_MAX bytes.
 *  N2  a checksum to be filled in only if negotiated, and its field lies within the frame, behind
 *      the Ethernet header.
 *  N3  segmentation only of a negotiated type, only with a checksum to be filled in, with segments
 *      of at least SEGMENT_MIN bytes, and its headers lie within the frame.
 *
 * What the header says beyond that is not passed on. The frame itself is the guest's to write, and
 * the host kernel's to distrust: it may change after we looked.
 */
#include "vmm/virtio/net_header.h"

#include <endian.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <string.h>

/* Linux' TCP_MIN_GSO_SIZE. One byte a segment would make 65,000 frames of one. */
#define SEGMENT_MIN 8

_Static_assert(sizeof(struct virtio_net_hdr_v1) == NET_HEADER_SIZE, "virtio 1.2 §5.1.6");

static bool type_negotiated(uint8_t gso_type, uint64_t features)
{
	switch (gso_type) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return features & NET_F(VIRTIO_NET_F_HOST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return features & NET_F(VIRTIO_NET_F_HOST_TSO6);
	default:
		return false;
	}
}

const char *net_header_check(const uint8_t raw[NET_HEADER_SIZE], uint64_t frame_size,
                             uint64_t features, uint8_t out_header[NET_HEADER_SIZE])
{
	struct virtio_net_hdr_v1 in, out = { 0 };

	memcpy(&in, raw, sizeof(in));
	if (frame_size < NET_FRAME_MIN || frame_size > NET_FRAME_MAX)
		return "N1: frame too short or too long";
	if (in.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		uint32_t start = le16toh(in.csum_start), field = start + le16toh(in.csum_offset);

		if (!(features & NET_F(VIRTIO_NET_F_CSUM)))
			return "N2: checksum to be filled in, not negotiated";
		if (start < NET_FRAME_MIN || field + sizeof(uint16_t) > frame_size)
			return "N2: checksum outside the frame";
		out.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		out.csum_start = in.csum_start;
		out.csum_offset = in.csum_offset;
	}
	if (in.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		if (!type_negotiated(in.gso_type, features))
			return "N3: segmentation of a type not negotiated";
		if (!out.flags)
			return "N3: segmentation without a checksum to be filled in";
		if (le16toh(in.gso_size) < SEGMENT_MIN)
			return "N3: segments too small";
		if (le16toh(in.hdr_len) > frame_size)
			return "N3: headers beyond the frame";
		out.gso_type = in.gso_type;
		out.gso_size = in.gso_size;
		out.hdr_len = in.hdr_len;
	}
	memcpy(out_header, &out, sizeof(out));
	return NULL;
}
