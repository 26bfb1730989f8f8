/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_lib_wire_conn.c - a wire connection over a socket pair: whole and cut messages, file
 * descriptors, slow readers, peers that close or misbehave, and the blocking call.
 *
 * Wraps recvmsg and sendmsg to interrupt them and to send one byte at a time.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/wire.h"

static bool interrupting;    /* every other call fails with EINTR */
static size_t send_step_max; /* > 0: a send takes at most this much */
static unsigned wrapped_calls;

ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);

static bool interrupted(void)
{
	if (!interrupting || wrapped_calls++ % 2)
		return false;
	errno = EINTR;
	return true;
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return interrupted() ? -1 : __real_recvmsg(fd, msg, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct iovec piece = msg->msg_iov[0];
	struct msghdr less = *msg;

	if (interrupted())
		return -1;
	if (send_step_max > 0 && piece.iov_len > send_step_max)
		piece.iov_len = send_step_max;
	less.msg_iov = &piece;
	return __real_sendmsg(fd, &less, flags);
}

/* Two connections that talk to each other. */
struct pair {
	struct wire_conn a, b;
};

static int pair_open(void **state)
{
	static struct pair pair;
	int ends[2];

	interrupting = false;
	send_step_max = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ||
	    wire_conn_init(&pair.a, ends[0]) < 0 || wire_conn_init(&pair.b, ends[1]) < 0)
		return -1;
	*state = &pair;
	return 0;
}

static int pair_close(void **state)
{
	struct pair *pair = *state;

	wire_conn_finish(&pair->a);
	wire_conn_finish(&pair->b);
	return 0;
}

static int open_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void send_id(struct wire_conn *conn, int id, const void *blob, size_t size, int fd)
{
	json_t *object = json_pack("{s:i}", "id", id);

	assert_int_equal(wire_conn_send(conn, object, blob, size, fd), 0);
	json_decref(object);
}

/* The next message, reading (and letting @sender send) as long as it takes. */
static struct wire_message receive(struct wire_conn *conn, struct wire_conn *sender)
{
	struct wire_message message = WIRE_MESSAGE_INIT;
	struct error err = { 0 };

	for (int rounds = 0; rounds < 100000; rounds++) {
		int rc = wire_conn_next(conn, &message, &err);

		assert_int_equal(err.code, 0);
		if (rc == 1)
			return message;
		assert_int_equal(wire_conn_flush(sender), 0);
		assert_true(wire_conn_read(conn, &err) >= 0);
	}
	fail_msg("no message");
	return message;
}

static int id_of(const struct wire_message *message)
{
	return (int)json_integer_value(json_object_get(message->object, "id"));
}

static void test_round_trip(void **state)
{
	struct pair *pair = *state;
	static uint8_t blob[WIRE_BLOB_MAX];

	for (size_t i = 0; i < sizeof(blob); i++)
		blob[i] = (uint8_t)(i * 7 + i / 251);
	for (int twice = 0; twice < 2; twice++) {
		interrupting = twice;
		send_id(&pair->a, 1, NULL, 0, -1);
		send_id(&pair->a, 2, blob, sizeof(blob), -1);
		send_id(&pair->a, 3, blob, 1, -1);
		assert_true(wire_conn_wants_write(&pair->a));
		for (int id = 1; id <= 3; id++) {
			struct wire_message message = receive(&pair->b, &pair->a);

			assert_int_equal(id_of(&message), id);
			assert_int_equal(message.blob_size, id == 1   ? 0
			                                    : id == 2 ? sizeof(blob)
			                                              : 1);
			if (id > 1)
				assert_memory_equal(message.blob, blob, message.blob_size);
			wire_message_finish(&message);
		}
		assert_false(wire_conn_wants_write(&pair->a));
		assert_int_equal(pair->a.queued, 0);
	}
}

static void test_fd_sticks_to_its_message(void **state)
{
	struct pair *pair = *state;
	int before = open_fds();
	struct stat sent, got;
	int file = memfd_create("unit", MFD_CLOEXEC);

	assert_int_equal(fstat(file, &sent), 0);
	for (size_t step = 0; step <= 20; step++) {
		/* Small messages that the kernel joins in one read, and one-byte sends. */
		send_step_max = step;
		send_id(&pair->a, 1, "xy", 2, -1);
		send_id(&pair->a, 2, NULL, 0, file);
		send_id(&pair->a, 3, "z", 1, -1);
		send_id(&pair->a, 4, "hello", 5, file);
		send_id(&pair->a, 5, NULL, 0, file);
		for (int id = 1; id <= 5; id++) {
			struct wire_message message = receive(&pair->b, &pair->a);
			bool with_fd = id == 2 || id >= 4;

			assert_int_equal(id_of(&message), id);
			assert_int_equal(message.fd >= 0, with_fd);
			if (with_fd) {
				assert_int_equal(fstat(message.fd, &got), 0);
				assert_int_equal(got.st_ino, sent.st_ino);
				assert_true(fcntl(message.fd, F_GETFD) & FD_CLOEXEC);
			}
			wire_message_finish(&message);
		}
	}
	close(file);
	assert_int_equal(open_fds(), before);
}

