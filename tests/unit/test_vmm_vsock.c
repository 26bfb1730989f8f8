/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_vsock.c - the vsock device: connections both ways, lies, ends, resets.
 */
#include "tests/unit/vmm_vsock_bed.h"

#include <sys/resource.h>

#include "vmm/virtio/vsock_device.h"

static void test_identity(void **state)
{
	struct bed *bed = *state;
	struct stat st;

	assert_int_equal(virtio_mmio_read(bed->dev, REG_DEVICE_ID, 4), DEVICE_VSOCK);
	assert_int_equal(virtio_mmio_read(bed->dev, REG_CONFIG, 8), GUEST_CID);
	assert_int_equal(stat(bed->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_service(void **state)
{
	struct bed *bed = *state;
	char text[64];

	connect_service(bed);
	send_text(bed, "to the host");
	assert_int_equal(read(bed->service_fd, text, sizeof(text)), 11);
	assert_memory_equal(text, "to the host", 11);
	assert_int_equal(write(bed->service_fd, "to the guest", 12), 12);
	expect(bed, VSOCK_OP_RW);
	assert_int_equal(bed->packet.len, 12);
	assert_memory_equal(bed->data, "to the guest", 12);
	assert_int_equal(bed->packet.fwd_cnt, 11);
	send_op(bed, VSOCK_OP_CREDIT_REQUEST);
	expect(bed, VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(bed->packet.fwd_cnt, 11);
	expect_nothing(bed);
	assert_true(fake_kvm_edges(&bed->dev->irq) > 0);
}

static void test_guest_to_host_socket(void **state)
{
	struct bed *bed = *state;
	struct vsock_packet p = packet_of(VSOCK_OP_REQUEST);
	char path[64], text[8];
	int listener;

	start(bed, 8);
	p.dst_port = 80;
	send_data(bed, &p, NULL, 0);
	expect(bed, VSOCK_OP_RST); /* nobody listens */
	assert_int_equal(bed->packet.src_port, 80);
	assert_int_equal(bed->packet.dst_port, GUEST_PORT);
	snprintf(path, sizeof(path), "%s_80", bed->path);
	assert_int_equal(sock_listen_unix(path, &listener, &bed->err), 0);
	send_data(bed, &p, NULL, 0);
	expect(bed, VSOCK_OP_RESPONSE);
	int fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	p.op = VSOCK_OP_RW;
	p.len = 2;
	send_data(bed, &p, "hi", 2);
	assert_int_equal(read(fd, text, sizeof(text)), 2);
	close(fd);
	expect(bed, VSOCK_OP_SHUTDOWN);
	assert_int_equal(bed->packet.flags, VSOCK_CLOSED);
	p.op = VSOCK_OP_RST;
	p.len = 0;
	send_data(bed, &p, NULL, 0);
	expect_nothing(bed);
	close(listener);
	unlink(path);
}

static void test_host_to_guest(void **state)
{
	struct bed *bed = *state;
	char text[64];

	start(bed, 8);
	int fd = connect_host(bed);
	assert_int_equal(write(fd, "CONNECT 52\nearly", 16), 16);
	expect(bed, VSOCK_OP_REQUEST);
	assert_int_equal(bed->packet.dst_port, 52);
	uint32_t host_port = bed->packet.src_port;
	expect_nothing(bed); /* no data before the answer */
	struct vsock_packet p = packet_of(VSOCK_OP_RESPONSE);
	p.src_port = 52;
	p.dst_port = host_port;
	send_data(bed, &p, NULL, 0);
	int length = snprintf(text, sizeof(text), "OK %u\n", host_port);
	char answer[64] = "";
	assert_int_equal(read(fd, answer, sizeof(answer)), length);
	assert_string_equal(answer, text);
	expect(bed, VSOCK_OP_RW);
	assert_int_equal(bed->packet.len, 5);
	assert_memory_equal(bed->data, "early", 5);
	/* A second answer makes no sense. */
	send_data(bed, &p, NULL, 0);
	expect(bed, VSOCK_OP_RST);
	assert_closed(fd);
	close(fd);
}

static void test_host_refused(void **state)
{
	struct bed *bed = *state;

	start(bed, 8);
	int fd = connect_host(bed);
	assert_int_equal(write(fd, "CONNECT 52\n", 11), 11);
	expect(bed, VSOCK_OP_REQUEST);
	struct vsock_packet p = packet_of(VSOCK_OP_RST);
	p.src_port = 52;
	p.dst_port = bed->packet.src_port;
	send_data(bed, &p, NULL, 0);
	assert_closed(fd);
	close(fd);
	expect_nothing(bed);
}

static void test_host_garbage(void **state)
{
	static const char *const lines[] = { "GET / HTTP/1.1\r\n", "CONNECT x\n", "\n",
		                             "CONNECT 99999999999\n",
		                             "0123456789012345678901234567890123456789" };
	struct bed *bed = *state;

	start(bed, 8);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		int fd = connect_host(bed);

		assert_true(write(fd, lines[i], strlen(lines[i])) > 0);
		expect_nothing(bed);
		char byte;
		ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);
		assert_row(lines[i], got == 0 || (got < 0 && errno == ECONNRESET));
		close(fd);
	}
	/* One that leaves in the middle of its line, one that leaves before the answer. */
	int fd = connect_host(bed);
	assert_int_equal(write(fd, "CONN", 4), 4);
	close(fd);
	expect_nothing(bed);
	fd = connect_host(bed);
	assert_int_equal(write(fd, "CONNECT 52\n", 11), 11);
	expect(bed, VSOCK_OP_REQUEST);
	close(fd);
	expect(bed, VSOCK_OP_RST);
	expect_nothing(bed);
}

/* Without a driver there is nobody to connect to. */
static void test_host_too_early(void **state)
{
	struct bed *bed = *state;
	int fd = connect_host(bed);

	assert_int_equal(write(fd, "CONNECT 52\n", 11), 11);
	fake_kvm_rounds(bed->loop, 3);
	char byte;
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
	close(fd);
}

/* --- lies --- */

static void test_wrong_addresses(void **state)
{
	static const struct {
		const char *name;
		uint64_t src, dst;
	} rows[] = {
		{ "spoofed source", GUEST_CID + 1, 2 },
		{ "the host's own", 2, 2 },
		{ "source with high bits", 1ull << 32 | GUEST_CID, 2 },
		{ "to another guest", GUEST_CID, 7 },
		{ "to itself", GUEST_CID, GUEST_CID },
		{ "to any", GUEST_CID, UINT32_MAX },
		{ "to the hypervisor", GUEST_CID, 0 },
	};
	struct bed *bed = *state;

	start(bed, 8);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vsock_packet p = packet_of(VSOCK_OP_REQUEST);

		p.src_cid = rows[i].src;
		p.dst_cid = rows[i].dst;
		send_data(bed, &p, NULL, 0);
		expect_nothing(bed);
		assert_row(rows[i].name, bed->services == 0);
	}
	assert_false(needs_reset(bed));
}

/* Packets for a stream that doesn't exist: each is answered by a reset, a reset by nothing. */
static void test_no_such_stream(void **state)
{
	struct bed *bed = *state;

	start(bed, 8);
	for (unsigned op = 0; op <= 9; op++) {
		if (op == VSOCK_OP_REQUEST)
			continue;
		send_op(bed, op);
		if (op == VSOCK_OP_RST) {
			expect_nothing(bed);
			continue;
		}
		expect(bed, VSOCK_OP_RST);
		assert_int_equal(bed->packet.src_port, HOST_PORT);
		assert_int_equal(bed->packet.dst_port, GUEST_PORT);
	}
	struct vsock_packet p = packet_of(VSOCK_OP_REQUEST);
	p.type = 2; /* seqpacket isn't offered */
	send_data(bed, &p, NULL, 0);
	expect(bed, VSOCK_OP_RST);
	p.type = VSOCK_TYPE_STREAM;
	p.dst_port = 4711;
	send_data(bed, &p, NULL, 0);
	expect(bed, VSOCK_OP_RST);
	assert_int_equal(bed->services, 0);
}

/* Each of these ends the stream, and only that. */
static void test_stream_lies(void **state)
{
	static uint8_t data[65536];
	static const struct {
		const char *name;
		enum vsock_op op;
		uint16_t type;
		uint32_t len, size;
	} rows[] = {
		{ "a second request", VSOCK_OP_REQUEST, 1, 0, 0 },
		{ "an answer to nothing", VSOCK_OP_RESPONSE, 1, 0, 0 },
		{ "no operation", 0, 1, 0, 0 },
		{ "no operation of the standard", 8, 1, 0, 0 },
		{ "another type", VSOCK_OP_RW, 2, 4, 4 },
		{ "longer than its descriptors", VSOCK_OP_RW, 1, 5, 4 },
		{ "4 GiB long", VSOCK_OP_RW, 1, UINT32_MAX, 4 },
		{ "length that wraps with the header", VSOCK_OP_RW, 1, UINT32_MAX - 43, 4 },
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bed->services = 0;
		connect_service(bed);
		struct vsock_packet p = packet_of(rows[i].op);
		p.type = rows[i].type;
		p.len = rows[i].len;
		send_data(bed, &p, data, rows[i].size);
		assert_row(rows[i].name, receive(bed) && bed->packet.op == VSOCK_OP_RST);
		assert_closed(bed->service_fd);
		expect_nothing(bed);
		assert_row(rows[i].name, !needs_reset(bed));
		send_op(bed, VSOCK_OP_REQUEST);
		assert_row(rows[i].name, receive(bed) && bed->packet.op == VSOCK_OP_RESPONSE);
	}
}

static void test_more_than_its_credit(void **state)
{
	static uint8_t data[65536];
	struct bed *bed = *state;
	struct vsock_packet p = packet_of(VSOCK_OP_RW);

	connect_service(bed);
	p.len = sizeof(data);
	/* Nobody reads: socket and buffer fill up. */
	for (unsigned i = 0; i < 64; i++) {
		send_data(bed, &p, data, sizeof(data));
		while (receive(bed) && bed->packet.op == VSOCK_OP_CREDIT_UPDATE)
			;
		if (bed->packet.op == VSOCK_OP_RST)
			break;
	}
	assert_int_equal(bed->packet.op, VSOCK_OP_RST);
	expect_nothing(bed);
}

/* Only as much goes to the guest as it has room for, whatever it claims. */
static void test_guest_credit(void **state)
{
	struct bed *bed = *state;
	struct vsock_packet p = packet_of(VSOCK_OP_CREDIT_UPDATE);
	uint8_t data[1000] = { 0 };

	connect_service(bed);
	p.buf_alloc = 100;
	send_data(bed, &p, NULL, 0);
	assert_int_equal(write(bed->service_fd, data, sizeof(data)), sizeof(data));
	expect(bed, VSOCK_OP_RW);
	assert_int_equal(bed->packet.len, 100);
	expect_nothing(bed);
	p.fwd_cnt = 30;
	send_data(bed, &p, NULL, 0);
	expect(bed, VSOCK_OP_RW);
	assert_int_equal(bed->packet.len, 30);
	p.fwd_cnt = 5000; /* more than it was sent */
	send_data(bed, &p, NULL, 0);
	expect_nothing(bed);
	p.buf_alloc = 0;
	p.fwd_cnt = 130;
	send_data(bed, &p, NULL, 0);
	expect_nothing(bed);
	p.buf_alloc = UINT32_MAX;
	send_data(bed, &p, NULL, 0);
	expect(bed, VSOCK_OP_RW);
	assert_int_equal(bed->packet.len, 870);
}

static void test_header_in_pieces(void **state)
{
	struct bed *bed = *state;
	struct ring *tx = &bed->rings[TX];
	struct vsock_packet p = packet_of(VSOCK_OP_RW);
	char text[8];

	connect_service(bed);
	/* Header over three descriptors, the last of which begins the data. */
	p.len = 4;
	vsock_packet_encode(&p, bed->memory.ram + TX_BUFFERS);
	memcpy(bed->memory.ram + TX_BUFFERS + VSOCK_HEADER_SIZE, "data", 4);
	ring_describe(tx, 0, TX_BUFFERS, 1, RING_F_NEXT, 1);
	ring_describe(tx, 1, TX_BUFFERS + 1, 42, RING_F_NEXT, 2);
	ring_describe(tx, 2, TX_BUFFERS + 43, 3, RING_F_NEXT, 3);
	ring_describe(tx, 3, TX_BUFFERS + 46, 2, 0, 0);
	ring_offer(tx, 0);
	/* No whole header, and none at all: dropped, and handed back. */
	ring_describe(tx, 8, TX_BUFFERS, 43, 0, 0);
	ring_offer(tx, 8);
	ring_describe(tx, 9, TX_BUFFERS, 44, RING_F_WRITE, 0);
	ring_offer(tx, 9);
	uint16_t used = *tx->used_idx;
	fake_kvm_notify(BASE + REG_QUEUE_NOTIFY, TX);
	fake_kvm_rounds(bed->loop, 1);
	assert_int_equal(*tx->used_idx, (uint16_t)(used + 3));
	assert_int_equal(read(bed->service_fd, text, sizeof(text)), 4);
	assert_memory_equal(text, "data", 4);
	assert_false(needs_reset(bed));
}

static void test_small_receive_buffers(void **state)
{
	static const uint32_t sizes[] = { 1, 43, 44 };
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		bed->rx_size = sizes[i];
		start(bed, 8);
		send_op(bed, VSOCK_OP_REQUEST);
		if (bed->service_fd >= 0)
			assert_int_equal(write(bed->service_fd, "data", 4), 4);
		fake_kvm_rounds(bed->loop, 3);
		assert_true(needs_reset(bed));
	}
	bed->rx_size = 45;
	bed->services = 0;
	connect_service(bed);
	assert_int_equal(write(bed->service_fd, "ab", 2), 2);
	expect(bed, VSOCK_OP_RW);
	assert_int_equal(bed->packet.len, 1);
	expect(bed, VSOCK_OP_RW);
	assert_int_equal(bed->data[0], 'b');
	expect_nothing(bed);
}

