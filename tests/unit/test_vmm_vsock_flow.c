/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_vsock_flow.c - the vsock device: batches, fairness, back-pressure, halves, ports. Wraps
 * clock_gettime: time stands still unless a test moves it.
 */
#include "tests/unit/vmm_vsock_bed.h"

#include <time.h>

#include "lib/clock.h"
#include "vmm/virtio/vsock_device.h"

#define SMALL_PORT (GUEST_PORT + 1)

static uint64_t fake_now_ns = NS_PER_S;

int __wrap_clock_gettime(clockid_t clock, struct timespec *out_time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *out_time)
{
	(void)clock;
	*out_time = (struct timespec){ .tv_sec = (time_t)(fake_now_ns / NS_PER_S),
		                       .tv_nsec = (long)(fake_now_ns % NS_PER_S) };
	return 0;
}

static struct vsock *device(struct bed *bed)
{
	return container_of(bed->dev, struct vsock, dev);
}

static struct vsock_conn *stream(struct bed *bed, uint32_t guest_port)
{
	return vsock_table_find(&device(bed)->table, HOST_PORT, guest_port);
}

/* One more stream to the service; the host program's end is the caller's. */
static int connect_from(struct bed *bed, uint32_t guest_port, uint32_t credit)
{
	struct vsock_packet p = packet_of(VSOCK_OP_REQUEST);

	p.src_port = guest_port;
	p.buf_alloc = credit;
	send_data(bed, &p, NULL, 0);
	expect(bed, VSOCK_OP_RESPONSE);
	int fd = bed->service_fd;
	bed->service_fd = -1;
	return fd;
}

static void shut(struct bed *bed, uint32_t flags)
{
	struct vsock_packet p = packet_of(VSOCK_OP_SHUTDOWN);

	p.flags = flags;
	send_data(bed, &p, NULL, 0);
}

/* Sends until something stays in the buffer: nobody reads at the host. What was sent. */
static size_t fill_buffer(struct bed *bed)
{
	static uint8_t data[4096];
	struct vsock_packet p = packet_of(VSOCK_OP_RW);
	size_t sent = 0;

	p.len = sizeof(data);
	while (stream(bed, GUEST_PORT)->buffer_used == 0) {
		send_data(bed, &p, data, sizeof(data));
		sent += sizeof(data);
		while (receive(bed))
			assert_int_equal(bed->packet.op, VSOCK_OP_CREDIT_UPDATE);
	}
	return sent;
}

static size_t read_all(struct bed *bed, int fd)
{
	static uint8_t data[65536];
	size_t all = 0;
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) > 0) {
		all += (size_t)n;
		fake_kvm_rounds(bed->loop, 2);
	}
	return all;
}

/* --- batches and fairness --- */

/* A read fills many receive buffers, in order, and takes no more of them than it needs. */
static void test_one_read_many_packets(void **state)
{
	static uint8_t data[40000];
	const uint32_t part = RX_BUFFER_SIZE - VSOCK_HEADER_SIZE;
	struct bed *bed = *state;
	size_t at = 0;

	start(bed, QUEUE_SIZE);
	int fd = connect_from(bed, GUEST_PORT, UINT32_MAX);
	stream(bed, GUEST_PORT)->appetite = 64 << 10;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i % 249);
	assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
	fake_kvm_rounds(bed->loop, 1);
	assert_int_equal(*bed->rings[RX].used_idx - bed->rx_seen, (sizeof(data) + part - 1) / part);
	while (at < sizeof(data)) {
		expect(bed, VSOCK_OP_RW);
		assert_true(bed->packet.len == part || at + bed->packet.len == sizeof(data));
		assert_memory_equal(bed->data, data + at, bed->packet.len);
		at += bed->packet.len;
	}
	expect_nothing(bed);
	/* What wasn't needed is in the ring still. */
	assert_int_equal(virtqueue_waiting(&bed->dev->queues[RX]), QUEUE_SIZE);
	close(fd);
}

