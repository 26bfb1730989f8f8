/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vnc_session.c - see vnc_session.h.
 *
 *	viewer ---fd---> gate --whole messages--> feed ==> .number ---> libvncserver
 *	viewer <---fd--- greetings <------------- feed <== .number <--- libvncserver
 *	viewer <------------------- pictures -----fd====== .number <--- libvncserver
 *
 * 1. The library knows one descriptor, .number. While it reads a message that is the far end of a
 *    socketpair, .feed, in which the whole message lies: it never waits for the rest of one. While it
 *    sends a picture it is the viewer's socket.
 * 2. What it answers, to greetings and to who wants a palette, comes out of .feed and is passed on before
 *    anything else is sent; it is shorter than what a socket holds.
 * 3. The library may close .number by itself. From then on it is nobody's here.
 *
 * libvncserver 0.9.14: a screen that was never rfbInitServer()ed has no socket and no port. A new client
 * whose first bytes are there and are RFB's is not taken for one that speaks HTTP or TLS.
 */
#include "display/vnc_session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "display/vnc.h"
#include "display/vnc_gate.h"
#include "display/vnc_library.h"
#include "lib/cleanup.h"
#include "lib/log.h"

#define REPLY_MAX 2048 /* at once: a palette has 1542 bytes */
#define PIXEL_SIZE 4

struct vnc_session {
	struct vnc_library *library; /* borrowed */
	struct vnc_session_options options;
	struct vnc_gate gate;
	int feed[2];             /* owned: ours, the library's */
	int means;               /* what .number is a duplicate of; -1: nothing of ours */
	rfbScreenInfoPtr screen; /* owned */
	rfbClientPtr client;     /* owned; NULL until the viewer's version is known */
	uint64_t sent;
};

/* Invariant 3. */
static bool is_closed(const struct vnc_session *session)
{
	return session->client && session->client->sock == RFB_INVALID_SOCKET;
}

/* Invariant 1. */
static int point_at(struct vnc_session *session, int fd)
{
	if (is_closed(session))
		return -ECONNRESET;
	if (session->means == fd)
		return 0;
	if (dup3(fd, session->options.number, O_CLOEXEC) < 0)
		return -errno;
	session->means = fd;
	return 0;
}

static int make_screen(struct vnc_session *session)
{
	const struct grid *grid = &session->options.grid;

	vnc_library_hold(session->library);
	rfbScreenInfoPtr screen = session->library->get_screen(NULL, NULL, (int)grid->width,
	                                                       (int)grid->height, 8, 3, PIXEL_SIZE);
	vnc_library_go_on(session->library);
	if (!screen)
		return -ENOMEM;
	session->screen = screen;
	screen->desktopName = session->options.name;
	screen->frameBuffer = (char *)session->options.pixels;
	screen->serverFormat.redShift = 16;
	screen->serverFormat.greenShift = 8;
	screen->serverFormat.blueShift = 0;
	screen->alwaysShared = TRUE;
	screen->permitFileTransfer = FALSE;
	screen->deferUpdateTime = 0;
	screen->maxClientWait = VNC_STUCK_MS;
	screen->ignoreSIGPIPE = FALSE;
	screen->cursor = NULL; /* it is in the picture */
	return 0;
}

int vnc_session_create(struct vnc_library *library, const struct vnc_session_options *options,
                       struct vnc_session **out_session)
{
	static const char version[] = "RFB 003.008\n";
	struct vnc_session *session = calloc(1, sizeof(*session));

	ASSERT(options->number >= 0 && options->number < FD_SETSIZE);
	if (!session)
		return -ENOMEM;
	session->library = library;
	session->options = *options;
	session->gate.width = options->grid.width;
	session->gate.height = options->grid.height;
	session->means = session->feed[0] = session->feed[1] = -1;
	int ret = make_screen(session);
	if (ret == 0 &&
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, session->feed))
		ret = -errno;
	if (ret == 0 && send(options->fd, version, VNC_VERSION_SIZE, MSG_NOSIGNAL | MSG_DONTWAIT) !=
	                        (ssize_t)VNC_VERSION_SIZE)
		ret = -ECONNRESET;
	if (ret) {
		vnc_session_destroy(session);
		return ret;
	}
	*out_session = session;
	return 0;
}

bool vnc_session_destroy(struct vnc_session *session)
{
	if (!session)
		return true;
	bool keeps_number = !is_closed(session);
	vnc_library_hold(session->library);
	if (session->client) {
		session->client->sock = RFB_INVALID_SOCKET;
		session->library->client_gone(session->client);
	}
	if (session->screen)
		session->library->screen_cleanup(session->screen);
	vnc_library_go_on(session->library);
	close_fd(&session->feed[0]);
	close_fd(&session->feed[1]);
	free(session);
	return keeps_number;
}

