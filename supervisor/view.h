/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view.h - cloche-view: a session's screen in a browser. What its parts share.
 *
 *	browser ══ HTTP, WebSocket ══ view_http, view_screen, view_hands
 *	                                  │            │         │
 *	                             view_assets   socketpair  view_link
 *	                                               ╚═════════╩══════ VMM (control.sock)
 *
 * A slot is a token and its one viewer. The viewer has two WebSockets, both under its token: "screen"
 * carries RFB, and its other end is given to the VMM as a viewer; "hands" tells and asks who has
 * control. Opened once more, each takes the place of the one before.
 *
 * One thread, in libwebsockets' loop. Nobody waits for anybody: a browser that reads slowly fills
 * its own socket and its own buffer, then its own viewer in the VMM.
 */
#ifndef CLOCHE_SUPERVISOR_VIEW_H
#define CLOCHE_SUPERVISOR_VIEW_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/log.h"
#include "supervisor/session.h"
#include "supervisor/view_assets.h"
#include "supervisor/view_file.h"
#include "supervisor/view_link.h"
#include "supervisor/view_options.h"
#include "supervisor/view_request.h"

#define VIEW_SLOTS_MAX (VIEW_VIEWERS_MAX + 1)
#define VIEW_CONNECTIONS_MAX 64u /* of browsers, all together; who comes later waits */
#define VIEW_NOTE_MAX 160

/* Codes with which a WebSocket is closed (RFC 6455 §7.4.2: 4000 to 4999 are ours). */
#define VIEW_CLOSE_REPLACED 4001
#define VIEW_CLOSE_ENDED 4002

enum view_holder { VIEW_HELD_BY_NOBODY, VIEW_HELD_BY_YOU, VIEW_HELD_BY_OTHER };

struct view_slot {
	struct view *view; /* borrowed */
	struct view_token token;
	bool control;               /* may ask for control */
	struct view_screen *screen; /* borrowed; NULL: nobody looks */
	struct view_hands *hands;   /* borrowed; NULL: nobody asks */
	unsigned generation;        /* counts its screens: answers about earlier ones are old */
	json_int_t viewer;          /* what the VMM calls it; 0: nothing (yet) */
	enum view_holder holder;
	char note[VIEW_NOTE_MAX]; /* why the VMM said no, last time */
};

struct view {
	struct session session;
	struct view_options options;
	struct view_assets assets;
	struct view_slot slots[VIEW_SLOTS_MAX];
	size_t slot_count;
	struct lws_context *context; /* owned */
	struct lws_vhost *vhost;     /* the context's */
	int listener_fd;             /* owned */
	int interrupt_fd;            /* owned */
	struct view_file listener, interrupt;
	struct view_link link;
	unsigned connections; /* of browsers */
	const char *ended;    /* static: why it is about to end; NULL while it isn't */
	uint64_t ended_ns;    /* when that was */
	lws_sorted_usec_list_t tick;
	struct log_limit refusals; /* for what viewers can cause */
};

/* --- view_server.c --- */

/* Serves until an interrupt or the session's end. 0; -1: it couldn't begin. Blocks. */
int view_serve(struct view *view, bool json, struct failure *failure);

/* Tells all viewers that it ends, and why (static), and ends. */
void view_end(struct view *view, const char *why);

/* The slot whose token @path begins with, or NULL; *out_rest points behind "/TOKEN/". */
struct view_slot *view_find_slot(struct view *view, const char *path, const char **out_rest);

/*
 * Checks what a request says about itself: Host, Origin (a WebSocket needs one), token. 0 and
 * *out_slot with the path's @rest (of @size bytes), or the HTTP status to refuse it with.
 */
unsigned view_check_request(struct lws *wsi, bool websocket, struct view_slot **out_slot,
                            char *out_rest, size_t size);

/* A wsi is gone; of whatever kind. */
void view_connection_gone(struct lws *wsi);

/* --- the protocols: callbacks of libwebsockets --- */

struct view_http {
	const char *at; /* borrowed from an asset: what is still to be sent */
	size_t left;
};

int view_http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                       size_t size);

#define VIEW_SCREEN_OUT ((size_t)64 << 10) /* bytes that wait for a slow browser */
#define VIEW_SCREEN_IN ((size_t)4 << 10)   /* bytes of a browser that wait for the VMM */

struct view_screen {
	struct view_slot *slot; /* borrowed; NULL: it was replaced or never had one */
	struct lws *wsi;        /* borrowed */
	struct view_file file;
	int fd;       /* owned: our end of the socketpair */
	uint8_t *out; /* owned: LWS_PRE + VIEW_SCREEN_OUT */
	size_t out_size;
	uint8_t in[VIEW_SCREEN_IN];
	size_t in_size;
	int close_code; /* to be closed with it, once out is empty; 0: not to be closed */
	const char *close_text;
};

int view_screen_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                         size_t size);
/* Closes it, after what is in its buffer. @text is static. */
void view_screen_close(struct view_screen *screen, int code, const char *text);

#define VIEW_HANDS_IN 64u

struct view_hands {
	struct view_slot *slot; /* borrowed; NULL: it was replaced or never had one */
	struct lws *wsi;        /* borrowed */
	char in[VIEW_HANDS_IN + 1];
	size_t in_size;
	const char *ended; /* static: its last word; NULL while it goes on */
	bool close;        /* the last word has been said */
};

int view_hands_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                        size_t size);
/* Tells the page how its slot stands. Takes NULL. */
void view_hands_tell(struct view_hands *hands);
/* Tells the page that this is over, and why (static), and closes. Takes NULL. */
void view_hands_end(struct view_hands *hands, const char *why);

#endif