/* Buffers in pieces: the header over two of them, data over the others. */
static void test_receive_buffers_in_pieces(void **state)
{
	struct bed *bed = *state;
	struct ring *rx = &bed->rings[RX];

	start(bed, 0);
	for (uint16_t i = 0; i < 8; i++) {
		uint64_t at = RX_BUFFERS + i * RX_BUFFER_SIZE;
		uint16_t d = (uint16_t)(4 * i);

		ring_describe(rx, d, at, 20, RING_F_WRITE | RING_F_NEXT, (uint16_t)(d + 1));
		ring_describe(rx, (uint16_t)(d + 1), at + 20, 30, RING_F_WRITE | RING_F_NEXT,
		              (uint16_t)(d + 2));
		ring_describe(rx, (uint16_t)(d + 2), at + 50, 5, RING_F_WRITE, 0);
		ring_offer(rx, d);
	}
	fake_kvm_notify(BASE + REG_QUEUE_NOTIFY, RX);
	send_op(bed, VSOCK_OP_REQUEST);
	fake_kvm_rounds(bed->loop, 1);
	assert_int_equal(*rx->used_idx, 1);
	assert_int_equal(write(bed->service_fd, "abcdefghijklmnopqrstuvwxyz", 26), 26);
	fake_kvm_rounds(bed->loop, 2);
	assert_int_equal(*rx->used_idx, 4); /* 11 + 11 + 4 */
	for (uint16_t i = 1; i < 4; i++) {
		const uint8_t *at = bed->memory.ram + RX_BUFFERS + i * RX_BUFFER_SIZE;
		struct ring_used used = ring_used_before(rx, (uint16_t)(i + 1));

		vsock_packet_decode(at, &bed->packet);
		assert_int_equal(used.id, 4 * i);
		assert_int_equal(bed->packet.op, VSOCK_OP_RW);
		assert_int_equal(bed->packet.len, i < 3 ? 11 : 4);
		assert_int_equal(used.len, VSOCK_HEADER_SIZE + bed->packet.len);
		assert_memory_equal(at + VSOCK_HEADER_SIZE,
		                    &"abcdefghijklmnopqrstuvwxyz"[11 * (i - 1)], bed -> packet.len);
	}
}

/* Four that send all they can share the receive buffers by bytes; one with little waits for a round. */
static void test_fair_by_bytes(void **state)
{
	static uint8_t data[150000];
	struct bed *bed = *state;
	size_t got[5] = { 0 }, least = SIZE_MAX, most = 0;
	int fds[5];

	start(bed, QUEUE_SIZE);
	for (unsigned i = 0; i < 5; i++)
		fds[i] = connect_from(bed, GUEST_PORT + i, UINT32_MAX);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(write(fds[i], data, sizeof(data)), sizeof(data));
	size_t total = 0, small_at = 0;
	while (total < 3 * sizeof(data)) {
		expect(bed, VSOCK_OP_RW);
		unsigned i = bed->packet.dst_port - GUEST_PORT;
		got[i] += bed->packet.len;
		total += bed->packet.len;
		if (i == 4)
			small_at = total;
		if (total > sizeof(data) && total - bed->packet.len <= sizeof(data))
			assert_int_equal(write(fds[4], "little", 6), 6);
	}
	for (unsigned i = 0; i < 4; i++) {
		least = got[i] < least ? got[i] : least;
		most = got[i] > most ? got[i] : most;
	}
	/* A round is 64 KiB of each; the buffers in the ring were filled before the little one came. */
	assert_true(most - least <= 2 * (64u << 10));
	assert_int_equal(got[4], 6);
	assert_true(small_at < sizeof(data) + 4 * (64u << 10) + QUEUE_SIZE * RX_BUFFER_SIZE);
	for (unsigned i = 0; i < 5; i++)
		close(fds[i]);
}

/* --- back-pressure --- */