/* --- what the viewer says --------------------------------------------------------------------- */

static int send_all(int fd, const uint8_t *data, size_t size)
{
	while (size > 0) {
		struct pollfd pfd = { .fd = fd, .events = POLLOUT };
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -ECONNRESET;
		if (n < 0 && errno == EAGAIN && poll(&pfd, 1, VNC_STUCK_MS) == 0)
			return -ECONNRESET;
		if (n > 0) {
			data += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

/* Invariant 2. The first @drop bytes are none of the viewer's business. */
static int pass_replies(struct vnc_session *session, size_t drop)
{
	uint8_t replies[REPLY_MAX];
	ssize_t n;
	int ret = 0;

	while (ret == 0 &&
	       (n = recv(session->feed[0], replies, sizeof(replies), MSG_DONTWAIT)) > 0) {
		size_t skipped = (size_t)n < drop ? (size_t)n : drop;

		drop -= skipped;
		ret = send_all(session->options.fd, replies + skipped, (size_t)n - skipped);
	}
	return ret;
}

static int hand_on(struct vnc_session *session, const struct vnc_message *message)
{
	bool begins = !session->client;
	int ret = point_at(session, session->feed[1]);

	if (ret)
		return ret;
	if (send(session->feed[0], message->bytes, message->size, MSG_NOSIGNAL | MSG_DONTWAIT) !=
	    (ssize_t)message->size)
		return -ECONNRESET;
	vnc_library_hold(session->library);
	if (begins) {
		session->library->new_client(session->screen, session->options.number);
		session->client = session->screen->clientHead;
	}
	if (session->client)
		session->library->process_message(session->client);
	vnc_library_go_on(session->library);
	if (!session->client || is_closed(session))
		return -ECONNRESET;
	/* The library greets, too; that has been done. */
	return pass_replies(session, begins ? VNC_VERSION_SIZE : 0);
}

static int act_on(struct vnc_session *session, const struct vnc_message *message)
{
	const struct vnc_session_options *options = &session->options;

	switch (message->said) {
	case VNC_SAID_NOTHING:
		return 0;
	case VNC_SAID_KEY:
		options->key(options->arg, message->keysym, message->down);
		return 0;
	case VNC_SAID_POINTER:
		options->pointer(options->arg, message->x, message->y, message->buttons);
		return 0;
	case VNC_SAID_VERSION:
	case VNC_SAID_SECURITY:
	case VNC_SAID_INIT:
	case VNC_SAID_FORMAT:
	case VNC_SAID_ENCODINGS:
	case VNC_SAID_REQUEST:
		return hand_on(session, message);
	}
	return 0;
}

int vnc_session_read(struct vnc_session *session, struct error *err)
{
	struct vnc_message message;
	uint8_t *space;
	size_t size = vnc_gate_space(&session->gate, &space);
	ssize_t n = recv(session->options.fd, space, size, MSG_DONTWAIT);
	int ret = 0, got;

	if (n == 0)
		return -ECONNRESET;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	vnc_gate_filled(&session->gate, (size_t)n);
	while (ret == 0 && (got = vnc_gate_next(&session->gate, &message, err)) != 0)
		ret = got < 0 ? got : act_on(session, &message);
	return ret;
}

/* --- what it sees ------------------------------------------------------------------------------ */

bool vnc_session_is_open(const struct vnc_session *session)
{
	return session->client && !is_closed(session) && session->client->state == RFB_NORMAL;
}

bool vnc_session_is_waiting(const struct vnc_session *session)
{
	return vnc_session_is_open(session) &&
	       !session->library->region_is_empty(session->client->requestedRegion);
}

int vnc_session_update(struct vnc_session *session, const struct rectangle *changed, size_t count)
{
	struct vnc_library *library = session->library;
	int ret = point_at(session, session->options.fd);

	if (ret || !vnc_session_is_open(session))
		return ret;
	vnc_library_hold(library);
	for (size_t i = 0; i < count; i++)
		library->mark_modified(session->screen, (int)changed[i].x, (int)changed[i].y,
		                       (int)(changed[i].x + changed[i].width),
		                       (int)(changed[i].y + changed[i].height));
	vnc_library_go_on(library);
	library->update_client(session->client);
	if (is_closed(session))
		return -ECONNRESET;
	session->sent += (uint64_t)library->sent_bytes(session->client);
	library->reset_stats(session->client);
	return 0;
}

uint64_t vnc_session_sent(const struct vnc_session *session)
{
	return session->sent;
}