/* Raw bytes, with @count fds, from the side that plays the villain. */
static void send_raw(int to, const void *data, size_t size, const int *fds, size_t count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count > 0) {
		struct cmsghdr *c = (struct cmsghdr *)(void *)control;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	assert_int_equal(__real_sendmsg(to, &msg, 0), (ssize_t)size);
}

/* More than one fd with a message: refused, and none of them stays open. */
static void test_too_many_fds(void **state)
{
	static const size_t counts[] = { 2, 3, 8 };
	int before = open_fds();

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct pair *pair = *state;
		const int fds[8] = { 0, 0, 0, 0, 0, 0, 0, 0 };
		struct wire_message message = WIRE_MESSAGE_INIT;
		struct error err = { 0 };

		send_raw(pair->a.fd, "{}\n", 3, fds, counts[i]);
		assert_int_equal(wire_conn_read(&pair->b, &err), -EPROTO);
		assert_int_equal(wire_conn_next(&pair->b, &message, &err), -EPROTO);
		pair_close(state);
		pair_open(state);
	}
	assert_int_equal(open_fds(), before);
}

static void test_second_fd_within_message(void **state)
{
	static const struct {
		const char *pieces[3];
		int read_rc, next_rc;
	} rows[] = {
		{ { "{\"a\"", ":1}\n", NULL }, 4, -EPROTO },
		{ { "{\"a\"", ":1}\n{", NULL }, 5, 1 },
		{ { "{\"a\"", ":1", "}\n" }, -EPROTO, -EPROTO },
	};
	const int fds[1] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pair *pair = *state;
		struct wire_message message = WIRE_MESSAGE_INIT;
		int before = open_fds(), rc = 0;

		for (size_t k = 0; k < 3 && rows[i].pieces[k]; k++) {
			send_raw(pair->a.fd, rows[i].pieces[k], strlen(rows[i].pieces[k]), fds, 1);
			rc = wire_conn_read(&pair->b, NULL);
		}
		assert_row(rows[i].pieces[1], rc == rows[i].read_rc);
		assert_int_equal(wire_conn_next(&pair->b, &message, NULL), rows[i].next_rc);
		assert_int_equal(message.fd >= 0, rows[i].next_rc == 1);
		wire_message_finish(&message);
		/* What is pending is closed with the connection. */
		pair_close(state);
		assert_int_equal(open_fds(), before - 2);
		pair_open(state);
	}
}