/* --- ends --- */

static void test_half_close(void **state)
{
	struct bed *bed = *state;
	struct vsock_packet p = packet_of(VSOCK_OP_SHUTDOWN);
	char text[8];

	connect_service(bed);
	assert_int_equal(shutdown(bed->service_fd, SHUT_WR), 0);
	expect(bed, VSOCK_OP_SHUTDOWN);
	assert_int_equal(bed->packet.flags, VSOCK_NO_SEND);
	send_text(bed, "still");
	assert_int_equal(read(bed->service_fd, text, sizeof(text)), 5);
	p.flags = VSOCK_NO_SEND;
	send_data(bed, &p, NULL, 0);
	assert_closed(bed->service_fd);
	/* Nothing flows any more: the guest is asked to confirm the end. */
	expect(bed, VSOCK_OP_SHUTDOWN);
	assert_int_equal(bed->packet.flags, VSOCK_CLOSED);
	send_op(bed, VSOCK_OP_RST);
	expect_nothing(bed);
}

static void test_guest_closes(void **state)
{
	struct bed *bed = *state;
	struct vsock_packet p = packet_of(VSOCK_OP_SHUTDOWN);
	char text[8];

	connect_service(bed);
	send_text(bed, "last");
	p.flags = VSOCK_NO_SEND;
	send_data(bed, &p, NULL, 0);
	expect_nothing(bed);
	assert_int_equal(read(bed->service_fd, text, sizeof(text)), 4);
	assert_closed(bed->service_fd);
	/* Twice is no harm; both directions end it. */
	send_data(bed, &p, NULL, 0);
	expect_nothing(bed);
	assert_int_equal(write(bed->service_fd, "more", 4), 4);
	expect(bed, VSOCK_OP_RW);
	p.flags = VSOCK_CLOSED;
	send_data(bed, &p, NULL, 0);
	expect(bed, VSOCK_OP_RST);
	expect_nothing(bed);
	/* And sending after the end is a lie. */
	bed->services = 0;
	connect_service(bed);
	p.flags = VSOCK_NO_SEND;
	send_data(bed, &p, NULL, 0);
	send_text(bed, "after");
	expect(bed, VSOCK_OP_RST);
}

