/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * windows.c - focus, fill, barrier. The input worker's process.
 *
 * No window manager runs: Chromium then places and focuses its windows itself, with two flaws that
 * are mended here. It shrinks a window as big as the screen by one pixel, lest a window manager
 * take it for full-screen: such a window is given its pixel back. And when a window closes, the
 * server hands the keyboard to the root window, where keys end in nothing: the topmost window that
 * is left gets it.
 */
#include "guest/windows.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"

/* Where no client can be asked: long for one that is awake, short for the user. */
#define BARRIER_BLIND_MS 100
#define ANCESTORS_MAX 8
#define PROTOCOLS_MAX 32

enum atom { WM_PROTOCOLS, NET_WM_PING, ATOMS };

struct windows {
	xcb_connection_t *conn;
	xcb_window_t root;
	uint16_t width, height;
	xcb_atom_t atoms[ATOMS];
	uint32_t ping; /* the number sent with the latest barrier */
	bool answered;
};

static int atoms_intern(struct windows *windows)
{
	static const char *const names[ATOMS] = { "WM_PROTOCOLS", "_NET_WM_PING" };

	for (size_t i = 0; i < ATOMS; i++) {
		xcb_intern_atom_cookie_t cookie =
			xcb_intern_atom(windows->conn, 0, (uint16_t)strlen(names[i]), names[i]);
		xcb_intern_atom_reply_t *reply = xcb_intern_atom_reply(windows->conn, cookie, NULL);

		if (!reply)
			return -EIO;
		windows->atoms[i] = reply->atom;
		free(reply);
	}
	return 0;
}

static bool attributes_get(struct windows *windows, xcb_window_t window, bool *out_viewable,
                           bool *out_override)
{
	xcb_get_window_attributes_reply_t *reply = xcb_get_window_attributes_reply(
		windows->conn, xcb_get_window_attributes(windows->conn, window), NULL);

	if (!reply)
		return false;
	*out_viewable = reply->map_state == XCB_MAP_STATE_VIEWABLE &&
	                reply->_class == XCB_WINDOW_CLASS_INPUT_OUTPUT;
	*out_override = reply->override_redirect;
	free(reply);
	return true;
}

static bool window_takes_protocol(struct windows *windows, xcb_window_t window, xcb_atom_t protocol)
{
	xcb_get_property_reply_t *reply = xcb_get_property_reply(
		windows->conn,
		xcb_get_property(windows->conn, 0, window, windows->atoms[WM_PROTOCOLS],
	                         XCB_ATOM_ATOM, 0, PROTOCOLS_MAX),
		NULL);
	bool found = false;

	if (!reply)
		return false;
	if (reply->format == 32) {
		const xcb_atom_t *list = xcb_get_property_value(reply);
		size_t count = (size_t)xcb_get_property_value_length(reply) / sizeof(*list);

		for (size_t i = 0; i < count; i++)
			found = found || list[i] == protocol;
	}
	free(reply);
	return found;
}

static void window_fill(struct windows *windows, xcb_window_t window)
{
	xcb_get_geometry_reply_t *reply = xcb_get_geometry_reply(
		windows->conn, xcb_get_geometry(windows->conn, window), NULL);
	const uint32_t whole[] = { 0, 0, windows->width, windows->height };

	if (!reply)
		return;
	if (reply->width + 1 >= windows->width && reply->height + 1 >= windows->height &&
	    (reply->x || reply->y || reply->width != windows->width ||
	     reply->height != windows->height))
		xcb_configure_window(windows->conn, window,
		                     XCB_CONFIG_WINDOW_X | XCB_CONFIG_WINDOW_Y |
		                             XCB_CONFIG_WINDOW_WIDTH | XCB_CONFIG_WINDOW_HEIGHT,
		                     whole);
	free(reply);
}

/* The window that has the keyboard; XCB_NONE when it is the root or nobody's. */
static xcb_window_t focus_get(struct windows *windows)
{
	xcb_get_input_focus_reply_t *reply =
		xcb_get_input_focus_reply(windows->conn, xcb_get_input_focus(windows->conn), NULL);
	xcb_window_t window = XCB_NONE;

	if (reply && reply->focus != windows->root && reply->focus != XCB_INPUT_FOCUS_POINTER_ROOT)
		window = reply->focus;
	free(reply);
	return window;
}

/* Gives a keyboard that nobody has to the topmost proper window. */
static void focus_mend(struct windows *windows)
{
	xcb_query_tree_reply_t *tree;
	const xcb_window_t *children;

	if (focus_get(windows) != XCB_NONE)
		return;
	tree = xcb_query_tree_reply(windows->conn, xcb_query_tree(windows->conn, windows->root),
	                            NULL);
	if (!tree)
		return;
	children = xcb_query_tree_children(tree);
	for (int i = xcb_query_tree_children_length(tree) - 1; i >= 0; i--) {
		bool viewable, override;

		if (!attributes_get(windows, children[i], &viewable, &override) || !viewable ||
		    override ||
		    !window_takes_protocol(windows, children[i], windows->atoms[NET_WM_PING]))
			continue;
		xcb_set_input_focus(windows->conn, XCB_INPUT_FOCUS_POINTER_ROOT, children[i],
		                    XCB_CURRENT_TIME);
		break;
	}
	free(tree);
}