/* A host program that doesn't read stops its own stream: another works on. */
static void test_host_does_not_read(void **state)
{
	struct bed *bed = *state;
	struct vsock_packet p = packet_of(VSOCK_OP_RW);
	char text[8];

	start(bed, QUEUE_SIZE);
	int slow = connect_from(bed, GUEST_PORT, 65536),
	    quick = connect_from(bed, SMALL_PORT, 65536);
	size_t sent = fill_buffer(bed);
	p.src_port = SMALL_PORT;
	p.len = 2;
	for (unsigned i = 0; i < 100; i++) {
		send_data(bed, &p, "hi", 2);
		assert_int_equal(read(quick, text, sizeof(text)), 2);
		assert_int_equal(write(quick, "ho", 2), 2);
		expect(bed, VSOCK_OP_RW);
		assert_int_equal(bed->packet.dst_port, SMALL_PORT);
	}
	assert_int_equal(read_all(bed, slow), sent);
	assert_int_equal(stream(bed, GUEST_PORT)->buffer_used, 0);
	close(slow);
	close(quick);
}

/* Likewise a guest program: what it has no credit for stays in its host program's socket. */
static void test_guest_does_not_read(void **state)
{
	static uint8_t data[100000];
	struct bed *bed = *state;

	start(bed, QUEUE_SIZE);
	int slow = connect_from(bed, GUEST_PORT, 1000),
	    quick = connect_from(bed, SMALL_PORT, 65536);
	assert_int_equal(write(slow, data, sizeof(data)), sizeof(data));
	expect(bed, VSOCK_OP_RW);
	assert_int_equal(bed->packet.len, 1000);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(write(quick, "ho", 2), 2);
		expect(bed, VSOCK_OP_RW);
		assert_int_equal(bed->packet.dst_port, SMALL_PORT);
	}
	assert_false(stream(bed, GUEST_PORT)->ready);
	close(slow);
	close(quick);
}

/* The guest hears of room when half of the buffer was taken, and not for each packet. */
static void test_credit_updates(void **state)
{
	static uint8_t data[4096];
	struct bed *bed = *state;
	struct vsock_packet p = packet_of(VSOCK_OP_RW);
	unsigned updates = 0;

	connect_service(bed);
	p.len = sizeof(data);
	for (unsigned i = 0; i < 4 * VSOCK_BUFFER_SIZE / sizeof(data); i++) {
		send_data(bed, &p, data, sizeof(data));
		read_all(bed, bed->service_fd);
		while (receive(bed)) {
			assert_int_equal(bed->packet.op, VSOCK_OP_CREDIT_UPDATE);
			assert_int_equal(bed->packet.buf_alloc, VSOCK_BUFFER_SIZE);
			updates++;
		}
	}
	assert_int_equal(updates, 8);
	assert_int_equal(bed->packet.fwd_cnt, 4 * VSOCK_BUFFER_SIZE);
}

/* Only the first have large buffers, so that all together stay within what vsock.h promises. */
static void test_buffers_of_many(void **state)
{
	struct bed *bed = *state;
	struct vsock_packet p = packet_of(VSOCK_OP_REQUEST);

	start(bed, 8);
	for (uint32_t i = 0; i < VSOCK_LARGE_MAX + 2; i++) {
		p.src_port = 10000 + i;
		send_data(bed, &p, NULL, 0);
		expect(bed, VSOCK_OP_RESPONSE);
		assert_int_equal(bed->packet.buf_alloc,
		                 i < VSOCK_LARGE_MAX ? VSOCK_BUFFER_SIZE : VSOCK_BUFFER_SMALL);
		/* The service may be gone: the streams stay until the guest has confirmed. */
		while (receive(bed))
			assert_int_equal(bed->packet.op, VSOCK_OP_SHUTDOWN);
	}
	p.op = VSOCK_OP_RST;
	p.src_port = 10000;
	send_data(bed, &p, NULL, 0);
	p.op = VSOCK_OP_REQUEST;
	send_data(bed, &p, NULL, 0);
	expect(bed, VSOCK_OP_RESPONSE);
	assert_int_equal(bed->packet.buf_alloc, VSOCK_BUFFER_SIZE);
}

