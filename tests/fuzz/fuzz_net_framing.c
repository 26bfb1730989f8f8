/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_net_framing.c - vmm/virtio/net_framing.c: however a stream is cut, the frames are the same.
 *
 * The input is pieces: u8 how long, and the bytes; 255 stands for a long piece of one byte's value. A
 * plain walk over the whole stream says which frames there are.
 */
#include <endian.h>
#include <errno.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/virtio/net_framing.h"

#define STREAM_MAX (512u << 10)
#define LONG_PIECE 20000u

static uint8_t stream[STREAM_MAX];
static size_t stream_end;   /* bytes that have come */
static size_t stream_taken; /* up to the last frame that was looked for */

void fuzz_init(void)
{
}

/* What the stream says comes next. 1: its place and size; 0: not yet whole; -EPROTO. */
static int expect_frame(size_t *out_at, size_t *out_size)
{
	while (stream_end - stream_taken >= NET_FRAMING_PREFIX) {
		uint32_t size;

		memcpy(&size, stream + stream_taken, sizeof(size));
		size = be32toh(size);
		if (size > NET_FRAME_MAX)
			return -EPROTO;
		if (stream_end - stream_taken - NET_FRAMING_PREFIX < size)
			return 0;
		*out_at = stream_taken + NET_FRAMING_PREFIX;
		*out_size = size;
		stream_taken += NET_FRAMING_PREFIX + size;
		if (size >= NET_FRAME_MIN)
			return 1;
	}
	return 0;
}

/* False: the stream can't be followed any further. */
static bool drain(struct net_framing *framing)
{
	const uint8_t *frame;
	size_t size, at, expected_size;
	int got;

	do {
		int expected = expect_frame(&at, &expected_size);

		got = net_framing_next(framing, &frame, &size);
		CHECK(got == expected);
		CHECK(got <= 0 || (size == expected_size && memcmp(frame, stream + at, size) == 0));
	} while (got > 0);
	return got == 0;
}

void fuzz_one(struct input *in)
{
	static struct net_framing framing;
	bool alive = true;

	stream_end = stream_taken = 0;
	net_framing_init(&framing);
	while (alive && in->size > 0 && stream_end + LONG_PIECE <= STREAM_MAX) {
		uint8_t length = input_u8(in);
		const uint8_t *bytes;
		size_t size = length, room;

		if (length == 255) {
			size = LONG_PIECE;
			memset(stream + stream_end, input_u8(in), size);
		} else {
			size = input_bytes(in, size, &bytes);
			memcpy(stream + stream_end, bytes, size);
		}
		uint8_t *space = net_framing_space(&framing, &room);
		CHECK(room >= LONG_PIECE);
		memcpy(space, stream + stream_end, size);
		net_framing_filled(&framing, size);
		stream_end += size;
		alive = drain(&framing);
	}
}
