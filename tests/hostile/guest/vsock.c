/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock.c - lies about who speaks, how much there is, and who is connected.
 */
#include "tests/hostile/guest/stream.h"

#define PORT 5000u
#define BUFFER_SIZE (256u << 10) /* what the device says that it holds for a stream */

static struct vsock vsock;
static uint8_t data[32 << 10];

static void start(struct dev *dev)
{
	vsock_start(&vsock, dev, RX_BUFFERS);
}

static void send_data(uint32_t port, uint32_t to, uint32_t size)
{
	struct packet p = vsock_packet(&vsock, port, to, OP_RW);

	p.len = size;
	vsock_send(&vsock, &p, data, size);
}

/* Nothing is in the receive queue, and another stream finds all as it was. */
static void expect_silence(void)
{
	check(!vsock_pending(&vsock), "no answer");
	vsock_connect(&vsock, PORT + 1000, PORT_ECHO);
}

/* --- who speaks --- */

static void spoof(struct dev *dev, uint64_t src_cid, uint64_t dst_cid)
{
	start(dev);
	struct packet p = vsock_packet(&vsock, PORT, PORT_ECHO, OP_REQUEST);
	p.src_cid = src_cid;
	p.dst_cid = dst_cid;
	vsock_send(&vsock, &p, NULL, 0);
	expect_silence();
}

static void vsock_spoofed_source(struct dev *dev)
{
	spoof(dev, GUEST_CID + 1, HOST_CID);
}

static void vsock_source_is_host(struct dev *dev)
{
	spoof(dev, HOST_CID, HOST_CID);
}

static void vsock_source_beyond_32_bits(struct dev *dev)
{
	spoof(dev, GUEST_CID | 1ull << 32, HOST_CID);
}

static void vsock_to_another_guest(struct dev *dev)
{
	spoof(dev, GUEST_CID, GUEST_CID + 1);
}

static void vsock_to_itself(struct dev *dev)
{
	spoof(dev, GUEST_CID, GUEST_CID);
}

static void vsock_to_anybody(struct dev *dev)
{
	spoof(dev, GUEST_CID, 0xffffffff);
}

/* --- length lies --- */

static void vsock_header_short(struct dev *dev)
{
	start(dev);
	queue_describe(&vsock.tx, 0, data, 43, 0, 0);
	queue_publish(&vsock.tx, 0);
	queue_kick(&vsock.tx);
	queue_await(&vsock.tx);
	expect_silence();
}

static void lie_about_length(struct dev *dev, uint32_t claimed, uint32_t size)
{
	start(dev);
	vsock_connect(&vsock, PORT, PORT_ECHO);
	struct packet p = vsock_packet(&vsock, PORT, PORT_ECHO, OP_RW);
	p.len = claimed;
	vsock_send(&vsock, &p, data, size);
	vsock_expect(&vsock, PORT, PORT_ECHO, OP_RST);
}

static void vsock_length_one_too_many(struct dev *dev)
{
	lie_about_length(dev, 65, 64);
}

static void vsock_length_4_gib(struct dev *dev)
{
	lie_about_length(dev, 0xffffffff, 64);
}

static void vsock_length_without_data(struct dev *dev)
{
	lie_about_length(dev, 1, 0);
}

static void vsock_length_less_than_data(struct dev *dev)
{
	const uint8_t *echoed;

	start(dev);
	vsock_connect(&vsock, PORT, PORT_ECHO);
	struct packet p = vsock_packet(&vsock, PORT, PORT_ECHO, OP_RW);
	p.len = 5;
	vsock_send(&vsock, &p, data, 64);
	p = vsock_receive(&vsock, &echoed);
	check(p.op == OP_RW && p.len == 5, "what the length says, no more");
}

static void vsock_length_on_request(struct dev *dev)
{
	start(dev);
	struct packet p = vsock_packet(&vsock, PORT, PORT_ECHO, OP_REQUEST);
	p.len = 0xffffffff;
	vsock_send(&vsock, &p, NULL, 0);
	vsock_expect(&vsock, PORT, PORT_ECHO, OP_RST);
}