static void windows_scan(struct windows *windows)
{
	xcb_query_tree_reply_t *tree = xcb_query_tree_reply(
		windows->conn, xcb_query_tree(windows->conn, windows->root), NULL);
	const xcb_window_t *children;

	if (!tree)
		return;
	children = xcb_query_tree_children(tree);
	for (int i = 0; i < xcb_query_tree_children_length(tree); i++) {
		bool viewable, override;

		if (attributes_get(windows, children[i], &viewable, &override) && viewable &&
		    !override)
			window_fill(windows, children[i]);
	}
	free(tree);
	focus_mend(windows);
}

int windows_create(xcb_connection_t *conn, const xcb_screen_t *screen, struct windows **out_windows)
{
	const uint32_t events = XCB_EVENT_MASK_SUBSTRUCTURE_NOTIFY;
	struct windows *windows = calloc(1, sizeof(*windows));
	int ret;

	if (!windows)
		return -ENOMEM;
	windows->conn = conn;
	windows->root = screen->root;
	windows->width = screen->width_in_pixels;
	windows->height = screen->height_in_pixels;
	ret = atoms_intern(windows);
	if (ret < 0) {
		free(windows);
		return ret;
	}
	xcb_change_window_attributes(conn, screen->root, XCB_CW_EVENT_MASK, &events);
	windows_scan(windows);
	*out_windows = windows;
	return 0;
}

void windows_destroy(struct windows *windows)
{
	free(windows);
}

static void answer_check(struct windows *windows, const xcb_client_message_event_t *message)
{
	if (message->type == windows->atoms[WM_PROTOCOLS] && message->format == 32 &&
	    message->data.data32[0] == windows->atoms[NET_WM_PING] &&
	    message->data.data32[1] == windows->ping)
		windows->answered = true;
}

void windows_handle(struct windows *windows, const xcb_generic_event_t *event)
{
	switch (event->response_type & 0x7f) {
	case XCB_MAP_NOTIFY: {
		const xcb_map_notify_event_t *map = (const void *)event;

		if (!map->override_redirect) {
			window_fill(windows, map->window);
			focus_mend(windows);
		}
		break;
	}
	case XCB_UNMAP_NOTIFY:
	case XCB_DESTROY_NOTIFY:
		focus_mend(windows);
		break;
	case XCB_CLIENT_MESSAGE:
		answer_check(windows, (const void *)event);
		break;
	default:
		break;
	}
}

/* The window with the keyboard, or the nearest around it, that answers pings. */
static xcb_window_t ping_target(struct windows *windows)
{
	xcb_window_t window = focus_get(windows);

	for (int i = 0; i < ANCESTORS_MAX && window != XCB_NONE && window != windows->root; i++) {
		xcb_query_tree_reply_t *tree;

		if (window_takes_protocol(windows, window, windows->atoms[NET_WM_PING]))
			return window;
		tree = xcb_query_tree_reply(windows->conn, xcb_query_tree(windows->conn, window),
		                            NULL);
		window = tree ? tree->parent : XCB_NONE;
		free(tree);
	}
	return XCB_NONE;
}

static void ping_send(struct windows *windows, xcb_window_t window)
{
	xcb_client_message_event_t message = {
		.response_type = XCB_CLIENT_MESSAGE,
		.format = 32,
		.window = window,
		.type = windows->atoms[WM_PROTOCOLS],
		.data.data32 = { windows->atoms[NET_WM_PING], ++windows->ping, window },
	};

	windows->answered = false;
	xcb_send_event(windows->conn, 0, window, XCB_EVENT_MASK_NO_EVENT, (const char *)&message);
}

bool windows_barrier(struct windows *windows, uint32_t timeout_ms,
                     void (*other)(void *arg, const xcb_generic_event_t *event), void *arg)
{
	xcb_window_t target = ping_target(windows);
	uint64_t wait_ms = target == XCB_NONE ? BARRIER_BLIND_MS : timeout_ms;
	uint64_t deadline = clock_now_ns() + wait_ms * NS_PER_MS;

	windows->answered = false;
	if (target != XCB_NONE)
		ping_send(windows, target);
	xcb_flush(windows->conn);
	while (!windows->answered) {
		struct pollfd pfd = { .fd = xcb_get_file_descriptor(windows->conn),
			              .events = POLLIN };
		xcb_generic_event_t *event = xcb_poll_for_event(windows->conn);
		uint64_t now = clock_now_ns();

		if (event) {
			windows_handle(windows, event);
			other(arg, event);
			free(event);
			continue;
		}
		if (xcb_connection_has_error(windows->conn))
			return false;
		if (now >= deadline)
			break;
		poll(&pfd, 1, (int)((deadline - now) / NS_PER_MS + 1));
	}
	return true;
}