/* Answers that can't be sent wait in order, so many of them; TX goes on. */
static void test_no_receive_buffers(void **state)
{
	struct bed *bed = *state;
	struct vsock_packet p = packet_of(VSOCK_OP_RW); /* no such stream */

	start(bed, 0);
	for (unsigned i = 0; i < VSOCK_RESETS_MAX + 50; i++) {
		p.src_port = i;
		send_data(bed, &p, NULL, 0);
	}
	assert_false(needs_reset(bed));
	for (uint16_t i = 0; i < QUEUE_SIZE; i++)
		offer_rx(bed, i);
	fake_kvm_notify(BASE + REG_QUEUE_NOTIFY, RX);
	unsigned resets = 0;
	while (receive(bed)) {
		assert_int_equal(bed->packet.op, VSOCK_OP_RST);
		assert_int_equal(bed->packet.dst_port, resets);
		resets++;
	}
	assert_int_equal(resets, VSOCK_RESETS_MAX);
}

/* A driver's reset takes every connection with it, also of a guest that never comes back. */
static void test_reset_drops_all(void **state)
{
	struct bed *bed = *state;

	connect_service(bed);
	int fd = connect_host(bed);
	assert_int_equal(write(fd, "CONNECT 52\n", 11), 11);
	expect(bed, VSOCK_OP_REQUEST);
	int waiting = connect_host(bed);
	fake_kvm_rounds(bed->loop, 2);
	assert_open(fd);
	set(bed, REG_STATUS, 0);
	assert_open(fd); /* sockets are the I/O thread's */
	fake_kvm_rounds(bed->loop, 1);
	assert_closed(fd);
	assert_closed(waiting);
	assert_closed(bed->service_fd);
	close(fd);
	close(waiting);
	bed->services = 0;
	connect_service(bed);
	expect_nothing(bed);
}

