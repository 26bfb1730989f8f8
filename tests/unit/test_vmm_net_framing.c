/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_net_framing.c - frames in a byte stream, however the bytes come, and lengths that lie.
 */
#include "tests/unit/unit.h"

#include "vmm/virtio/net_framing.h"

static struct net_framing framing;

static int setup(void **state)
{
	(void)state;
	net_framing_init(&framing);
	return 0;
}

/* Puts @size bytes in, at most @step at once; every frame that comes out must be the next of @sizes. */
static unsigned feed(const uint8_t *bytes, size_t size, size_t step, const size_t *sizes)
{
	unsigned frames = 0;

	for (size_t at = 0; at < size;) {
		const uint8_t *frame;
		size_t room, length, n = size - at < step ? size - at : step;
		uint8_t *space = net_framing_space(&framing, &room);

		assert_true(room > 0);
		if (n > room)
			n = room;
		memcpy(space, bytes + at, n);
		net_framing_filled(&framing, n);
		at += n;
		int got;
		while ((got = net_framing_next(&framing, &frame, &length)) > 0) {
			assert_int_equal(length, sizes[frames]);
			for (size_t i = 0; i < length; i++)
				assert_int_equal(frame[i], (uint8_t)(length + i));
			frames++;
		}
		assert_int_equal(got, 0);
	}
	return frames;
}

static size_t put_frame(uint8_t *out, size_t size)
{
	net_framing_prefix(size, out);
	for (size_t i = 0; i < size; i++)
		out[NET_FRAMING_PREFIX + i] = (uint8_t)(size + i);
	return NET_FRAMING_PREFIX + size;
}

static void test_any_delivery(void **state)
{
	static const size_t sizes[] = { 14, 60, 1514, NET_FRAME_MAX, 15, NET_FRAME_MAX, 9000 };
	static const size_t steps[] = { 1, 2, 3, 5, 17, 4096, 65536, 1 << 20 };
	static uint8_t bytes[3 * (NET_FRAME_MAX + 4096)];
	size_t size = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		size += put_frame(bytes + size, sizes[i]);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		net_framing_init(&framing);
		assert_int_equal(feed(bytes, size, steps[i], sizes), ARRAY_SIZE(sizes));
	}
}

static void test_prefix_is_big_endian(void **state)
{
	uint8_t prefix[NET_FRAMING_PREFIX];

	(void)state;
	net_framing_prefix(0x10203, prefix);
	assert_memory_equal(prefix, "\0\1\2\3", sizeof(prefix));
}

static void test_short_frames_are_skipped(void **state)
{
	static const size_t sizes[] = { 14, 20 };
	uint8_t bytes[256];
	size_t size = 0;

	(void)state;
	size += put_frame(bytes + size, 0);
	size += put_frame(bytes + size, 13);
	size += put_frame(bytes + size, 14);
	size += put_frame(bytes + size, 0);
	size += put_frame(bytes + size, 1);
	size += put_frame(bytes + size, 20);
	for (size_t step = 1; step < size; step++) {
		net_framing_init(&framing);
		assert_int_equal(feed(bytes, size, step, sizes), 2);
	}
}

static void test_lengths_that_no_frame_has(void **state)
{
	static const size_t sizes[] = { NET_FRAME_MAX + 1, 0x1000000, 0x7fffffff, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const uint8_t *frame = NULL;
		size_t room, size = 0;

		net_framing_init(&framing);
		net_framing_prefix(sizes[i], net_framing_space(&framing, &room));
		net_framing_filled(&framing, NET_FRAMING_PREFIX - 1);
		assert_int_equal(net_framing_next(&framing, &frame, &size), 0);
		net_framing_filled(&framing, 1);
		assert_int_equal(net_framing_next(&framing, &frame, &size), -EPROTO);
		/* It stays that way until a new stream begins. */
		assert_int_equal(net_framing_next(&framing, &frame, &size), -EPROTO);
		assert_null(frame);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_any_delivery, setup),
		cmocka_unit_test_setup(test_prefix_is_big_endian, setup),
		cmocka_unit_test_setup(test_short_frames_are_skipped, setup),
		cmocka_unit_test_setup(test_lengths_that_no_frame_has, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
