/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_vsock.c - vmm/virtio/vsock*.c: the guest's packets through rings, and on the other side host
 * programs with real unix sockets that connect, send, read, half-close and vanish.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/sock.h"
#include "tests/fuzz/driver.h"
#include "vmm/virtio/vsock.h"

#define GUEST_CID 3
#define SERVICE_PORT 1024
#define LISTEN_PORT 2000
#define PEERS_MAX 12

enum act { CONNECT, SAY, SEND, RECEIVE, SHUT, CLOSE, LISTEN, ACCEPT, ACTS };

/* The host's ends: programs that connected, were connected to, or serve a port inside the VMM. */
static int peers[PEERS_MAX];
static int listener = -1;
static char folder[64], path[80], listen_path[96];

static void remove_folder(void)
{
	unlink(path);
	unlink(listen_path);
	rmdir(folder);
}

void fuzz_init(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(folder, sizeof(folder), "%.40s/vsock-XXXXXX", tmp ? tmp : "/tmp");
	CHECK(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/v", folder);
	snprintf(listen_path, sizeof(listen_path), "%s_%d", path, LISTEN_PORT);
	for (unsigned i = 0; i < PEERS_MAX; i++)
		peers[i] = -1;
	CHECK(atexit(remove_folder) == 0);
}

static void add_peer(int fd)
{
	for (unsigned i = 0; i < PEERS_MAX; i++)
		if (peers[i] < 0) {
			peers[i] = fd;
			return;
		}
	close_fd(&fd);
}

static void on_service(void *arg, int fd)
{
	(void)arg;
	add_peer(fd);
}

static struct virtio_device *create(const struct virtio_place *place, struct input *in)
{
	struct virtio_device *dev = NULL;
	struct error err = { 0 };

	(void)in;
	CHECK(virtio_vsock_create(place, GUEST_CID, path, &dev, &err) == 0);
	CHECK(virtio_vsock_serve(dev, SERVICE_PORT, on_service, NULL) == 0);
	return dev;
}

/* A host program that asks for a port of the guest; port 0: that says nothing yet. */
static void connect_peer(struct input *in)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char line[32];
	unsigned port = input_u16(in);
	int size = port ? snprintf(line, sizeof(line), "CONNECT %u\n", port) : 0;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	CHECK(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    send(fd, line, (size_t)size, MSG_NOSIGNAL) != size) {
		close_fd(&fd);
		return;
	}
	add_peer(fd);
}

static void send_bytes(int fd, const void *data, size_t size)
{
	if (send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return; /* the VMM has closed it, or takes no more: both are its right */
}

static void receive(int fd, size_t size)
{
	static uint8_t sink[64 << 10];

	if (recv(fd, sink, size < sizeof(sink) ? size : sizeof(sink), MSG_DONTWAIT) < 0)
		return;
}

static void start_listening(void)
{
	struct error err = { 0 };

	if (listener < 0)
		CHECK(sock_listen_unix(listen_path, &listener, &err) == 0);
}

static void host(struct input *in)
{
	static const uint8_t zeros[60000];
	uint8_t byte = input_u8(in);
	int *peer = &peers[byte / ACTS % PEERS_MAX];
	const uint8_t *data;
	size_t size;

	switch ((enum act)(byte % ACTS)) {
	case CONNECT:
		connect_peer(in);
		break;
	case SAY: /* bytes of the input: into the handshake too */
		size = input_bytes(in, input_u8(in) % 64u, &data);
		send_bytes(*peer, data, size);
		break;
	case SEND:
		size = input_u16(in);
		send_bytes(*peer, zeros, size < sizeof(zeros) ? size : sizeof(zeros));
		break;
	case RECEIVE:
		receive(*peer, input_u16(in));
		break;
	case SHUT:
		shutdown(*peer, input_u8(in) % 3);
		break;
	case CLOSE:
		close_fd(peer);
		break;
	case LISTEN:
		start_listening();
		break;
	case ACCEPT:
		if (listener >= 0) {
			int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
			if (fd >= 0)
				add_peer(fd);
		}
		break;
	case ACTS:
		break;
	}
	driver_loop();
}

static void close_peers(void)
{
	for (unsigned i = 0; i < PEERS_MAX; i++)
		close_fd(&peers[i]);
	if (listener >= 0)
		unlink(listen_path);
	close_fd(&listener);
}

void fuzz_one(struct input *in)
{
	static const struct driver_device device = {
		.create = create,
		.host = host,
		.destroyed = close_peers,
	};

	driver_run(&device, in);
}
