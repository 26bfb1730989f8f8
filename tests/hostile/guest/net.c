/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net.c - frames with headers that lie, buffers that can't hold any, and a peer that is no better.
 *
 * The peer (net_peer.py) does what the byte behind the Ethernet header says.
 */
#include "tests/hostile/guest/hostile.h"

#define RX 0u
#define TX 1u
#define HEADER 12u
#define ETHERNET 14u
#define FRAME_MAX (65535u + 18u)
#define RX_SIZE 2048u
#define CONFIG_STATUS (REG_CONFIG + 6u)

#define F_CSUM (1ull << 0)
#define F_HOST_TSO4 (1ull << 11)
#define F_MRG_RXBUF (1ull << 15)

#define NEEDS_CSUM 1u
#define GSO_TCPV4 1u

struct header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

static struct queue rx, tx;
static uint8_t frame[HEADER + FRAME_MAX + 16];
static uint8_t rx_memory[64][RX_SIZE];
static uint16_t rx_seen;

static struct header *header(void)
{
	return (struct header *)(void *)frame;
}

static bool link_up(const struct dev *dev)
{
	return mmio_read(dev->base + CONFIG_STATUS, 2) & 1;
}

static void offer_rx(uint16_t count, uint32_t size)
{
	for (unsigned i = 0; i < count; i++) {
		queue_describe(&rx, (uint16_t)i, rx_memory[i], size, DESC_WRITE, 0);
		queue_publish(&rx, (uint16_t)i);
	}
	queue_kick(&rx);
}

static void start(struct dev *dev, uint16_t rx_count, uint32_t rx_size)
{
	dev_negotiate(dev, F_MRG_RXBUF);
	queue_start(&rx, dev, RX, 64);
	queue_start(&tx, dev, TX, 64);
	dev_go(dev);
	rx_seen = 0;
	memset(frame, 0, sizeof(frame));
	while (!link_up(dev))
		relax();
	if (rx_count)
		offer_rx(rx_count, rx_size);
}

static void start_well(struct dev *dev)
{
	start(dev, 48, RX_SIZE);
}

/* Header and frame of @size bytes in one buffer; the peer is to do @command. */
static void offer_frame(uint8_t command, uint32_t size)
{
	frame[HEADER + ETHERNET] = command;
	queue_describe(&tx, 0, frame, HEADER + size, 0, 0);
	queue_publish(&tx, 0);
	queue_kick(&tx);
}

static void send_frame(uint8_t command, uint32_t size)
{
	offer_frame(command, size);
	check(queue_await(&tx) == 0, "a sent frame has nothing written");
}

/* A frame of @size bytes comes, over as many buffers as it takes. */
static void expect_frame(uint32_t size)
{
	uint32_t left = HEADER + size;
	unsigned count = 0;

	while (left > 0) {
		while (queue_used(&rx) == rx_seen)
			relax();
		const struct used_elem *used = &rx.memory->used.ring[rx_seen % 64];
		uint32_t buffer_size = rx.memory->desc[used->id].len;

		if (count == 0)
			check(rx_memory[used->id][10] == (left + buffer_size - 1) / buffer_size,
			      "the number of buffers");
		check(used->len == (left < buffer_size ? left : buffer_size), "a part's length");
		left -= used->len <= left ? used->len : left;
		count++;
		rx_seen++;
	}
}

static void echo(uint32_t size)
{
	send_frame('E', size);
	expect_frame(size);
}

void serve_net(struct dev *dev)
{
	start_well(dev);
	echo(100);
	echo(5000);
}

static void expect_reset(struct dev *dev)
{
	await_needs_reset(dev);
	check(queue_used(&tx) == 0, "a frame that isn't sent isn't used");
}

/* --- headers --- */

static void net_header_alone(struct dev *dev)
{
	start_well(dev);
	queue_describe(&tx, 0, frame, HEADER, 0, 0);
	queue_publish(&tx, 0);
	queue_kick(&tx);
	expect_reset(dev);
}

