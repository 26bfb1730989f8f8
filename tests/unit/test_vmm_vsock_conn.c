/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_vsock_conn.c - one vsock stream: buffer, credit, half-close, the CONNECT line.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/virtio/vsock_conn.h"

struct bed {
	struct loop *loop;
	struct vsock_conn *conn;
	int peer; /* the host's program */
};

static void on_ready(struct loop_watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
}

static void open_conn(struct bed *bed, enum vsock_state state)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
	                 0);
	bed->peer = pair[1];
	bed->conn = vsock_conn_create(bed->loop, bed, pair[0], state, VSOCK_BUFFER_SIZE, on_ready);
	assert_non_null(bed->conn);
}

static void close_conn(struct bed *bed)
{
	if (bed->conn)
		vsock_conn_destroy(bed->conn);
	if (bed->peer >= 0)
		close(bed->peer);
	bed->conn = NULL;
	bed->peer = -1;
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	if (!bed || loop_create(&bed->loop))
		return -1;
	open_conn(bed, VSOCK_CONNECTED);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	close_conn(bed);
	loop_destroy(bed->loop);
	free(bed);
	return 0;
}

static int guest_sends(struct bed *bed, const uint8_t *data, size_t size)
{
	/* In two pieces, as a chain of descriptors has it. */
	size_t half = size / 3;
	const struct iovec iov[2] = {
		{ .iov_base = (uint8_t *)(uintptr_t)data, .iov_len = half },
		{ .iov_base = (uint8_t *)(uintptr_t)data + half, .iov_len = size - half },
	};

	return vsock_conn_from_guest(bed->conn, iov, 2, size);
}

/* Reads what is there, up to a limit, and checks that it goes on from *position of the pattern. */
static size_t peer_reads(struct bed *bed, uint64_t *position)
{
	static uint8_t data[30000];
	ssize_t got = read(bed->peer, data, sizeof(data));

	if (got < 0) {
		assert_int_equal(errno, EAGAIN);
		return 0;
	}
	for (ssize_t i = 0; i < got; i++, ++*position)
		assert_int_equal(data[i], *position * 7 % 251);
	return (size_t)got;
}

static void fill(uint8_t *data, size_t size, uint64_t position)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)((position + i) * 7 % 251);
}

/* --- guest -> host --- */

static void test_straight_through(void **state)
{
	struct bed *bed = *state;
	uint8_t data[1000];
	uint64_t position = 0;

	fill(data, sizeof(data), 0);
	assert_int_equal(guest_sends(bed, data, sizeof(data)), 0);
	assert_int_equal(bed->conn->buffer_used, 0);
	assert_null(bed->conn->buffer);
	assert_int_equal(bed->conn->forwarded, 1000);
	assert_int_equal(peer_reads(bed, &position), 1000);
	assert_int_equal(guest_sends(bed, data, 0), 0);
}

/* A slow reader: all arrives in order, while the buffer's end wraps round its start many times. */
static void test_slow_reader(void **state)
{
	static uint8_t data[70001];
	struct bed *bed = *state;
	uint64_t sent = 0, received = 0;
	unsigned buffered = 0;

	for (unsigned round = 0; round < 400; round++) {
		size_t room = VSOCK_BUFFER_SIZE - bed->conn->buffer_used;
		size_t size = (round * 7919u) % sizeof(data);

		if (size > room)
			size = room;
		fill(data, size, sent);
		assert_int_equal(guest_sends(bed, data, size), 0);
		sent += size;
		buffered += bed->conn->buffer_used > 0;
		peer_reads(bed, &received);
		vsock_conn_flush(bed->conn);
	}
	assert_true(buffered > 100);
	while (received < sent) {
		assert_true(peer_reads(bed, &received) > 0 || bed->conn->buffer_used > 0);
		vsock_conn_flush(bed->conn);
	}
	assert_int_equal(bed->conn->forwarded, (uint32_t)sent);
	assert_int_equal(bed->conn->buffer_used, 0);
}