/* --- halves and ends --- */

static void test_guest_stops_receiving(void **state)
{
	struct bed *bed = *state;
	char text[8];

	connect_service(bed);
	shut(bed, VSOCK_NO_RECEIVE);
	assert_int_equal(send(bed->service_fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	expect_nothing(bed);
	send_text(bed, "still");
	assert_int_equal(read(bed->service_fd, text, sizeof(text)), 5);
	shut(bed, VSOCK_NO_RECEIVE); /* twice */
	expect_nothing(bed);
	shut(bed, VSOCK_NO_SEND);
	expect(bed, VSOCK_OP_RST);
	assert_closed(bed->service_fd);
	shut(bed, VSOCK_CLOSED); /* of a stream that is no more */
	expect(bed, VSOCK_OP_RST);
	expect_nothing(bed);
}

static void test_host_stops_receiving(void **state)
{
	struct bed *bed = *state;

	connect_service(bed);
	assert_int_equal(shutdown(bed->service_fd, SHUT_RD), 0);
	send_text(bed, "nobody reads this");
	expect(bed, VSOCK_OP_SHUTDOWN);
	assert_int_equal(bed->packet.flags, VSOCK_NO_RECEIVE);
	send_text(bed, "nor this");
	expect_nothing(bed);
	assert_int_equal(write(bed->service_fd, "answer", 6), 6);
	expect(bed, VSOCK_OP_RW);
	assert_int_equal(bed->packet.len, 6);
}

/* A client that says all it has to say, and that this is all, before it is even accepted. */
static void test_client_in_a_hurry(void **state)
{
	struct bed *bed = *state;
	struct vsock_packet p = packet_of(VSOCK_OP_RESPONSE);
	char text[64];

	for (unsigned early = 0; early < 2; early++) {
		start(bed, 8);
		fake_kvm_rounds(bed->loop, 1);
		int fd = connect_host(bed);
		assert_int_equal(write(fd, "CONNECT 52\nall", 14), 14);
		if (early)
			assert_int_equal(shutdown(fd, SHUT_WR), 0);
		expect(bed, VSOCK_OP_REQUEST);
		if (!early)
			assert_int_equal(shutdown(fd, SHUT_WR), 0);
		expect_nothing(bed);
		p.src_port = 52;
		p.dst_port = bed->packet.src_port;
		send_data(bed, &p, NULL, 0);
		expect(bed, VSOCK_OP_RW);
		assert_int_equal(bed->packet.len, 3);
		expect(bed, VSOCK_OP_SHUTDOWN);
		assert_int_equal(bed->packet.flags, VSOCK_NO_SEND);
		expect_nothing(bed);
		assert_true(read(fd, text, sizeof(text)) > 3);
		assert_open(fd);
		close(fd);
	}
}

/* It answers and leaves, without having read all: the answer arrives. */
static void test_host_answers_and_leaves(void **state)
{
	struct bed *bed = *state;

	connect_service(bed);
	send_text(bed, "unread");
	assert_int_equal(write(bed->service_fd, "answer", 6), 6);
	close(bed->service_fd);
	bed->service_fd = -1;
	send_text(bed, "more"); /* on its way when the host left */
	unsigned flags = 0, answered = 0;
	while (receive(bed)) {
		if (bed->packet.op == VSOCK_OP_RW) {
			assert_int_equal(bed->packet.len, 6);
			answered++;
		} else {
			assert_int_equal(bed->packet.op, VSOCK_OP_SHUTDOWN);
			flags = bed->packet.flags;
		}
	}
	assert_int_equal(answered, 1);
	assert_int_equal(flags, VSOCK_CLOSED);
	send_op(bed, VSOCK_OP_RST);
	assert_null(stream(bed, GUEST_PORT));
}

/* What the guest sent before it closed, or was reset, reaches a host program that is slow to read. */
static void test_draining(void **state)
{
	static const struct {
		const char *name;
		enum vsock_op op;
	} rows[] = { { "shutdown", VSOCK_OP_SHUTDOWN }, { "reset", VSOCK_OP_RST } };
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vsock_packet p = packet_of(rows[i].op);

		start(bed, 8);
		fake_kvm_rounds(bed->loop, 1);
		int old = connect_from(bed, GUEST_PORT, 65536);
		size_t sent = fill_buffer(bed);
		p.flags = VSOCK_CLOSED;
		send_data(bed, &p, NULL, 0);
		if (rows[i].op == VSOCK_OP_SHUTDOWN)
			expect(bed, VSOCK_OP_RST);
		expect_nothing(bed);
		/* Its port is free at once. */
		int new = connect_from(bed, GUEST_PORT, 65536);
		send_text(bed, "new");
		assert_row(rows[i].name, device(bed)->table.count == 2);
		assert_row(rows[i].name, read_all(bed, old) == sent);
		assert_closed(old);
		assert_row(rows[i].name, device(bed)->table.count == 1);
		assert_row(rows[i].name, read_all(bed, new) == 3);
		close(old);
		close(new);
	}
	/* One that nobody will ever read ends with its reader, or with the driver. */
	start(bed, 8);
	fake_kvm_rounds(bed->loop, 1);
	for (unsigned i = 0; i < 2; i++) {
		int fd = connect_from(bed, GUEST_PORT, 65536);
		fill_buffer(bed);
		send_op(bed, VSOCK_OP_RST);
		assert_int_equal(device(bed)->table.count, 1);
		if (i == 0)
			close(fd);
		else
			set(bed, REG_STATUS, 0);
		fake_kvm_rounds(bed->loop, 2);
		assert_int_equal(device(bed)->table.count, 0);
		assert_int_equal(device(bed)->large_buffers, 0);
		if (i == 1)
			close(fd);
	}
}

/* --- deadlines --- */

/* A client that says nothing, and a guest that never answers. */
static void test_handshake_deadline(void **state)
{
	struct bed *bed = *state;

	start(bed, 8);
	int silent = connect_host(bed), asking = connect_host(bed);
	assert_int_equal(write(asking, "CONNECT 52\n", 11), 11);
	expect(bed, VSOCK_OP_REQUEST);
	fake_now_ns += 5 * NS_PER_S - 1;
	expect_nothing(bed);
	assert_open(silent);
	assert_open(asking);
	fake_now_ns++;
	expect(bed, VSOCK_OP_RST);
	expect_nothing(bed);
	assert_closed(silent);
	assert_closed(asking);
	close(silent);
	close(asking);
	assert_int_equal(device(bed)->table.count, 0);
}

/* A guest that never confirms the end keeps no connection for ever. */
static void test_closing_deadline(void **state)
{
	struct bed *bed = *state;

	connect_service(bed);
	close(bed->service_fd);
	bed->service_fd = -1;
	expect(bed, VSOCK_OP_SHUTDOWN);
	fake_now_ns += 10 * NS_PER_S - 1;
	expect_nothing(bed);
	fake_now_ns++;
	expect(bed, VSOCK_OP_RST);
	assert_int_equal(device(bed)->table.count, 0);
}

/* --- ports and order --- */

/* Before its RESPONSE a guest can only refuse; all else ends the request. */
static void test_nothing_before_the_response(void **state)
{
	static const enum vsock_op ops[] = { VSOCK_OP_RW, VSOCK_OP_SHUTDOWN, VSOCK_OP_CREDIT_UPDATE,
		                             VSOCK_OP_CREDIT_REQUEST, VSOCK_OP_REQUEST };
	struct bed *bed = *state;

	start(bed, 8);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		struct vsock_packet p = packet_of(ops[i]);
		int fd = connect_host(bed);

		assert_int_equal(write(fd, "CONNECT 52\n", 11), 11);
		expect(bed, VSOCK_OP_REQUEST);
		p.src_port = 52;
		p.dst_port = bed->packet.src_port;
		p.len = ops[i] == VSOCK_OP_RW ? 4 : 0;
		send_data(bed, &p, "data", p.len);
		expect(bed, VSOCK_OP_RST);
		assert_closed(fd);
		close(fd);
		expect_nothing(bed);
		assert_int_equal(device(bed)->table.count, 0);
	}
}