static void vsock_type_seqpacket(struct dev *dev)
{
	start(dev);
	struct packet p = vsock_packet(&vsock, PORT, PORT_ECHO, OP_REQUEST);
	p.type = 2;
	vsock_send(&vsock, &p, NULL, 0);
	vsock_expect(&vsock, PORT, PORT_ECHO, OP_RST);
}

static void vsock_zero_length_data(struct dev *dev)
{
	start(dev);
	vsock_connect(&vsock, PORT, PORT_ECHO);
	for (unsigned i = 0; i < 1000; i++)
		send_data(PORT, PORT_ECHO, 0);
	expect_silence();
}

static void vsock_header_in_pieces(struct dev *dev)
{
	static struct packet p;

	start(dev);
	p = vsock_packet(&vsock, PORT, PORT_ECHO, OP_REQUEST);
	for (unsigned i = 0; i < sizeof(p); i++)
		queue_describe(&vsock.tx, (uint16_t)i, (uint8_t *)&p + i, 1,
		               i + 1 < sizeof(p) ? DESC_NEXT : 0, (uint16_t)(i + 1));
	queue_publish(&vsock.tx, 0);
	queue_kick(&vsock.tx);
	queue_await(&vsock.tx);
	vsock_expect(&vsock, PORT, PORT_ECHO, OP_RESPONSE);
}

/* --- credit lies --- */

/* The host side never reads: its socket fills, then the device's buffer, and then comes too much. */
static void vsock_sends_beyond_credit(struct dev *dev)
{
	const uint8_t *said;

	start(dev);
	vsock_connect(&vsock, PORT, PORT_STALL);
	for (;;) {
		send_data(PORT, PORT_STALL, sizeof(data));
		if (!vsock_pending(&vsock))
			continue;
		struct packet p = vsock_receive(&vsock, &said);
		if (p.op == OP_CREDIT_UPDATE) {
			check(p.buf_alloc == BUFFER_SIZE, "what it holds");
			continue;
		}
		check(p.op == OP_RST, "closed, as it sent more than there is room for");
		return;
	}
}

static void vsock_no_credit_for_host(struct dev *dev)
{
	start(dev);
	vsock.buf_alloc = 0;
	vsock_connect(&vsock, PORT, PORT_SPRING);
	vsock_say(&vsock, PORT, PORT_SPRING, OP_CREDIT_REQUEST);
	vsock_expect(&vsock, PORT, PORT_SPRING, OP_CREDIT_UPDATE);
	expect_silence();
}

/* Claims to have taken bytes that were never sent: that's no credit at all, not 4 GiB of it. */
static void vsock_forwarded_too_much(struct dev *dev)
{
	start(dev);
	vsock.fwd_cnt = 0x80000000;
	vsock_connect(&vsock, PORT, PORT_SPRING);
	vsock_say(&vsock, PORT, PORT_SPRING, OP_CREDIT_REQUEST);
	vsock_expect(&vsock, PORT, PORT_SPRING, OP_CREDIT_UPDATE);
	expect_silence();
}

/* All the credit that 32 bits hold: the receive buffers bound what comes. */
static void vsock_credit_4_gib(struct dev *dev)
{
	const uint8_t *came;

	start(dev);
	vsock.buf_alloc = 0xffffffff;
	vsock_connect(&vsock, PORT, PORT_SPRING);
	for (unsigned i = 0; i < 200; i++) {
		struct packet p = vsock_receive(&vsock, &came);

		check(p.op == OP_RW && p.len > 0, "data");
	}
}

static void vsock_credit_taken_back(struct dev *dev)
{
	const uint8_t *came;

	start(dev);
	vsock.buf_alloc = 4096;
	vsock_connect(&vsock, PORT, PORT_SPRING);
	uint32_t got = 0;
	while (got < 4096)
		got += vsock_receive(&vsock, &came).len;
	check(got == 4096, "to the byte");
	vsock.buf_alloc = 1;
	vsock_say(&vsock, PORT, PORT_SPRING, OP_CREDIT_UPDATE);
	expect_silence();
}