/* The guest has been told how much it may send; more is a lie, whatever was sent before. */
static void test_credit_of_the_guest(void **state)
{
	static uint8_t data[VSOCK_BUFFER_SIZE + 1];
	struct bed *bed = *state;

	assert_int_equal(guest_sends(bed, data, sizeof(data)), -EPROTO);
	while (bed->conn->buffer_used == 0)
		assert_int_equal(guest_sends(bed, data, 65536), 0);
	size_t room = VSOCK_BUFFER_SIZE - bed->conn->buffer_used;
	assert_int_equal(guest_sends(bed, data, room + 1), -EPROTO);
	assert_int_equal(guest_sends(bed, data, room), 0);
	assert_int_equal(bed->conn->buffer_used, VSOCK_BUFFER_SIZE);
	assert_int_equal(guest_sends(bed, data, 1), -EPROTO);
	assert_int_equal(guest_sends(bed, data, 0), 0);
	assert_int_equal(bed->conn->buffer_used, VSOCK_BUFFER_SIZE);
}

/* The guest learns of room before it runs out of it. */
static void test_credit_is_told(void **state)
{
	static uint8_t data[4096];
	struct bed *bed = *state;
	uint64_t position = 0;

	fill(data, sizeof(data), 0);
	for (unsigned sent = 0; sent < VSOCK_BUFFER_SIZE / 2; sent += sizeof(data)) {
		assert_int_equal(bed->conn->tell & VSOCK_TELL_CREDIT, 0);
		assert_int_equal(guest_sends(bed, data, sizeof(data)), 0);
		while (read(bed->peer, data, sizeof(data)) > 0)
			;
	}
	assert_true(bed->conn->tell & VSOCK_TELL_CREDIT);
	assert_int_equal(peer_reads(bed, &position), 0);
}

/* What the host side doesn't take any more is dropped; the guest is told, and may still receive. */
static void test_host_gone(void **state)
{
	static uint8_t data[4096];
	struct bed *bed = *state;

	close(bed->peer);
	bed->peer = -1;
	assert_int_equal(guest_sends(bed, data, sizeof(data)), 0);
	assert_int_equal(bed->conn->host_closed, VSOCK_NO_RECEIVE);
	assert_int_equal(bed->conn->tell, VSOCK_TELL_SHUTDOWN);
	assert_int_equal(bed->conn->forwarded, sizeof(data));
	/* Said once; and however much comes, nothing is kept. */
	bed->conn->tell = 0;
	for (unsigned i = 0; i < 2 * VSOCK_BUFFER_SIZE / sizeof(data); i++)
		assert_int_equal(guest_sends(bed, data, sizeof(data)), 0);
	assert_int_equal(bed->conn->tell & VSOCK_TELL_SHUTDOWN, 0);
	assert_int_equal(bed->conn->buffer_used, 0);
	assert_null(bed->conn->buffer);

	close_conn(bed);
	open_conn(bed, VSOCK_CONNECTED);
	while (bed->conn->buffer_used == 0)
		assert_int_equal(guest_sends(bed, data, sizeof(data)), 0);
	close(bed->peer);
	bed->peer = -1;
	vsock_conn_flush(bed->conn);
	assert_int_equal(bed->conn->buffer_used, 0);
	assert_true(bed->conn->tell & VSOCK_TELL_SHUTDOWN);
}

/* A host program that only doesn't read any more still sends. */
static void test_host_stops_receiving(void **state)
{
	struct bed *bed = *state;
	char byte;
	const struct iovec iov = { &byte, 1 };

	assert_int_equal(shutdown(bed->peer, SHUT_RD), 0);
	assert_int_equal(guest_sends(bed, (const uint8_t *)"x", 1), 0);
	assert_int_equal(bed->conn->host_closed, VSOCK_NO_RECEIVE);
	assert_int_equal(write(bed->peer, "y", 1), 1);
	vsock_conn_host_event(bed->conn, EPOLLIN);
	assert_int_equal(vsock_conn_to_guest(bed->conn, &iov, 1, 1), 1);
	assert_int_equal(byte, 'y');
}

/* --- host -> guest --- */