/* A port whose old stream is over at both ends but for the guest's word makes a new one. */
static void test_port_reuse(void **state)
{
	struct bed *bed = *state;
	char text[8];

	connect_service(bed);
	send_op(bed, VSOCK_OP_REQUEST); /* while it lives */
	expect(bed, VSOCK_OP_RST);
	assert_closed(bed->service_fd);
	bed->services = 0;
	connect_service(bed);
	close(bed->service_fd);
	bed->service_fd = -1;
	expect(bed, VSOCK_OP_SHUTDOWN);
	assert_int_equal(bed->packet.flags, VSOCK_CLOSED);
	send_op(bed, VSOCK_OP_REQUEST);
	expect(bed, VSOCK_OP_RESPONSE);
	send_text(bed, "new");
	assert_int_equal(read(bed->service_fd, text, sizeof(text)), 3);
	assert_int_equal(device(bed)->table.count, 1);
}

/* Host ports come round after 2^30, and a connection that lives that long keeps its own. */
static void test_host_ports_wrap(void **state)
{
	struct bed *bed = *state;
	uint32_t ports[6];
	int fds[6];

	start(bed, 8);
	for (unsigned i = 0; i < 6; i++) {
		if (i == 2)
			device(bed)->next_host_port = UINT32_MAX - 1;
		fds[i] = connect_host(bed);
		assert_int_equal(write(fds[i], "CONNECT 52\n", 11), 11);
		expect(bed, VSOCK_OP_REQUEST);
		ports[i] = bed->packet.src_port;
	}
	assert_int_equal(ports[0], VSOCK_FIRST_HOST_PORT);
	assert_int_equal(ports[1], VSOCK_FIRST_HOST_PORT + 1);
	assert_int_equal(ports[2], UINT32_MAX - 1);
	assert_int_equal(ports[3], UINT32_MAX);
	assert_int_equal(ports[4], VSOCK_FIRST_HOST_PORT + 2); /* the first two are taken */
	assert_int_equal(ports[5], VSOCK_FIRST_HOST_PORT + 3);
	assert_int_equal(device(bed)->table.count, 6);
	for (unsigned i = 0; i < 6; i++)
		close(fds[i]);
}