static void net_header_short(struct dev *dev)
{
	start_well(dev);
	queue_describe(&tx, 0, frame, HEADER - 1, 0, 0);
	queue_publish(&tx, 0);
	queue_kick(&tx);
	expect_reset(dev);
}

static void net_header_in_pieces(struct dev *dev)
{
	start_well(dev);
	frame[HEADER + ETHERNET] = 'E';
	for (uint16_t i = 0; i < 40; i++)
		queue_describe(&tx, i, frame + i, i < 39 ? 1 : 100 + HEADER - 39,
		               i < 39 ? DESC_NEXT : 0, (uint16_t)(i + 1));
	queue_publish(&tx, 0);
	queue_kick(&tx);
	expect_frame(100);
}

static void net_checksum_not_negotiated(struct dev *dev)
{
	start_well(dev);
	*header() = (struct header){ .flags = NEEDS_CSUM, .csum_start = 34, .csum_offset = 16 };
	offer_frame('E', 100);
	expect_reset(dev);
}

static void net_checksum_outside(struct dev *dev)
{
	start_well(dev);
	*header() =
		(struct header){ .flags = NEEDS_CSUM, .csum_start = 0xffff, .csum_offset = 0xffff };
	offer_frame('E', 100);
	expect_reset(dev);
}

static void net_segments_not_negotiated(struct dev *dev)
{
	start_well(dev);
	*header() = (struct header){ .gso_type = GSO_TCPV4, .hdr_len = 54, .gso_size = 1448 };
	offer_frame('E', 5000);
	expect_reset(dev);
}

static void net_segments_of_one_byte(struct dev *dev)
{
	start_well(dev);
	*header() = (struct header){ .flags = NEEDS_CSUM,
		                     .gso_type = GSO_TCPV4,
		                     .hdr_len = 54,
		                     .gso_size = 1,
		                     .csum_start = 34,
		                     .csum_offset = 16 };
	offer_frame('E', FRAME_MAX);
	expect_reset(dev);
}

static void net_segments_of_no_type(struct dev *dev)
{
	start_well(dev);
	*header() = (struct header){ .gso_type = 0xff };
	offer_frame('E', 100);
	expect_reset(dev);
}

/* A stream can't carry them: they aren't offered, and asking for them all the same is refused. */
static void net_offloads_not_offered(struct dev *dev)
{
	check(!(dev_features(dev) & (F_CSUM | F_HOST_TSO4)), "no offloads over a stream");
	dev_negotiate(dev, F_CSUM | F_HOST_TSO4);
	check(!(dev_status(dev) & STATUS_FEATURES_OK), "not accepted");
}

static void net_header_garbage(struct dev *dev)
{
	start_well(dev);
	*header() = (struct header){ 0xfe, 0, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff };
	echo(100);
}

/* --- sizes --- */

static void net_frame_of(struct dev *dev, uint32_t size)
{
	start_well(dev);
	offer_frame('E', size);
	expect_reset(dev);
}

static void net_frame_too_short(struct dev *dev)
{
	net_frame_of(dev, ETHERNET - 1);
}

static void net_frame_too_long(struct dev *dev)
{
	net_frame_of(dev, FRAME_MAX + 1);
}

static void net_frame_huge(struct dev *dev)
{
	start_well(dev);
	queue_describe(&tx, 0, (void *)(uintptr_t)(16u << 20), 40u << 20, 0, 0);
	queue_publish(&tx, 0);
	queue_kick(&tx);
	expect_reset(dev);
}

static void net_frame_largest(struct dev *dev)
{
	start_well(dev);
	echo(FRAME_MAX);
}

static void net_frame_writable(struct dev *dev)
{
	start_well(dev);
	queue_describe(&tx, 0, frame, 100, DESC_NEXT, 1);
	queue_describe(&tx, 1, frame + 100, 100, DESC_WRITE, 0);
	queue_publish(&tx, 0);
	queue_kick(&tx);
	expect_reset(dev);
}