/* Reset, started again and used before the I/O thread has seen the reset. */
static void test_reset_and_on(void **state)
{
	struct bed *bed = *state;

	connect_service(bed);
	int old = dup(bed->service_fd);
	bed->services = 0;
	set(bed, REG_STATUS, 0);
	connect_service(bed);
	assert_closed(old);
	close(old);
	send_text(bed, "new");
	char text[8];
	assert_int_equal(read(bed->service_fd, text, sizeof(text)), 3);
}

static void test_too_many_connections(void **state)
{
	struct bed *bed = *state;
	struct rlimit limit = { 8192, 8192 };
	struct vsock_packet p = packet_of(VSOCK_OP_REQUEST);
	unsigned accepted = 0;

	if (setrlimit(RLIMIT_NOFILE, &limit)) {
		print_message("skip: RLIMIT_NOFILE can't be raised to %u\n", 8192);
		skip();
	}
	start(bed, 32);
	for (uint32_t i = 0; i < VSOCK_CONNS_MAX + 10; i++) {
		p.src_port = 10000 + i;
		send_data(bed, &p, NULL, 0);
		assert_true(receive(bed));
		assert_int_equal(bed->packet.dst_port, p.src_port);
		if (bed->packet.op == VSOCK_OP_RESPONSE) {
			accepted++;
			close(bed->service_fd); /* would be the service's business: keep it simple */
			bed->service_fd = -1;
			expect(bed, VSOCK_OP_SHUTDOWN);
		} else {
			assert_int_equal(bed->packet.op, VSOCK_OP_RST);
		}
	}
	assert_int_equal(accepted, VSOCK_CONNS_MAX);
	/* The guest confirms one end: there is room for one more. */
	p.op = VSOCK_OP_RST;
	p.src_port = 10000;
	send_data(bed, &p, NULL, 0);
	p.op = VSOCK_OP_REQUEST;
	send_data(bed, &p, NULL, 0);
	expect(bed, VSOCK_OP_RESPONSE);
}

