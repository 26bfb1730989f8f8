/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_stream.c - frames over a unix stream socket (net_framing.h), such as passt's. I/O thread.
 *
 * The peer may stall, close or babble: none of it holds the loop or grows memory. A frame that the
 * socket took in part is kept, one at most, and finished before anything else is sent. A connection
 * that ends, or can't be followed, takes the link down; from then on another one is tried now and
 * then, for a server that was started anew.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/sock.h"
#include "vmm/virtio/net_backend.h"
#include "vmm/virtio/net_framing.h"

#define RETRY_NS NS_PER_S
/* Reads without a frame in one go; the watch is level-triggered and comes back for the rest. */
#define FILLS_MAX 4

struct net_stream {
	struct net_backend backend;
	struct loop *loop; /* borrowed */
	const char *path;  /* borrowed */
	struct loop_watch watch;
	struct loop_timer retry;
	struct log_limit complaints;
	bool want_in, want_out;
	int fd; /* owned; -1: the link is down */
	struct net_framing framing;
	size_t rest_start, rest_end; /* of .rest: a frame's bytes that the socket didn't take yet */
	uint8_t rest[NET_FRAMING_PREFIX + NET_FRAME_MAX];
};

static struct net_stream *stream_of(struct net_backend *backend)
{
	return container_of(backend, struct net_stream, backend);
}

static bool has_rest(const struct net_stream *stream)
{
	return stream->rest_start < stream->rest_end;
}

static void rearm(struct net_stream *stream)
{
	bool out = stream->want_out || has_rest(stream);

	if (stream->fd >= 0)
		ASSERT(loop_watch_change(stream->loop, &stream->watch,
		                         (stream->want_in ? EPOLLIN : 0u) |
		                                 (out ? EPOLLOUT : 0u)) == 0);
}

static void on_retry(struct loop_timer *timer);

static void hang_up(struct net_stream *stream, const char *why)
{
	log_warn_limited(&stream->complaints, "net: %s: %s; the link is down", stream->path, why);
	loop_watch_remove(stream->loop, &stream->watch);
	close_fd(&stream->fd);
	stream->backend.up = false;
	loop_timer_set(stream->loop, &stream->retry, clock_now_ns() + RETRY_NS, on_retry);
}

/* Sends what is left of a frame. False: the socket takes no more now. */
static bool flush(struct net_stream *stream)
{
	while (has_rest(stream)) {
		ssize_t sent =
			send(stream->fd, stream->rest + stream->rest_start,
		             stream->rest_end - stream->rest_start, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EAGAIN)
			return false;
		if (sent < 0) {
			hang_up(stream, strerror(errno));
			return false;
		}
		stream->rest_start += (size_t)sent;
	}
	return true;
}

/* Keeps what lies behind the first @sent bytes of a frame. */
static void keep_rest(struct net_stream *stream, const struct iovec *iov, int count, size_t sent)
{
	stream->rest_start = stream->rest_end = 0;
	for (int i = 0; i < count; i++) {
		size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;
		size_t left = iov[i].iov_len - skip;

		sent -= skip;
		memcpy(stream->rest + stream->rest_end, (uint8_t *)iov[i].iov_base + skip, left);
		stream->rest_end += left;
	}
}

static enum net_sent stream_send(struct net_backend *backend, struct iovec *iov, int count,
                                 size_t size)
{
	struct net_stream *stream = stream_of(backend);
	uint8_t prefix[NET_FRAMING_PREFIX];

	if (stream->fd < 0)
		return NET_DROPPED;
	if (has_rest(stream))
		return NET_FULL;
	net_framing_prefix(size, prefix);
	iov[0] = (struct iovec){ prefix, sizeof(prefix) };
	const struct msghdr message = { .msg_iov = iov, .msg_iovlen = (size_t)count };
	ssize_t sent = sendmsg(stream->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0 && errno == EAGAIN)
		return NET_FULL;
	if (sent < 0) {
		hang_up(stream, strerror(errno));
		return NET_DROPPED;
	}
	if ((size_t)sent < sizeof(prefix) + size) {
		keep_rest(stream, iov, count, (size_t)sent);
		rearm(stream);
	}
	return NET_SENT;
}

/* Reads what is there. False: nothing new. */
static bool fill(struct net_stream *stream)
{
	size_t room;
	uint8_t *space = net_framing_space(&stream->framing, &room);
	ssize_t got = recv(stream->fd, space, room, MSG_DONTWAIT);

	if (got > 0) {
		net_framing_filled(&stream->framing, (size_t)got);
		return true;
	}
	if (got == 0)
		hang_up(stream, "the peer has closed");
	else if (errno != EAGAIN)
		hang_up(stream, strerror(errno));
	return false;
}