static void test_credit_of_the_host(void **state)
{
	static const struct {
		const char *name;
		uint32_t alloc, forwarded, sent, credit;
	} rows[] = {
		{ "fresh", 1000, 0, 0, 1000 },
		{ "some under way", 1000, 0, 400, 600 },
		{ "all under way", 1000, 0, 1000, 0 },
		{ "none given", 0, 0, 0, 0 },
		{ "taken back", 100, 0, 400, 0 },
		{ "counters wrapped", 1000, UINT32_MAX - 99, 100, 800 },
		{ "claims more than was sent", 1000, 401, 400, 0 },
		{ "everything", UINT32_MAX, 0, 0, UINT32_MAX },
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bed->conn->peer_alloc = rows[i].alloc;
		bed->conn->peer_forwarded = rows[i].forwarded;
		bed->conn->sent = rows[i].sent;
		bed->conn->readable = true;
		assert_row(rows[i].name, vsock_conn_credit(bed->conn) == rows[i].credit);
		assert_row(rows[i].name, vsock_conn_has_work(bed->conn) == (rows[i].credit > 0));
	}
}

static void test_to_guest(void **state)
{
	struct bed *bed = *state;
	char first[4], second[16];
	const struct iovec iov[2] = { { first, sizeof(first) }, { second, sizeof(second) } };

	bed->conn->readable = true;
	assert_int_equal(vsock_conn_to_guest(bed->conn, iov, 2, 20), 0);
	assert_false(bed->conn->readable);
	assert_int_equal(bed->conn->tell, 0);
	assert_int_equal(write(bed->peer, "hello world", 11), 11);
	bed->conn->readable = true;
	assert_int_equal(vsock_conn_to_guest(bed->conn, iov, 2, 20), 11);
	assert_memory_equal(first, "hell", 4);
	assert_memory_equal(second, "o world", 7);
	assert_int_equal(bed->conn->sent, 11);
	assert_false(bed->conn->readable); /* less than there was room for: that was all */
	assert_int_equal(write(bed->peer, "0123456789012345678901234", 25), 25);
	assert_int_equal(vsock_conn_to_guest(bed->conn, iov, 2, 20), 20);
	vsock_conn_host_event(bed->conn, EPOLLIN);
	assert_true(bed->conn->readable);
	assert_int_equal(vsock_conn_to_guest(bed->conn, iov, 2, 20), 5);
	assert_false(bed->conn->readable);
	/* The end was seen together with the data: it is looked for behind them. */
	assert_int_equal(write(bed->peer, "bye", 3), 3);
	shutdown(bed->peer, SHUT_WR);
	vsock_conn_host_event(bed->conn, EPOLLIN | EPOLLRDHUP);
	assert_int_equal(vsock_conn_to_guest(bed->conn, iov, 2, 20), 3);
	assert_true(bed->conn->readable);
	assert_int_equal(vsock_conn_to_guest(bed->conn, iov, 2, 20), 0);
	assert_int_equal(bed->conn->tell, VSOCK_TELL_SHUTDOWN);
}

/* File descriptors that come along end a read early, with data behind them and no edge to come. */
static void test_fds_are_dropped(void **state)
{
	struct bed *bed = *state;
	char text[20], control[CMSG_SPACE(sizeof(int))] = { 0 };
	const struct iovec iov = { text, sizeof(text) };
	struct iovec out = { (char[]){ 'a' }, 1 };
	struct msghdr msg = { .msg_iov = &out,
		              .msg_iovlen = 1,
		              .msg_control = control,
		              .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
		               .cmsg_level = SOL_SOCKET,
		               .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(c), &bed->peer, sizeof(int));
	assert_int_equal(sendmsg(bed->peer, &msg, 0), 1);
	assert_int_equal(write(bed->peer, "bc", 2), 2);
	vsock_conn_host_event(bed->conn, EPOLLIN);
	size_t got = 0;
	while (bed->conn->readable)
		got += vsock_conn_to_guest(bed->conn, &iov, 1, sizeof(text));
	assert_int_equal(got, 3);
}

/* Reads get larger while the socket fills them, and small again. */
static void test_appetite(void **state)
{
	static uint8_t data[100000];
	struct bed *bed = *state;
	const struct iovec iov = { data, sizeof(data) };
	uint32_t before = bed->conn->appetite, appetite = before;

	assert_int_equal(write(bed->peer, data, sizeof(data)), sizeof(data));
	for (unsigned i = 0; i < 3; i++) {
		const struct iovec part = { data, appetite };

		assert_int_equal(vsock_conn_to_guest(bed->conn, &part, 1, appetite), appetite);
		assert_int_equal(bed->conn->appetite, 2 * appetite);
		appetite = bed->conn->appetite;
	}
	while (vsock_conn_to_guest(bed->conn, &iov, 1, sizeof(data)) > 0)
		;
	assert_true(bed->conn->appetite <= 64 << 10);
	assert_int_equal(write(bed->peer, data, 1), 1);
	assert_int_equal(vsock_conn_to_guest(bed->conn, &iov, 1, sizeof(data)), 1);
	assert_int_equal(bed->conn->appetite, before);
}

