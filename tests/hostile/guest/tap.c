/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tap.c - lies about checksums and segments that only a tap's offloads make possible.
 *
 * An echo is behind the tap (tap.py). The cases look for the device, judge its state and use it
 * afterwards by themselves: a tap's network says things of its own and may lose frames, so the card
 * serves when a frame of ours comes back at all.
 */
#include "tests/hostile/guest/hostile.h"

#define Q_RX 0u
#define Q_TX 1u
#define QUEUE_SIZE 64u
#define HEADER 12u
#define FRAME_SIZE 60u
#define FRAME_MAX 60000u
#define BUFFER_SIZE 2048u
#define NUMBER_AT 20u
#define RESEND_AFTER 1000000u /* looks */

#define F_CSUM (1ull << 0)
#define F_HOST_TSO4 (1ull << 11)
#define NEEDS_CSUM 1u
#define GSO_TCPV4 1u
#define TCP_HEADERS 54u

/* struct virtio_net_hdr_v1 and the frame behind it. */
static struct {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, buffers;
	uint8_t bytes[FRAME_MAX];
} __attribute__((packed)) out;
static uint8_t in[BUFFER_SIZE];
static struct queue rx, tx;

static void start(struct dev *dev, uint64_t features)
{
	memset(&out, 0, sizeof(out));
	dev_negotiate(dev, features);
	queue_start(&rx, dev, Q_RX, QUEUE_SIZE);
	queue_start(&tx, dev, Q_TX, QUEUE_SIZE);
	queue_describe(&rx, 0, in, sizeof(in), DESC_WRITE, 0);
	queue_publish(&rx, 0);
	dev_go(dev);
	queue_kick(&rx);
}

static void offer(uint32_t size)
{
	queue_describe(&tx, 0, &out, HEADER + size, 0, 0);
	queue_publish(&tx, 0);
	queue_kick(&tx);
}

static void transmit(uint32_t size)
{
	offer(size);
	queue_await(&tx);
}

/* Looks at what came, and gives the buffer back. Is it the frame with this number? */
static bool came_back(uint8_t number)
{
	bool is_it = in[HEADER] == 0xee && in[HEADER + NUMBER_AT] == number;

	queue_publish(&rx, 0);
	queue_kick(&rx);
	return is_it;
}

static void serve_tap(struct dev *dev)
{
	static uint8_t number;

	start(dev, 0);
	memset(out.bytes, 0xee, FRAME_SIZE);
	out.bytes[NUMBER_AT] = ++number;
	for (unsigned looked = 0, frames = 1;; looked++) {
		if (looked % RESEND_AFTER == 0)
			transmit(FRAME_SIZE);
		if (queue_used(&rx) == (uint16_t)frames) {
			if (came_back(number))
				break;
			frames++;
		}
		relax();
	}
	check(!(dev_status(dev) & STATUS_NEEDS_RESET), "serve: all is well");
	dev_reset(dev);
}

/* An IPv4 segment of TCP as a driver would hand it over, for the host to cut up. */
static bool start_segment(struct dev *dev)
{
	static const uint8_t headers[TCP_HEADERS] = {
		[0] = 2,     [6] = 2,    [12] = 8, [14] = 0x45, [16] = 0x9c,
		[17] = 0x40, [22] = 64,  [23] = 6, [26] = 192,  [28] = 2,
		[29] = 1,    [30] = 192, [32] = 2, [33] = 2,    [46] = 0x50
	};

	if (!dev_find(dev, DEVICE_NET))
		return false;
	bool offered = dev_features(dev) & F_HOST_TSO4;
	check(offered, "a tap offers segmentation");
	start(dev, F_CSUM | F_HOST_TSO4);
	memcpy(out.bytes, headers, sizeof(headers));
	out.flags = NEEDS_CSUM;
	out.csum_start = 34;
	out.csum_offset = 16;
	out.gso_type = GSO_TCPV4;
	out.gso_size = 1448;
	out.hdr_len = TCP_HEADERS;
	return offered;
}

static void expect_reset(struct dev *dev, uint32_t size)
{
	offer(size);
	await_needs_reset(dev);
	check(reg_read(dev, REG_INTERRUPT_STATUS) & INTERRUPT_CONFIG, "the driver is told");
	check(queue_used(&tx) == 0, "a broken frame isn't used");
	serve_tap(dev);
}

static void tap_segments_good(struct dev *dev)
{
	if (!start_segment(dev))
		return;
	transmit(40000 + 14);
	serve_tap(dev);
}

/* Offloads in order on a frame that isn't: the host's kernel may do with it what it likes. */
static void tap_segments_of_garbage(struct dev *dev)
{
	if (!start_segment(dev))
		return;
	for (unsigned i = 0; i < 200; i++) {
		for (unsigned k = 0; k < TCP_HEADERS; k++)
			out.bytes[k] = (uint8_t)random32();
		out.gso_size = (uint16_t)(8 + random32() % 2000);
		out.csum_start = (uint16_t)(14 + random32() % 40);
		transmit(100 + random32() % 2000);
	}
	serve_tap(dev);
}

static void tap_segments_of_one_byte(struct dev *dev)
{
	if (!start_segment(dev))
		return;
	out.gso_size = 1;
	expect_reset(dev, 40000);
}

static void tap_segments_without_checksum(struct dev *dev)
{
	if (!start_segment(dev))
		return;
	out.flags = 0;
	expect_reset(dev, 40000);
}

static void tap_segments_headers_beyond(struct dev *dev)
{
	if (!start_segment(dev))
		return;
	out.hdr_len = 101;
	expect_reset(dev, 100);
}

static void tap_segments_of_no_type(struct dev *dev)
{
	if (!start_segment(dev))
		return;
	out.gso_type = 0x7f;
	expect_reset(dev, 40000);
}

static void tap_checksum_outside(struct dev *dev)
{
	if (!start_segment(dev))
		return;
	out.csum_start = 0xffff;
	out.csum_offset = 0xffff;
	expect_reset(dev, FRAME_SIZE);
}

static void tap_checksum_before(struct dev *dev)
{
	if (!start_segment(dev))
		return;
	out.csum_start = 0;
	expect_reset(dev, FRAME_SIZE);
}

#define CASE(name) HOSTILE_CASE(name, 0, SERVED)

const struct hostile_case tap_cases[] = {
	CASE(tap_segments_good),
	CASE(tap_segments_of_garbage),
	CASE(tap_segments_of_one_byte),
	CASE(tap_segments_without_checksum),
	CASE(tap_segments_headers_beyond),
	CASE(tap_segments_of_no_type),
	CASE(tap_checksum_outside),
	CASE(tap_checksum_before),
	{ 0 },
};