static void test_peer_closes(void **state)
{
	static const struct {
		const char *sent;
		int messages;
		bool within;
	} rows[] = {
		{ "", 0, false },
		{ "{}\n", 1, false },
		{ "{}\n{\"a\"", 1, true },
		{ "{\"blob\":5}\nhel", 0, true },
		{ "{\"blob\":5}\n", 0, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pair *pair = *state;
		struct wire_message message = WIRE_MESSAGE_INIT;
		struct error err = { 0 };
		int count = 0;

		if (rows[i].sent[0])
			send_raw(pair->a.fd, rows[i].sent, strlen(rows[i].sent), NULL, 0);
		wire_conn_finish(&pair->a);
		if (rows[i].sent[0])
			assert_true(wire_conn_read(&pair->b, &err) > 0);
		while (wire_conn_next(&pair->b, &message, &err) == 1) {
			count++;
			wire_message_finish(&message);
		}
		assert_row(rows[i].sent, count == rows[i].messages);
		for (int again = 0; again < 2; again++)
			assert_int_equal(wire_conn_read(&pair->b, &err), -ECONNRESET);
		assert_true(pair->b.eof);
		pair_close(state);
		pair_open(state);

		struct error first = { 0 };

		pair = *state;
		if (rows[i].sent[0])
			send_raw(pair->a.fd, rows[i].sent, strlen(rows[i].sent), NULL, 0);
		shutdown(pair->a.fd, SHUT_WR);
		while (wire_conn_read(&pair->b, &first) >= 0)
			while (wire_conn_next(&pair->b, &message, NULL) == 1)
				wire_message_finish(&message);
		assert_int_equal(strstr(first.msg, "middle of a message") != NULL, rows[i].within);
		pair_close(state);
		pair_open(state);
	}
}

static void test_nothing_to_read(void **state)
{
	struct pair *pair = *state;
	struct error err = { 0 };

	assert_int_equal(wire_conn_read(&pair->b, &err), 0);
	assert_int_equal(err.code, 0);
}

static void test_read_is_bounded(void **state)
{
	struct pair *pair = *state;
	static uint8_t blob[WIRE_BLOB_MAX];
	int size = 4 << 20;
	struct error err = { 0 };

	/* A sender whose socket holds it all, where the limits of the machine allow. */
	setsockopt(pair->a.fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	send_id(&pair->a, 1, blob, sizeof(blob), -1);
	assert_true(wire_conn_read(&pair->b, &err) <= (int)WIRE_READ_MAX);
}

static void test_slow_reader(void **state)
{
	struct pair *pair = *state;
	static uint8_t blob[WIRE_BLOB_MAX];
	json_t *object = json_object();
	int sent = 0, rc;

	while ((rc = wire_conn_send(&pair->a, object, blob, sizeof(blob), 0)) == 0)
		assert_true(++sent < 20);
	assert_int_equal(rc, -ENOBUFS);
	assert_true(sent >= 7);
	assert_true(pair->a.queued <= WIRE_QUEUE_MAX);
	/* What was queued before still arrives in order and whole. */
	for (int i = 0; i < sent; i++) {
		struct wire_message message = receive(&pair->b, &pair->a);

		assert_int_equal(message.blob_size, sizeof(blob));
		assert_true(message.fd >= 0);
		wire_message_finish(&message);
	}
	assert_int_equal(wire_conn_send(&pair->a, object, NULL, 0, -1), 0);
	json_decref(object);
}

static void test_send_to_closed(void **state)
{
	struct pair *pair = *state;
	json_t *object = json_object();

	wire_conn_finish(&pair->b);
	assert_int_equal(wire_conn_send(&pair->a, object, NULL, 0, -1), -EPIPE);
	assert_int_equal(wire_conn_send(&pair->a, object, NULL, 0, 12345), -EPIPE);
	json_decref(object);
}

static void test_send_refused(void **state)
{
	struct pair *pair = *state;
	json_t *object = json_object();
	static uint8_t blob[1];

	assert_int_equal(wire_conn_send(&pair->a, object, blob, WIRE_BLOB_MAX + 1, -1), -EMSGSIZE);
	assert_int_equal(wire_conn_send(&pair->a, object, NULL, 0, 12345), -EBADF);
	assert_false(wire_conn_wants_write(&pair->a));
	json_decref(object);
}

static void test_init_and_finish(void **state)
{
	struct wire_conn zeroed = { .fd = -1 };
	struct wire_conn bad;

	(void)state;
	wire_conn_finish(&zeroed);
	wire_conn_finish(&zeroed);
	assert_true(fcntl(0, F_GETFD) >= 0); /* the zeroes in it were nobody's fd */
	assert_int_equal(wire_conn_init(&bad, 12345), -EBADF);
	assert_int_equal(bad.fd, -1);
}

/* --- the blocking call ------------------------------------------------------------------------ */

/* A peer in a thread: waits for the first message, then plays its part. */
struct peer {
	struct wire_conn *conn;
	const char *script; /* raw bytes to answer with */
	bool leave;         /* closes afterwards */
	pthread_t thread;
};

static void *peer_main(void *arg)
{
	struct peer *peer = arg;
	struct wire_message message = WIRE_MESSAGE_INIT;

	while (wire_conn_next(peer->conn, &message, NULL) == 0) {
		if (wire_conn_read(peer->conn, NULL) < 0)
			return NULL;
		usleep(200);
	}
	wire_message_finish(&message);
	for (const char *at = peer->script; *at; at++) {
		if (write(peer->conn->fd, at, 1) < 0)
			break;
	}
	if (peer->leave)
		shutdown(peer->conn->fd, SHUT_RDWR);
	return NULL;
}

static void count_other(const struct wire_message *message, void *arg)
{
	assert_true(json_is_object(message->object));
	++*(int *)arg;
}

static void test_call(void **state)
{
	static const struct {
		const char *script;
		bool leave;
		int rc;
		int others;
		const char *blob;
	} rows[] = {
		{ "{\"id\":5,\"ok\":true}\n", false, 0, 0, NULL },
		{ "{\"event\":\"a\"}\n{\"id\":4}\n{\"id\":5,\"blob\":2}\nhi{\"event\":\"b\"}\n",
		  false, 0, 2, "hi" },
		{ "{\"id\":5,\"event\":\"trap\"}\n{\"id\":\"5\"}\n{\"id\":5.0}\n{\"id\":5}\n", true,
		  0, 3, NULL },
		{ "{\"event\":\"a\"}\n", false, -ETIMEDOUT, 1, NULL },
		{ "{\"event\":\"a\"}\n", true, -ECONNRESET, 1, NULL },
		{ "{\"id\":5,\"blob\":9}\nhi", true, -ECONNRESET, 0, NULL },
		{ "{\"id\":4}\ngarbage\n", false, -EPROTO, 1, NULL },
		{ "", true, -ECONNRESET, 0, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pair *pair = *state;
		struct peer peer = {
			.conn = &pair->b,
			.script = rows[i].script,
			.leave = rows[i].leave,
		};
		json_t *object = json_pack("{s:i}", "id", 5);
		struct wire_message reply = WIRE_MESSAGE_INIT;
		struct error err = { 0 };
		int others = 0, rc;

		assert_int_equal(pthread_create(&peer.thread, NULL, peer_main, &peer), 0);
		rc = wire_conn_call(&pair->a, object, "in", 2,
		                    rows[i].rc == -ETIMEDOUT ? 150 : 20000, count_other, &others,
		                    &reply, &err);
		pthread_join(peer.thread, NULL);
		assert_row(rows[i].script, rc == rows[i].rc);
		assert_row(rows[i].script, others == rows[i].others);
		assert_int_equal(err.code, rows[i].rc);
		assert_int_equal(reply.object != NULL, rc == 0);
		if (rows[i].blob)
			assert_memory_equal(reply.blob, rows[i].blob, reply.blob_size);
		wire_message_finish(&reply);
		json_decref(object);
		pair_close(state);
		pair_open(state);
	}
}

/* A reply that came together with an earlier one is found without another byte. */
static void test_call_finds_what_is_there(void **state)
{
	struct pair *pair = *state;
	json_t *one = json_pack("{s:i}", "id", 1), *two = json_pack("{s:i}", "id", 2);
	struct wire_message reply = WIRE_MESSAGE_INIT;
	struct error err = { 0 };
	static const char both[] = "{\"id\":1}\n{\"id\":2}\n";

	send_raw(pair->b.fd, both, sizeof(both) - 1, NULL, 0);
	assert_int_equal(wire_conn_call(&pair->a, one, NULL, 0, 5000, NULL, NULL, &reply, &err), 0);
	wire_message_finish(&reply);
	assert_int_equal(wire_conn_call(&pair->a, two, NULL, 0, 5000, NULL, NULL, &reply, &err), 0);
	assert_int_equal(id_of(&reply), 2);
	wire_message_finish(&reply);
	json_decref(one);
	json_decref(two);
}

/* A peer that answers and closes without having read the question: the answer is what counts. */
static void test_call_refused_early(void **state)
{
	struct pair *pair = *state;
	json_t *object = json_pack("{s:i}", "id", 1);
	struct wire_message reply = WIRE_MESSAGE_INIT;
	struct error err = { 0 };

	send_raw(pair->b.fd, "{\"id\":1,\"ok\":false}\n", 20, NULL, 0);
	wire_conn_finish(&pair->b);
	assert_int_equal(wire_conn_call(&pair->a, object, NULL, 0, 5000, NULL, NULL, &reply, &err),
	                 0);
	assert_int_equal(id_of(&reply), 1);
	wire_message_finish(&reply);
	json_decref(object);
}

#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, pair_open, pair_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_PAIR(test_round_trip),
		WITH_PAIR(test_fd_sticks_to_its_message),
		WITH_PAIR(test_too_many_fds),
		WITH_PAIR(test_second_fd_within_message),
		WITH_PAIR(test_peer_closes),
		WITH_PAIR(test_nothing_to_read),
		WITH_PAIR(test_read_is_bounded),
		WITH_PAIR(test_slow_reader),
		WITH_PAIR(test_send_to_closed),
		WITH_PAIR(test_send_refused),
		cmocka_unit_test(test_init_and_finish),
		WITH_PAIR(test_call),
		WITH_PAIR(test_call_finds_what_is_there),
		WITH_PAIR(test_call_refused_early),
	};

	return cmocka_run_group_tests_name("lib_wire_conn", tests, NULL, NULL);
}