/* A client that hasn't said its line yet can't be found by a guest that guesses its port. */
static void test_handshake_is_hidden(void **state)
{
	struct bed *bed = *state;
	struct vsock_packet p = packet_of(VSOCK_OP_RESPONSE);
	static const enum vsock_op ops[] = { VSOCK_OP_RESPONSE, VSOCK_OP_RW, VSOCK_OP_REQUEST };

	start(bed, 8);
	int fd = connect_host(bed);
	fake_kvm_rounds(bed->loop, 2);
	p.src_port = 0;
	p.dst_port = VSOCK_FIRST_HOST_PORT;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		p.op = (uint16_t)ops[i];
		send_data(bed, &p, NULL, 0);
		expect(bed, VSOCK_OP_RST);
	}
	p.type = 7;
	send_data(bed, &p, NULL, 0);
	expect(bed, VSOCK_OP_RST);
	assert_open(fd);
	assert_int_equal(write(fd, "CONNECT 52\n", 11), 11);
	expect(bed, VSOCK_OP_REQUEST);
	close(fd);
}

/* --- interrupts --- */

/* Completions alone don't interrupt at once: after a part of the ring, or a moment. */
static void test_completions_are_gathered(void **state)
{
	struct bed *bed = *state;

	connect_service(bed);
	*bed->rings[RX].avail_flags = 1; /* only TX is looked at */
	fake_now_ns += NS_PER_S;
	fake_kvm_rounds(bed->loop, 1);
	fake_kvm_edges(&bed->dev->irq);
	for (unsigned i = 1; i < QUEUE_SIZE / 4; i++) {
		send_text(bed, "x");
		assert_int_equal(fake_kvm_edges(&bed->dev->irq), 0);
		assert_int_equal(device(bed)->tx_unsignalled, i);
	}
	send_text(bed, "x");
	assert_int_equal(fake_kvm_edges(&bed->dev->irq), 1);
	assert_false(device(bed)->tx_timer.active);
	send_text(bed, "x");
	assert_int_equal(fake_kvm_edges(&bed->dev->irq), 0);
	fake_now_ns += 10 * NS_PER_MS - 1;
	fake_kvm_rounds(bed->loop, 1);
	assert_int_equal(fake_kvm_edges(&bed->dev->irq), 0);
	fake_now_ns++;
	fake_kvm_rounds(bed->loop, 1);
	assert_int_equal(fake_kvm_edges(&bed->dev->irq), 1);
	assert_int_equal(device(bed)->tx_unsignalled, 0);
	assert_false(device(bed)->tx_timer.active);
}