static void net_frame_many_times(struct dev *dev)
{
	start_well(dev);
	frame[HEADER + ETHERNET] = '-';
	queue_describe(&tx, 0, frame, HEADER + 60000, 0, 0);
	for (unsigned i = 0; i < 50; i++) {
		for (unsigned k = 0; k < 64; k++)
			queue_publish(&tx, 0);
		queue_kick(&tx);
		queue_await(&tx);
	}
	echo(100);
}

/* --- starvation --- */

static void net_no_buffers(struct dev *dev)
{
	start(dev, 0, 0);
	for (uint32_t i = 0; i < 60; i++)
		send_frame('E', 1000 + i);
	check(queue_used(&rx) == 0, "there was nowhere to put them");
	offer_rx(60, RX_SIZE);
	for (uint32_t i = 0; i < 60; i++)
		expect_frame(1000 + i);
}

static void net_too_few_buffers(struct dev *dev)
{
	start(dev, 2, RX_SIZE);
	send_frame('E', 5000);
	check(queue_used(&rx) == 0, "half a frame isn't delivered");
	offer_rx(1, RX_SIZE);
	expect_frame(5000);
}

static void net_buffers_too_small(struct dev *dev)
{
	start(dev, 64, 64);
	send_frame('E', 20000);
	echo(1000);
}

/* Small ones, so that the device takes all it can get: as many as the queue has entries. */
static void net_buffer_offered_twice(struct dev *dev)
{
	start(dev, 0, 0);
	queue_describe(&rx, 0, rx_memory[0], 64, DESC_WRITE, 0);
	for (unsigned i = 0; i < 128; i++) {
		queue_publish(&rx, 0);
		if (i % 64 == 63)
			queue_kick(&rx);
		if (i == 63)
			echo(40);
	}
	for (uint32_t i = 0; i < 100; i++)
		echo(15 + i % 30);
}

static void net_buffer_without_header(struct dev *dev)
{
	start(dev, 1, HEADER - 1);
	expect_reset(dev);
}

static void net_buffer_readable(struct dev *dev)
{
	start(dev, 0, 0);
	queue_describe(&rx, 0, rx_memory[0], RX_SIZE, 0, 0);
	queue_publish(&rx, 0);
	queue_kick(&rx);
	expect_reset(dev);
}

static void net_reset_storm(struct dev *dev)
{
	for (unsigned i = 0; i < 100; i++) {
		start_well(dev);
		offer_frame('E', 1000 + i);
	}
	dev_reset(dev);
	/* What was echoed meanwhile may still come: it is for nobody in particular. */
	start_well(dev);
	send_frame('C', 100);
	while (link_up(dev))
		relax();
}

/* --- peers --- */

static void await_link_down(struct dev *dev)
{
	while (link_up(dev))
		relax();
	check(reg_read(dev, REG_INTERRUPT_STATUS) & INTERRUPT_CONFIG, "the driver is told");
	send_frame('E', 100); /* it goes nowhere, and its buffer comes back */
}

static void net_peer_closes(struct dev *dev)
{
	start_well(dev);
	send_frame('C', 100);
	await_link_down(dev);
}

static void net_peer_closes_within_a_frame(struct dev *dev)
{
	start_well(dev);
	send_frame('H', 100);
	await_link_down(dev);
	check(queue_used(&rx) == 0, "half a frame isn't delivered");
}

static void peer_lies(struct dev *dev, uint32_t length)
{
	start_well(dev);
	for (unsigned i = 0; i < 4; i++)
		frame[HEADER + ETHERNET + 1 + i] = (uint8_t)(length >> (24 - 8 * i));
	send_frame('L', 100);
	await_link_down(dev);
	check(queue_used(&rx) == 0, "nothing of it is delivered");
}

