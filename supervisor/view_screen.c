/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_screen.c - the WebSocket "screen": RFB between a browser and the VMM, unread. The loop's
 * thread only.
 *
 *	VMM → browser: is read only while `out` is empty, and sent when the browser takes it.
 *	browser → VMM: what the VMM doesn't take waits in `in`, and the browser isn't read meanwhile.
 *
 * So neither side's slowness takes more than these two buffers, and the VMM sees it on its own
 * socket.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "supervisor/view.h"

/* --- VMM to browser --- */

static void out_readable(struct view_file *file)
{
	struct view_screen *screen = container_of(file, struct view_screen, file);
	ssize_t n;

	if (screen->out_size > 0 || screen->close_code)
		return;
	n = read(screen->fd, screen->out + LWS_PRE, VIEW_SCREEN_OUT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		view_screen_close(screen, VIEW_CLOSE_ENDED, "closed by the session");
		return;
	}
	screen->out_size = (size_t)n;
	view_file_pause(file, true);
	lws_callback_on_writable(screen->wsi);
}

/* The browser takes more. 0, or -1: close it. */
static int out_writable(struct view_screen *screen)
{
	if (screen->out_size > 0) {
		size_t size = screen->out_size;

		screen->out_size = 0;
		if (lws_write(screen->wsi, screen->out + LWS_PRE, size, LWS_WRITE_BINARY) < 0)
			return -1;
		if (screen->close_code)
			lws_callback_on_writable(screen->wsi);
		view_file_pause(&screen->file, false);
		return 0;
	}
	if (!screen->close_code)
		return 0;
	lws_close_reason(screen->wsi, (enum lws_close_status)screen->close_code,
	                 (unsigned char *)(uintptr_t)screen->close_text,
	                 strlen(screen->close_text));
	return -1;
}

void view_screen_close(struct view_screen *screen, int code, const char *text)
{
	if (!screen || screen->close_code)
		return;
	screen->close_code = code;
	screen->close_text = text;
	view_file_stop(&screen->file);
	/* The loop's duplicate lives a little longer. */
	if (screen->fd >= 0)
		shutdown(screen->fd, SHUT_RDWR);
	lws_callback_on_writable(screen->wsi);
}

/* --- browser to VMM --- */

/* Sends what waits. 0, or -1: the VMM has closed. */
static int in_flush(struct view_screen *screen)
{
	size_t sent = 0;

	while (sent < screen->in_size) {
		ssize_t n = send(screen->fd, screen->in + sent, screen->in_size - sent,
		                 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return -1;
		sent += (size_t)n;
	}
	screen->in_size -= sent;
	memmove(screen->in, screen->in + sent, screen->in_size);
	lws_rx_flow_control(screen->wsi, screen->in_size == 0);
	if (screen->in_size > 0)
		view_file_want_write(&screen->file);
	return 0;
}

static void in_writable(struct view_file *file)
{
	struct view_screen *screen = container_of(file, struct view_screen, file);

	if (in_flush(screen) < 0)
		view_screen_close(screen, VIEW_CLOSE_ENDED, "closed by the session");
}

/* 0, or -1: close the browser's end. */
static int in_received(struct view_screen *screen, const void *data, size_t size)
{
	if (screen->close_code)
		return 0;
	/* RFB is binary; and while we read nothing, nothing comes that has no room. */
	if (!lws_frame_is_binary(screen->wsi) || size > sizeof(screen->in) - screen->in_size)
		return -1;
	memcpy(screen->in + screen->in_size, data, size);
	screen->in_size += size;
	if (in_flush(screen) < 0)
		view_screen_close(screen, VIEW_CLOSE_ENDED, "closed by the session");
	return 0;
}

/* --- its life --- */

static void file_hung_up(struct view_file *file)
{
	view_screen_close(container_of(file, struct view_screen, file), VIEW_CLOSE_ENDED,
	                  "closed by the session");
}

/* Connects both ends. 0 or -errno. */
static int connect_ends(struct view_screen *screen)
{
	struct view_slot *slot = screen->slot;
	int ends[2];
	cleanup_fd int theirs = -1;
	int rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	screen->fd = ends[0];
	theirs = ends[1];
	screen->out = malloc(LWS_PRE + VIEW_SCREEN_OUT);
	if (!screen->out)
		return -ENOMEM;
	screen->file = (struct view_file){
		.readable = out_readable,
		.writable = in_writable,
		.hung_up = file_hung_up,
	};
	rc = view_file_start(&screen->file, slot->view->vhost, screen->fd);
	if (rc < 0)
		return rc;
	slot->generation++;
	slot->viewer = 0;
	slot->holder = VIEW_HELD_BY_NOBODY;
	slot->screen = screen;
	view_link_add_viewer(slot, theirs);
	return 0;
}

static void closed(struct view_screen *screen)
{
	struct view_slot *slot = screen->slot;

	if (!screen->wsi) /* it never began */
		return;
	view_file_stop(&screen->file);
	if (screen->fd >= 0)
		shutdown(screen->fd, SHUT_RDWR);
	close_fd(&screen->fd);
	free(screen->out);
	screen->out = NULL;
	screen->slot = NULL;
	if (!slot || slot->screen != screen)
		return;
	slot->screen = NULL;
	slot->viewer = 0;
	slot->holder = VIEW_HELD_BY_NOBODY;
	view_hands_tell(slot->hands);
}

/* 0, or -1: close it. */
static int established(struct view_screen *screen, struct lws *wsi)
{
	char rest[16];
	int rc;

	*screen = (struct view_screen){ .wsi = wsi, .fd = -1, .file = { 0 } };
	/* Once more: the headers are still there, and nobody else knows whose it is. */
	if (view_check_request(wsi, true, &screen->slot, rest, sizeof(rest)) != 0)
		return -1;
	view_screen_close(screen->slot->screen, VIEW_CLOSE_REPLACED, "opened elsewhere");
	rc = connect_ends(screen);
	if (rc == 0)
		return 0;
	log_warn_limited(&screen->slot->view->refusals, "no room for a viewer: %s", strerror(-rc));
	closed(screen);
	return -1;
}

int view_screen_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                         size_t size)
{
	struct view_screen *screen = user;
	struct view_slot *slot;
	char rest[16];

	switch ((int)reason) {
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
		return view_check_request(wsi, true, &slot, rest, sizeof(rest)) != 0 ||
		                       strcmp(rest, "screen") != 0
		               ? -1
		               : 0;
	case LWS_CALLBACK_ESTABLISHED:
		return established(screen, wsi);
	case LWS_CALLBACK_RECEIVE:
		return in_received(screen, in, size);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return out_writable(screen);
	case LWS_CALLBACK_CLOSED:
		closed(screen);
		return 0;
	default:
		return 0;
	}
}