static void vsock_credit_request_flood(struct dev *dev)
{
	start(dev);
	vsock_connect(&vsock, PORT, PORT_ECHO);
	for (unsigned i = 0; i < 2000; i++)
		vsock_say(&vsock, PORT, PORT_ECHO, OP_CREDIT_REQUEST);
	vsock_expect(&vsock, PORT, PORT_ECHO, OP_CREDIT_UPDATE);
}

/* --- who is connected --- */

/* More streams than there is room for: those beyond get a reset, those within are counted. */
static void vsock_connect_flood(struct dev *dev)
{
	unsigned answered = 0, refused = 0;
	const uint8_t *said;

	start(dev);
	for (uint32_t i = 0; i < 4096 && refused < 5; i++) {
		vsock_say(&vsock, 10000 + i, PORT_STALL, OP_REQUEST);
		struct packet p = vsock_receive(&vsock, &said);
		check(p.dst_port == 10000 + i, "an answer to each");
		answered += p.op == OP_RESPONSE;
		refused += p.op == OP_RST;
	}
	check(answered >= 1000, "a thousand streams");
	check(refused == 5, "and then no more");
}

/* Answers that nobody takes: they are bounded, and the guest's own loss. */
static void vsock_connect_flood_no_buffers(struct dev *dev)
{
	vsock_start(&vsock, dev, 0);
	for (uint32_t i = 0; i < 3000; i++)
		vsock_say(&vsock, 10000 + i, PORT_NOBODY, OP_REQUEST);
	dev_reset(dev);
}

static void vsock_port_reuse(struct dev *dev)
{
	start(dev);
	vsock_connect(&vsock, PORT, PORT_ECHO);
	vsock_say(&vsock, PORT, PORT_ECHO, OP_REQUEST);
	vsock_expect(&vsock, PORT, PORT_ECHO, OP_RST);
	vsock_connect(&vsock, PORT, PORT_ECHO);
}

static void vsock_port_reuse_storm(struct dev *dev)
{
	start(dev);
	for (unsigned i = 0; i < 300; i++) {
		vsock_connect(&vsock, PORT, PORT_STALL);
		vsock_say(&vsock, PORT, PORT_STALL, OP_RST);
	}
	expect_silence();
}

static void without_stream(struct dev *dev, unsigned op)
{
	start(dev);
	struct packet p = vsock_packet(&vsock, PORT, PORT_ECHO, op);
	p.len = op == OP_RW ? 64 : 0;
	p.flags = op == OP_SHUTDOWN ? SHUTDOWN_BOTH : 0;
	vsock_send(&vsock, &p, data, p.len);
	if (op == OP_RST)
		expect_silence();
	else
		vsock_expect(&vsock, PORT, PORT_ECHO, OP_RST);
}

static void vsock_data_without_stream(struct dev *dev)
{
	without_stream(dev, OP_RW);
}

static void vsock_response_without_request(struct dev *dev)
{
	without_stream(dev, OP_RESPONSE);
}

static void vsock_shutdown_without_stream(struct dev *dev)
{
	without_stream(dev, OP_SHUTDOWN);
}

static void vsock_reset_without_stream(struct dev *dev)
{
	without_stream(dev, OP_RST);
}

static void vsock_operation_zero(struct dev *dev)
{
	without_stream(dev, 0);
}

static void vsock_operation_unknown(struct dev *dev)
{
	start(dev);
	vsock_connect(&vsock, PORT, PORT_ECHO);
	vsock_say(&vsock, PORT, PORT_ECHO, 0xffff);
	vsock_expect(&vsock, PORT, PORT_ECHO, OP_RST);
}

static void vsock_response_twice(struct dev *dev)
{
	start(dev);
	vsock_connect(&vsock, PORT, PORT_ECHO);
	vsock_say(&vsock, PORT, PORT_ECHO, OP_RESPONSE);
	vsock_expect(&vsock, PORT, PORT_ECHO, OP_RST);
}

/* A host client asks to connect (run.py does); the guest sends before it says yes. */
static void vsock_data_before_response(struct dev *dev)
{
	const uint8_t *said;

	start(dev);
	print("connect to 6000\n");
	struct packet p = vsock_receive(&vsock, &said);
	check(p.op == OP_REQUEST && p.dst_port == 6000, "a request");
	uint32_t host_port = p.src_port;
	send_data(6000, host_port, 64);
	vsock_expect(&vsock, 6000, host_port, OP_RST);
}