static void net_peer_says_4_gib(struct dev *dev)
{
	peer_lies(dev, 0xffffffff);
}

static void net_peer_says_one_too_many(struct dev *dev)
{
	peer_lies(dev, FRAME_MAX + 1);
}

static void net_peer_sends_runts(struct dev *dev)
{
	start_well(dev);
	send_frame('R', 100);
	expect_frame(100);
}

static void net_peer_sends_byte_by_byte(struct dev *dev)
{
	start_well(dev);
	send_frame('B', 500);
	expect_frame(500);
}

/* Tells the peer to stop reading, and sends it more than a socket holds. */
static void stall(struct dev *dev)
{
	start_well(dev);
	send_frame('S', 100);
	frame[HEADER + ETHERNET] = '-';
	queue_describe(&tx, 0, frame, HEADER + 60000, 0, 0);
	for (unsigned i = 0; i < 64; i++)
		queue_publish(&tx, 0);
	queue_kick(&tx);
}

/* It stops reading; frames stay in the ring and nothing else waits. All arrive in the end. */
static void net_peer_stalls(struct dev *dev)
{
	stall(dev);
	serve(DEVICE_RNG);
	check(queue_used(&tx) != tx.published, "a socket doesn't hold 4 MB");
	print("net: resume\n");
	queue_await(&tx);
	echo(100);
}

/* Reset while a frame is half sent: the stream stays in step. */
static void net_reset_while_stalled(struct dev *dev)
{
	stall(dev);
	while (queue_used(&tx) < 3)
		relax();
	dev_reset(dev);
	print("net: resume\n");
	start_well(dev);
	echo(200);
}

#define NET_CASE(name, outcome) HOSTILE_CASE(name, DEVICE_NET, outcome)

const struct hostile_case net_cases[] = {
	NET_CASE(net_header_alone, NEEDS_RESET),
	NET_CASE(net_header_short, NEEDS_RESET),
	NET_CASE(net_header_in_pieces, SERVED),
	NET_CASE(net_checksum_not_negotiated, NEEDS_RESET),
	NET_CASE(net_checksum_outside, NEEDS_RESET),
	NET_CASE(net_segments_not_negotiated, NEEDS_RESET),
	NET_CASE(net_segments_of_one_byte, NEEDS_RESET),
	NET_CASE(net_segments_of_no_type, NEEDS_RESET),
	NET_CASE(net_offloads_not_offered, SERVED),
	NET_CASE(net_header_garbage, SERVED),
	NET_CASE(net_frame_too_short, NEEDS_RESET),
	NET_CASE(net_frame_too_long, NEEDS_RESET),
	NET_CASE(net_frame_huge, NEEDS_RESET),
	NET_CASE(net_frame_largest, SERVED),
	NET_CASE(net_frame_writable, NEEDS_RESET),
	NET_CASE(net_frame_many_times, SERVED),
	NET_CASE(net_no_buffers, SERVED),
	NET_CASE(net_too_few_buffers, SERVED),
	NET_CASE(net_buffers_too_small, SERVED),
	NET_CASE(net_buffer_offered_twice, SERVED),
	NET_CASE(net_buffer_without_header, NEEDS_RESET),
	NET_CASE(net_buffer_readable, NEEDS_RESET),
	NET_CASE(net_reset_storm, SERVED),
	NET_CASE(net_peer_closes, SERVED),
	NET_CASE(net_peer_closes_within_a_frame, SERVED),
	NET_CASE(net_peer_says_4_gib, SERVED),
	NET_CASE(net_peer_says_one_too_many, SERVED),
	NET_CASE(net_peer_sends_runts, SERVED),
	NET_CASE(net_peer_sends_byte_by_byte, SERVED),
	NET_CASE(net_peer_stalls, SERVED),
	NET_CASE(net_reset_while_stalled, SERVED),
	{ 0 },
};