static size_t scatter(const struct iovec *iov, int count, size_t offset, const void *data,
                      size_t size)
{
	const uint8_t *from = data;
	size_t left = size;

	for (int i = 0; i < count && left > 0; i++) {
		size_t skip = offset < iov[i].iov_len ? offset : iov[i].iov_len;
		size_t n = iov[i].iov_len - skip < left ? iov[i].iov_len - skip : left;

		offset -= skip;
		if (from)
			memcpy((uint8_t *)iov[i].iov_base + skip, from + (size - left), n);
		left -= n;
	}
	return size - left;
}

static size_t stream_receive(struct net_backend *backend, const struct iovec *iov, int count)
{
	static const uint8_t no_header[NET_HEADER_SIZE];
	struct net_stream *stream = stream_of(backend);
	const uint8_t *frame;
	size_t size;
	int got = 0;

	/* A peer that sends no frames, only empty ones, may do so as fast as they are read. */
	for (unsigned fills = 0; stream->fd >= 0; fills++) {
		got = net_framing_next(&stream->framing, &frame, &size);
		if (got)
			break;
		if (fills == FILLS_MAX || !fill(stream))
			return 0;
	}
	if (stream->fd < 0)
		return 0;
	if (got < 0) {
		hang_up(stream, "a frame of more bytes than frames have");
		return 0;
	}
	return scatter(iov, count, 0, no_header, sizeof(no_header)) +
	       scatter(iov, count, sizeof(no_header), frame, size);
}

static void stream_want(struct net_backend *backend, bool in, bool out)
{
	struct net_stream *stream = stream_of(backend);

	stream->want_in = in;
	stream->want_out = out;
	rearm(stream);
}

static void stream_negotiated(struct net_backend *backend, uint64_t features)
{
	(void)backend;
	(void)features;
}

static void stream_destroy(struct net_backend *backend)
{
	struct net_stream *stream = stream_of(backend);

	loop_timer_cancel(stream->loop, &stream->retry);
	loop_watch_remove(stream->loop, &stream->watch);
	close_fd(&stream->fd);
	free(stream);
}

static const struct net_backend_ops stream_ops = {
	.send = stream_send,
	.receive = stream_receive,
	.want = stream_want,
	.negotiated = stream_negotiated,
	.destroy = stream_destroy,
};

static void on_stream(struct loop_watch *watch, uint32_t events)
{
	struct net_stream *stream = container_of(watch, struct net_stream, watch);

	if (events & EPOLLOUT)
		flush(stream);
	/* With EPOLLIN wanted, what came before the end is read first, and reading finds the end. */
	if (stream->fd >= 0 && (events & (EPOLLHUP | EPOLLERR)) && !stream->want_in)
		hang_up(stream, "the peer has closed");
	rearm(stream);
	stream->backend.ready(&stream->backend);
}

static int start(struct net_stream *stream, struct error *err)
{
	cleanup_fd int fd = -1;
	int ret = sock_connect_unix_now(stream->path, &fd, err);

	if (ret)
		return ret;
	ret = loop_watch_add(stream->loop, &stream->watch, fd, 0, on_stream);
	if (ret)
		return error_set(err, ret, "cannot watch a stream: %s", strerror(-ret));
	net_framing_init(&stream->framing);
	stream->rest_start = stream->rest_end = 0;
	stream->fd = steal_fd(&fd);
	stream->backend.up = true;
	rearm(stream);
	return 0;
}

static void on_retry(struct loop_timer *timer)
{
	struct net_stream *stream = container_of(timer, struct net_stream, retry);

	if (start(stream, NULL)) {
		loop_timer_set(stream->loop, &stream->retry, clock_now_ns() + RETRY_NS, on_retry);
		return;
	}
	log_info("net: %s: connected again; the link is up", stream->path);
	stream->backend.ready(&stream->backend);
}

int net_stream_create(struct loop *loop, const char *path, struct net_backend **out_backend,
                      struct error *err)
{
	cleanup_free struct net_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return error_set(err, -ENOMEM, "no memory for net");
	stream->backend.ops = &stream_ops;
	stream->complaints = (struct log_limit)LOG_LIMIT_INIT;
	stream->loop = loop;
	stream->path = path;
	stream->fd = -1;
	int ret = start(stream, err);
	if (ret)
		return error_prefix(err, ret, "--net: start the stream's server first");
	*out_backend = &stream->backend;
	steal_pointer(&stream);
	return 0;
}