/* --- ends --- */

static void test_host_ends(void **state)
{
	struct bed *bed = *state;
	char byte;
	const struct iovec iov = { &byte, 1 };

	shutdown(bed->peer, SHUT_WR);
	bed->conn->readable = true;
	assert_int_equal(vsock_conn_to_guest(bed->conn, &iov, 1, 1), 0);
	assert_int_equal(bed->conn->host_closed, VSOCK_NO_SEND);
	assert_int_equal(bed->conn->tell, VSOCK_TELL_SHUTDOWN);
	/* Said once. */
	bed->conn->tell = 0;
	assert_int_equal(vsock_conn_to_guest(bed->conn, &iov, 1, 1), 0);
	assert_int_equal(bed->conn->tell, 0);
	/* The other direction still works. */
	assert_int_equal(guest_sends(bed, (const uint8_t *)"x", 1), 0);
	assert_int_equal(read(bed->peer, &byte, 1), 1);
	/* And then it goes altogether. */
	close(bed->peer);
	bed->peer = -1;
	bed->conn->hung_up = true;
	assert_int_equal(vsock_conn_to_guest(bed->conn, &iov, 1, 1), 0);
	assert_int_equal(bed->conn->host_closed, VSOCK_CLOSED);
	assert_int_equal(bed->conn->tell, VSOCK_TELL_SHUTDOWN);
}