/* Many packets for the guest go out in turns, fairly, and none is lost. */
static void test_bulk(void **state)
{
	static uint8_t data[100000];
	struct bed *bed = *state;
	struct vsock_packet p = packet_of(VSOCK_OP_CREDIT_UPDATE);
	size_t sent = 0, received = 0;

	connect_service(bed);
	p.buf_alloc = UINT32_MAX / 2;
	send_data(bed, &p, NULL, 0);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i % 251);
	while (received < 1000000) {
		ssize_t n = sent < 1000000
		                    ? send(bed->service_fd, data + sent % 251, 50000, MSG_DONTWAIT)
		                    : 0;
		if (n > 0)
			sent += (size_t)n;
		while (receive(bed)) {
			assert_int_equal(bed->packet.op, VSOCK_OP_RW);
			for (uint32_t i = 0; i < bed->packet.len; i++, received++)
				assert_int_equal(bed->data[i], received % 251);
		}
	}
	assert_int_equal(received, sent);
}

static void test_creation(void **state)
{
	struct bed *bed = *state;
	struct virtio_place place = { .memory = &bed->memory,
		                      .loop = bed->loop,
		                      .vm_fd = FAKE_VM_FD,
		                      .base = GPA(BASE + 0x1000),
		                      .pin = 6 };
	struct virtio_device *dev = NULL;

	/* The path is taken: by ourselves. It isn't removed by the loser. */
	assert_int_equal(virtio_vsock_create(&place, 3, bed->path, &dev, &bed->err), -EADDRINUSE);
	assert_null(dev);
	assert_int_equal(access(bed->path, F_OK), 0);
	fake_kvm.refused = KVM_IOEVENTFD;
	assert_int_equal(virtio_vsock_create(&place, 3, NULL, &dev, &bed->err), -ENOSPC);
	fake_kvm.refused = 0;
	fake_kvm.ioeventfds = 3;
	assert_int_equal(virtio_vsock_create(&place, 3, NULL, &dev, &bed->err), 0);
	for (unsigned i = 0; i < VSOCK_SERVICES_MAX; i++)
		assert_int_equal(virtio_vsock_serve(dev, i, on_service, bed), 0);
	assert_int_equal(virtio_vsock_serve(dev, 99, on_service, bed), -ENOSPC);
	virtio_destroy(dev);
	assert_int_equal(access(bed->path, F_OK), 0);
}

int main(void)
{
#define VSOCK_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		VSOCK_TEST(test_identity),
		VSOCK_TEST(test_service),
		VSOCK_TEST(test_guest_to_host_socket),
		VSOCK_TEST(test_host_to_guest),
		VSOCK_TEST(test_host_refused),
		VSOCK_TEST(test_host_garbage),
		VSOCK_TEST(test_host_too_early),
		VSOCK_TEST(test_wrong_addresses),
		VSOCK_TEST(test_no_such_stream),
		VSOCK_TEST(test_stream_lies),
		VSOCK_TEST(test_more_than_its_credit),
		VSOCK_TEST(test_guest_credit),
		VSOCK_TEST(test_header_in_pieces),
		VSOCK_TEST(test_small_receive_buffers),
		VSOCK_TEST(test_half_close),
		VSOCK_TEST(test_guest_closes),
		VSOCK_TEST(test_no_receive_buffers),
		VSOCK_TEST(test_reset_drops_all),
		VSOCK_TEST(test_reset_and_on),
		VSOCK_TEST(test_too_many_connections),
		VSOCK_TEST(test_bulk),
		VSOCK_TEST(test_creation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