static void vsock_shutdown_before_response(struct dev *dev)
{
	const uint8_t *said;

	start(dev);
	print("connect to 6000\n");
	struct packet p = vsock_receive(&vsock, &said);
	uint32_t host_port = p.src_port;
	p = vsock_packet(&vsock, 6000, host_port, OP_SHUTDOWN);
	p.flags = SHUTDOWN_BOTH;
	vsock_send(&vsock, &p, NULL, 0);
	vsock_expect(&vsock, 6000, host_port, OP_RST);
}

/* The host client's request, refused by a reset from a port that it wasn't for. */
static void vsock_answer_from_other_port(struct dev *dev)
{
	const uint8_t *said;

	start(dev);
	print("connect to 6000\n");
	struct packet p = vsock_receive(&vsock, &said);
	uint32_t host_port = p.src_port;
	vsock_say(&vsock, 6001, host_port, OP_RESPONSE);
	vsock_expect(&vsock, 6001, host_port, OP_RST);
	vsock_say(&vsock, 6000, host_port, OP_RST);
	expect_silence();
}

static void vsock_shutdown_twice(struct dev *dev)
{
	start(dev);
	vsock_connect(&vsock, PORT, PORT_STALL);
	struct packet p = vsock_packet(&vsock, PORT, PORT_STALL, OP_SHUTDOWN);
	for (uint32_t flags = 0; flags < 3; flags++) {
		p.flags = flags;
		vsock_send(&vsock, &p, NULL, 0);
		vsock_send(&vsock, &p, NULL, 0);
		if (flags == 1)
			check(!vsock_pending(&vsock), "one half is not the end");
	}
	vsock_expect(&vsock, PORT, PORT_STALL, OP_RST);
}

static void vsock_shutdown_unknown_flags(struct dev *dev)
{
	start(dev);
	vsock_connect(&vsock, PORT, PORT_STALL);
	struct packet p = vsock_packet(&vsock, PORT, PORT_STALL, OP_SHUTDOWN);
	p.flags = 0xfffffffc;
	vsock_send(&vsock, &p, NULL, 0);
	expect_silence();
}

static void vsock_data_after_shutdown(struct dev *dev)
{
	start(dev);
	vsock_connect(&vsock, PORT, PORT_STALL);
	struct packet p = vsock_packet(&vsock, PORT, PORT_STALL, OP_SHUTDOWN);
	p.flags = 2;
	vsock_send(&vsock, &p, NULL, 0);
	send_data(PORT, PORT_STALL, 64);
	vsock_expect(&vsock, PORT, PORT_STALL, OP_RST);
}

static void vsock_host_closes(struct dev *dev)
{
	const uint8_t *said;

	start(dev);
	vsock_say(&vsock, PORT, PORT_SHUT, OP_REQUEST);
	vsock_expect(&vsock, PORT, PORT_SHUT, OP_RESPONSE);
	vsock_expect(&vsock, PORT, PORT_SHUT, OP_SHUTDOWN);
	/* And the guest talks on, to nobody. */
	send_data(PORT, PORT_SHUT, 64);
	struct packet p = vsock_packet(&vsock, PORT, PORT_SHUT, OP_SHUTDOWN);
	p.flags = SHUTDOWN_BOTH;
	vsock_send(&vsock, &p, NULL, 0);
	do
		p = vsock_receive(&vsock, &said);
	while (p.op == OP_SHUTDOWN);
	check(p.op == OP_RST, "and then it ends");
}

/* --- queues --- */

static void vsock_receive_buffer_tiny(struct dev *dev)
{
	vsock_start(&vsock, dev, 0);
	queue_describe(&vsock.rx, 0, buffer, 44, DESC_WRITE, 0);
	queue_publish(&vsock.rx, 0);
	vsock_say(&vsock, PORT, PORT_NOBODY, OP_REQUEST);
	await_needs_reset(dev);
}