static void test_guest_ends(void **state)
{
	static uint8_t data[4096];
	struct bed *bed = *state;
	char byte;

	/* What is buffered goes first; then the host side sees the end. */
	while (bed->conn->buffer_used == 0)
		assert_int_equal(guest_sends(bed, data, sizeof(data)), 0);
	assert_false(vsock_conn_guest_shutdown(bed->conn, VSOCK_NO_SEND));
	assert_int_equal(guest_sends(bed, data, 1), -EPROTO);
	for (ssize_t n = 1; n > 0 || bed->conn->buffer_used > 0;) {
		n = read(bed->peer, data, sizeof(data));
		vsock_conn_flush(bed->conn);
	}
	assert_int_equal(read(bed->peer, &byte, 1), 0);
	/* It may still receive. */
	assert_int_equal(write(bed->peer, "y", 1), 1);
	const struct iovec iov = { &byte, 1 };
	assert_int_equal(vsock_conn_to_guest(bed->conn, &iov, 1, 1), 1);
	assert_true(vsock_conn_guest_shutdown(bed->conn, VSOCK_NO_RECEIVE));
	assert_int_equal(send(bed->peer, "z", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
}

/* The other half alone: the host program can't send any more, what it reads goes on. */
static void test_guest_stops_receiving(void **state)
{
	struct bed *bed = *state;
	char byte;

	assert_false(vsock_conn_guest_shutdown(bed->conn, VSOCK_NO_RECEIVE));
	assert_int_equal(send(bed->peer, "z", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	/* Our own end of reading is no end of the host's. */
	vsock_conn_host_event(bed->conn, EPOLLIN | EPOLLRDHUP);
	assert_int_equal(bed->conn->tell, 0);
	assert_false(vsock_conn_has_work(bed->conn));
	assert_int_equal(guest_sends(bed, (const uint8_t *)"x", 1), 0);
	assert_int_equal(read(bed->peer, &byte, 1), 1);
	/* Twice is no harm. */
	assert_false(vsock_conn_guest_shutdown(bed->conn, VSOCK_NO_RECEIVE));
	/* And when the host program goes, the guest hears of it, though nothing is read. */
	close(bed->peer);
	bed->peer = -1;
	vsock_conn_host_event(bed->conn, EPOLLIN | EPOLLRDHUP | EPOLLHUP);
	assert_int_equal(bed->conn->host_closed, VSOCK_CLOSED);
	assert_int_equal(bed->conn->tell, VSOCK_TELL_SHUTDOWN);
}

/* Without credit nothing is read, and the end is found all the same, if nothing is before it. */
static void test_host_ends_without_credit(void **state)
{
	struct bed *bed = *state;
	char byte;
	const struct iovec iov = { &byte, 1 };

	assert_int_equal(vsock_conn_credit(bed->conn), 0);
	assert_int_equal(write(bed->peer, "x", 1), 1);
	shutdown(bed->peer, SHUT_WR);
	vsock_conn_host_event(bed->conn, EPOLLIN | EPOLLRDHUP);
	assert_int_equal(bed->conn->tell, 0);
	assert_false(vsock_conn_has_work(bed->conn));
	bed->conn->peer_alloc = 1;
	assert_true(vsock_conn_has_work(bed->conn));
	assert_int_equal(vsock_conn_to_guest(bed->conn, &iov, 1, 1), 1);
	assert_int_equal(vsock_conn_credit(bed->conn), 0);
	vsock_conn_host_event(bed->conn, EPOLLIN | EPOLLRDHUP);
	assert_int_equal(bed->conn->tell, VSOCK_TELL_SHUTDOWN);
	assert_int_equal(bed->conn->host_closed, VSOCK_NO_SEND);
}

static void test_guest_ends_at_once(void **state)
{
	static uint8_t data[4096];
	struct bed *bed = *state;

	assert_false(vsock_conn_guest_shutdown(bed->conn, 0));
	assert_false(
		vsock_conn_guest_shutdown(bed->conn, 0xfffffffc)); /* no flags of the standard */
	while (bed->conn->buffer_used == 0)
		assert_int_equal(guest_sends(bed, data, sizeof(data)), 0);
	assert_true(vsock_conn_guest_shutdown(bed->conn, VSOCK_CLOSED));
	while (bed->conn->buffer_used > 0) {
		assert_true(read(bed->peer, data, sizeof(data)) > 0);
		vsock_conn_flush(bed->conn);
	}
	while (read(bed->peer, data, sizeof(data)) > 0)
		;
	assert_int_equal(read(bed->peer, data, 1), 0);
}

/* Edges of reading always, of writing only while something is buffered. */
static void test_watch(void **state)
{
	const uint32_t always = EPOLLIN | EPOLLRDHUP | EPOLLET;
	struct bed *bed = *state;
	struct vsock_conn *conn = bed->conn;

	assert_int_equal(conn->watch.events, always);
	conn->readable = true;
	vsock_conn_rearm(conn);
	assert_int_equal(conn->watch.events, always);
	conn->buffer_used = 1;
	vsock_conn_rearm(conn);
	assert_int_equal(conn->watch.events, always | EPOLLOUT);
	conn->buffer_used = 0;
	vsock_conn_rearm(conn);
	assert_int_equal(conn->watch.events, always);
}

static void test_abort(void **state)
{
	static uint8_t data[4096];
	struct bed *bed = *state;

	while (bed->conn->buffer_used == 0)
		assert_int_equal(guest_sends(bed, data, sizeof(data)), 0);
	vsock_conn_abort(bed->conn);
	assert_int_equal(bed->conn->tell, VSOCK_TELL_RESET);
	assert_int_equal(bed->conn->fd, -1);
	assert_false(bed->conn->watch.active);
	assert_null(bed->conn->buffer);
	vsock_conn_rearm(bed->conn);
	while (read(bed->peer, data, sizeof(data)) > 0)
		;
	assert_int_equal(read(bed->peer, data, 1), 0);
}

/* --- the CONNECT line --- */

static void test_connect_lines(void **state)
{
	static const struct {
		const char *line;
		int64_t port; /* -1: refused, -2: more is awaited */
	} rows[] = {
		{ "CONNECT 52\n", 52 },
		{ "CONNECT 0\n", 0 },
		{ "CONNECT 00052\n", 52 },
		{ "CONNECT 4294967295\n", 4294967295 },
		{ "CONNECT 4294967296\n", -1 },
		{ "CONNECT 18446744073709551617\n", -1 },
		{ "CONNECT 99999999999999999999999\n", -1 },
		{ "CONNECT -1\n", -1 },
		{ "CONNECT +1\n", -1 },
		{ "CONNECT  1\n", -1 },
		{ "CONNECT 1 \n", -1 },
		{ "CONNECT 1\r\n", -1 },
		{ "CONNECT 0x10\n", -1 },
		{ "CONNECT \n", -1 },
		{ "CONNECT\n", -1 },
		{ "CONNECT52\n", -1 },
		{ "connect 52\n", -1 },
		{ " CONNECT 52\n", -1 },
		{ "GET / HTTP/1.1\r\n", -1 },
		{ "\n", -1 },
		{ "CONNECT 0000000000000000000000\n", 0 },
		{ "CONNECT 00000000000000000000000\n", 0 },
		{ "CONNECT 000000000000000000000000", -1 },
		{ "C", -2 },
		{ "CONNECT 5", -2 },
		{ "this is garbage without an end of", -1 },
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t port = 7777;

		close_conn(bed);
		open_conn(bed, VSOCK_HANDSHAKE);
		assert_int_equal(write(bed->peer, rows[i].line, strlen(rows[i].line)),
		                 strlen(rows[i].line));
		int got = vsock_conn_read_connect(bed->conn, &port);
		assert_row(rows[i].line, got == (rows[i].port >= 0    ? 1
		                                 : rows[i].port == -2 ? 0
		                                                      : -EPROTO));
		assert_row(rows[i].line,
		           port == (rows[i].port >= 0 ? (uint32_t)rows[i].port : 7777));
	}
}

/* A NUL ends no line: what comes behind it isn't ignored. */
static void test_connect_with_nul(void **state)
{
	struct bed *bed = *state;
	uint32_t port;

	assert_int_equal(write(bed->peer, "CONNECT 5\0junk\n", 15), 15);
	assert_int_equal(vsock_conn_read_connect(bed->conn, &port), -EPROTO);
}

/* In pieces, with nothing left in the socket meanwhile, or the loop would spin. */
static void test_connect_in_pieces(void **state)
{
	static const char line[] = "CONNECT 1234\nthe stream";
	struct bed *bed = *state;
	uint32_t port = 0;
	char rest[64], byte;

	for (size_t i = 0; i < 12; i++) {
		assert_int_equal(write(bed->peer, line + i, 1), 1);
		assert_int_equal(vsock_conn_read_connect(bed->conn, &port), 0);
		assert_int_equal(recv(bed->conn->fd, &byte, 1, MSG_PEEK), -1);
		assert_int_equal(errno, EAGAIN);
	}
	assert_int_equal(vsock_conn_read_connect(bed->conn, &port), 0);
	assert_int_equal(write(bed->peer, line + 12, 11), 11);
	assert_int_equal(vsock_conn_read_connect(bed->conn, &port), 1);
	assert_int_equal(port, 1234);
	/* What comes behind the line is the stream's. */
	assert_int_equal(read(bed->conn->fd, rest, sizeof(rest)), 10);
	assert_memory_equal(rest, "the stream", 10);
}

static void test_connect_and_gone(void **state)
{
	struct bed *bed = *state;
	uint32_t port;

	assert_int_equal(write(bed->peer, "CONN", 4), 4);
	close(bed->peer);
	bed->peer = -1;
	assert_int_equal(vsock_conn_read_connect(bed->conn, &port), -EPROTO);
}

int main(void)
{
#define CONN_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		CONN_TEST(test_straight_through),
		CONN_TEST(test_slow_reader),
		CONN_TEST(test_credit_of_the_guest),
		CONN_TEST(test_credit_is_told),
		CONN_TEST(test_host_gone),
		CONN_TEST(test_host_stops_receiving),
		CONN_TEST(test_credit_of_the_host),
		CONN_TEST(test_to_guest),
		CONN_TEST(test_fds_are_dropped),
		CONN_TEST(test_appetite),
		CONN_TEST(test_host_ends),
		CONN_TEST(test_guest_ends),
		CONN_TEST(test_guest_stops_receiving),
		CONN_TEST(test_host_ends_without_credit),
		CONN_TEST(test_guest_ends_at_once),
		CONN_TEST(test_watch),
		CONN_TEST(test_abort),
		CONN_TEST(test_connect_lines),
		CONN_TEST(test_connect_with_nul),
		CONN_TEST(test_connect_in_pieces),
		CONN_TEST(test_connect_and_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
