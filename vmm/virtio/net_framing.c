/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/virtio/net_framing.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "lib/log.h"

void net_framing_init(struct net_framing *framing)
{
	framing->start = framing->end = 0;
}

uint8_t *net_framing_space(struct net_framing *framing, size_t *out_size)
{
	if (framing->start > 0) {
		framing->end -= framing->start;
		memmove(framing->bytes, framing->bytes + framing->start, framing->end);
		framing->start = 0;
	}
	*out_size = sizeof(framing->bytes) - framing->end;
	return framing->bytes + framing->end;
}

void net_framing_filled(struct net_framing *framing, size_t size)
{
	ASSERT(size <= sizeof(framing->bytes) - framing->end);
	framing->end += size;
}

int net_framing_next(struct net_framing *framing, const uint8_t **out_frame, size_t *out_size)
{
	while (framing->end - framing->start >= NET_FRAMING_PREFIX) {
		const uint8_t *at = framing->bytes + framing->start;
		uint32_t size;

		memcpy(&size, at, sizeof(size));
		size = be32toh(size);
		if (size > NET_FRAME_MAX)
			return -EPROTO;
		if (framing->end - framing->start < NET_FRAMING_PREFIX + size)
			return 0;
		framing->start += NET_FRAMING_PREFIX + size;
		if (size < NET_FRAME_MIN)
			continue;
		*out_frame = at + NET_FRAMING_PREFIX;
		*out_size = size;
		return 1;
	}
	return 0;
}

void net_framing_prefix(size_t size, uint8_t out_prefix[NET_FRAMING_PREFIX])
{
	uint32_t length = htobe32((uint32_t)size);

	memcpy(out_prefix, &length, sizeof(length));
}