static void vsock_receive_buffer_readable(struct dev *dev)
{
	vsock_start(&vsock, dev, 0);
	queue_describe(&vsock.rx, 0, buffer, 2048, 0, 0);
	queue_publish(&vsock.rx, 0);
	vsock_say(&vsock, PORT, PORT_NOBODY, OP_REQUEST);
	await_needs_reset(dev);
}

static void vsock_broken_while_streams_run(struct dev *dev)
{
	start(dev);
	for (uint32_t i = 0; i < 20; i++)
		vsock_say(&vsock, PORT + i, i & 1 ? PORT_SPRING : PORT_STALL, OP_REQUEST);
	queue_publish(&vsock.tx, 256);
	queue_kick(&vsock.tx);
	await_needs_reset(dev);
}

static void vsock_reset_while_streams_run(struct dev *dev)
{
	for (unsigned round = 0; round < 20; round++) {
		start(dev);
		for (uint32_t i = 0; i < 20; i++)
			vsock_say(&vsock, PORT + i, i & 1 ? PORT_SPRING : PORT_ECHO, OP_REQUEST);
	}
}

static void vsock_event_queue_kicked(struct dev *dev)
{
	start(dev);
	queue_describe(&vsock.events, 0, buffer, 4, DESC_WRITE, 0);
	queue_publish(&vsock.events, 0);
	for (unsigned i = 0; i < 100; i++)
		queue_kick(&vsock.events);
	expect_silence();
	check(queue_used(&vsock.events) == 0, "there is no event");
}

#define CASE(name, outcome) HOSTILE_CASE(name, DEVICE_VSOCK, outcome)

const struct hostile_case vsock_cases[] = {
	CASE(vsock_spoofed_source, SERVED),
	CASE(vsock_source_is_host, SERVED),
	CASE(vsock_source_beyond_32_bits, SERVED),
	CASE(vsock_to_another_guest, SERVED),
	CASE(vsock_to_itself, SERVED),
	CASE(vsock_to_anybody, SERVED),
	CASE(vsock_header_short, SERVED),
	CASE(vsock_length_one_too_many, SERVED),
	CASE(vsock_length_4_gib, SERVED),
	CASE(vsock_length_without_data, SERVED),
	CASE(vsock_length_less_than_data, SERVED),
	CASE(vsock_length_on_request, SERVED),
	CASE(vsock_type_seqpacket, SERVED),
	CASE(vsock_zero_length_data, SERVED),
	CASE(vsock_header_in_pieces, SERVED),
	CASE(vsock_sends_beyond_credit, SERVED),
	CASE(vsock_no_credit_for_host, SERVED),
	CASE(vsock_forwarded_too_much, SERVED),
	CASE(vsock_credit_4_gib, SERVED),
	CASE(vsock_credit_taken_back, SERVED),
	CASE(vsock_credit_request_flood, SERVED),
	CASE(vsock_connect_flood, SERVED),
	CASE(vsock_connect_flood_no_buffers, SERVED),
	CASE(vsock_port_reuse, SERVED),
	CASE(vsock_port_reuse_storm, SERVED),
	CASE(vsock_data_without_stream, SERVED),
	CASE(vsock_response_without_request, SERVED),
	CASE(vsock_shutdown_without_stream, SERVED),
	CASE(vsock_reset_without_stream, SERVED),
	CASE(vsock_operation_zero, SERVED),
	CASE(vsock_operation_unknown, SERVED),
	CASE(vsock_response_twice, SERVED),
	CASE(vsock_data_before_response, SERVED),
	CASE(vsock_shutdown_before_response, SERVED),
	CASE(vsock_answer_from_other_port, SERVED),
	CASE(vsock_shutdown_twice, SERVED),
	CASE(vsock_shutdown_unknown_flags, SERVED),
	CASE(vsock_data_after_shutdown, SERVED),
	CASE(vsock_host_closes, SERVED),
	CASE(vsock_receive_buffer_tiny, NEEDS_RESET),
	CASE(vsock_receive_buffer_readable, NEEDS_RESET),
	CASE(vsock_broken_while_streams_run, NEEDS_RESET),
	CASE(vsock_reset_while_streams_run, SERVED),
	CASE(vsock_event_queue_kicked, SERVED),
	{ 0 },
};
