/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_net.c - vmm/virtio/net*.c: a driver's frames and buffers, and on the other side a stream server
 * that sends what it likes, reads when it likes, leaves and comes back. What the device sends to it is
 * always a stream of whole frames.
 *
 *	u8   options: bit 0 limits the rates, bit 1 gives a MAC
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/sock.h"
#include "tests/fuzz/driver.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/net_framing.h"

#define LIMITED 1u

enum act { FRAME, ZEROS, RAW, RECEIVE, SHUT, CLOSE, ACCEPT, ACTS };

static int listener = -1, peer = -1;
static uint64_t frame_left; /* bytes of the frame that is being received */
static uint8_t prefix[NET_FRAMING_PREFIX];
static size_t prefix_have;
static char folder[64], path[80];

static void remove_folder(void)
{
	unlink(path);
	rmdir(folder);
}

void fuzz_init(void)
{
	const char *tmp = getenv("TMPDIR");
	struct error err = { 0 };

	snprintf(folder, sizeof(folder), "%.40s/net-XXXXXX", tmp ? tmp : "/tmp");
	CHECK(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	CHECK(atexit(remove_folder) == 0);
	CHECK(sock_listen_unix(path, &listener, &err) == 0);
}

/* The device has connected, or will have; @must: it has. */
static void accept_device(bool must)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	CHECK(fd >= 0 || !must);
	if (fd < 0)
		return;
	close_fd(&peer);
	peer = fd;
	frame_left = prefix_have = 0;
}

static struct virtio_device *create(const struct virtio_place *place, struct input *in)
{
	struct net_config config = { .kind = NET_STREAM, .target = path, .fd = -1 };
	struct virtio_device *dev = NULL;
	struct error err = { 0 };

	if (input_u8(in) & LIMITED)
		config.rate_bytes = config.rate_packets = 1000;
	CHECK(virtio_net_create(place, &config, &dev, &err) == 0);
	accept_device(true);
	return dev;
}

static void check_stream(const uint8_t *data, size_t size)
{
	while (size > 0) {
		if (frame_left > 0) {
			size_t n = size < frame_left ? size : (size_t)frame_left;

			frame_left -= n;
			data += n;
			size -= n;
			continue;
		}
		prefix[prefix_have++] = *data++;
		size--;
		if (prefix_have < sizeof(prefix))
			continue;
		prefix_have = 0;

		uint32_t length;
		memcpy(&length, prefix, sizeof(length));
		frame_left = be32toh(length);
		CHECK(frame_left >= NET_FRAME_MIN && frame_left <= NET_FRAME_MAX);
	}
}

static void receive(size_t size)
{
	static uint8_t data[64 << 10];
	ssize_t got = recv(peer, data, size < sizeof(data) ? size : sizeof(data), MSG_DONTWAIT);

	if (got > 0)
		check_stream(data, (size_t)got);
}

static void say(const void *data, size_t size)
{
	if (send(peer, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return; /* the device has hung up, or takes no more: both are its right */
}

static void say_frame(const void *data, size_t size)
{
	uint8_t length[NET_FRAMING_PREFIX];

	net_framing_prefix(size, length);
	say(length, sizeof(length));
	say(data, size);
}

static void host(struct input *in)
{
	static const uint8_t zeros[60000];
	const uint8_t *data;
	size_t size;

	switch ((enum act)(input_u8(in) % ACTS)) {
	case FRAME:
		size = input_bytes(in, input_u8(in), &data);
		say_frame(data, size);
		break;
	case ZEROS:
		size = input_u16(in);
		say_frame(zeros, size < sizeof(zeros) ? size : sizeof(zeros));
		break;
	case RAW:
		size = input_bytes(in, input_u8(in), &data);
		say(data, size);
		break;
	case RECEIVE:
		receive(input_u16(in));
		break;
	case SHUT:
		shutdown(peer, input_u8(in) % 3);
		break;
	case CLOSE:
		close_fd(&peer);
		break;
	case ACCEPT:
		accept_device(false);
		break;
	case ACTS:
		break;
	}
	driver_loop();
}

/* Connections that nobody took must not meet the next input. */
static void close_peer(void)
{
	int fd;

	close_fd(&peer);
	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close_fd(&fd);
}

void fuzz_one(struct input *in)
{
	static const struct driver_device device = {
		.create = create,
		.host = host,
		.destroyed = close_peer,
	};

	driver_run(&device, in);
}