/*
 * A stream that waits for receive buffers loses its turn when the guest takes its credit back: that is
 * no end of what the host side sends.
 */
static void test_credit_taken_back(void **state)
{
	struct bed *bed = *state;
	struct vsock_packet p = packet_of(VSOCK_OP_CREDIT_UPDATE);

	start(bed, 1);
	send_op(bed, VSOCK_OP_REQUEST);
	fake_kvm_rounds(bed->loop, 2);
	assert_int_equal(*bed->rings[RX].used_idx, 1); /* the answer; there is no buffer any more */
	bed->rx_seen = 1;
	assert_int_equal(write(bed->service_fd, "patience", 8), 8);
	fake_kvm_rounds(bed->loop, 2);
	p.buf_alloc = 0;
	send_data(bed, &p, NULL, 0);
	offer_rx(bed, 0);
	fake_kvm_notify(BASE + REG_QUEUE_NOTIFY, RX);
	expect_nothing(bed);
	p.buf_alloc = 100;
	send_data(bed, &p, NULL, 0);
	expect(bed, VSOCK_OP_RW);
	assert_int_equal(bed->packet.len, 8);
	assert_memory_equal(bed->data, "patience", 8);
	expect_nothing(bed);
}

int main(void)
{
#define FLOW_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		FLOW_TEST(test_one_read_many_packets),
		FLOW_TEST(test_receive_buffers_in_pieces),
		FLOW_TEST(test_fair_by_bytes),
		FLOW_TEST(test_host_does_not_read),
		FLOW_TEST(test_guest_does_not_read),
		FLOW_TEST(test_credit_updates),
		FLOW_TEST(test_credit_taken_back),
		FLOW_TEST(test_buffers_of_many),
		FLOW_TEST(test_guest_stops_receiving),
		FLOW_TEST(test_host_stops_receiving),
		FLOW_TEST(test_client_in_a_hurry),
		FLOW_TEST(test_host_answers_and_leaves),
		FLOW_TEST(test_draining),
		FLOW_TEST(test_handshake_deadline),
		FLOW_TEST(test_closing_deadline),
		FLOW_TEST(test_nothing_before_the_response),
		FLOW_TEST(test_port_reuse),
		FLOW_TEST(test_host_ports_wrap),
		FLOW_TEST(test_handshake_is_hidden),
		FLOW_TEST(test_completions_are_gathered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
