/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_hands.c - the WebSocket "hands": the page hears who has control, and asks for it. The loop's
 * thread only.
 *
 *	to the page	{"session":…,"may_control":…,"control":"nobody"|"you"|"other","note":…}
 *			{"ended":why,"note":…} as the last word
 *	from the page	{"op":"take"} or {"op":"release"}, at most VIEW_HANDS_IN bytes
 */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "supervisor/view.h"

#define OUT_MAX ((size_t)1024)

void view_hands_tell(struct view_hands *hands)
{
	if (hands)
		lws_callback_on_writable(hands->wsi);
}

void view_hands_end(struct view_hands *hands, const char *why)
{
	if (!hands || hands->ended)
		return;
	hands->ended = why;
	lws_callback_on_writable(hands->wsi);
}

static json_t *describe(const struct view_hands *hands)
{
	static const char *const holders[] = {
		[VIEW_HELD_BY_NOBODY] = "nobody",
		[VIEW_HELD_BY_YOU] = "you",
		[VIEW_HELD_BY_OTHER] = "other",
	};
	const struct view_slot *slot = hands->slot;

	if (hands->ended)
		return json_pack("{s:s,s:s}", "ended", hands->ended, "note",
		                 slot ? slot->note : "");
	return json_pack("{s:s,s:b,s:s,s:s}", "session", slot->view->session.name, "may_control",
	                 slot->control, "control", holders[slot->holder], "note", slot->note);
}

/* Says how things stand. 0, or -1: close it. */
static int tell(struct view_hands *hands)
{
	unsigned char buffer[LWS_PRE + OUT_MAX];
	json_auto_t *message = NULL;
	size_t size;

	if (hands->close || (!hands->ended && !hands->slot))
		return -1;
	message = describe(hands);
	size = json_dumpb(message, (char *)buffer + LWS_PRE, OUT_MAX, JSON_COMPACT);
	if (size == 0 || size > OUT_MAX)
		return -1;
	if (lws_write(hands->wsi, buffer + LWS_PRE, size, LWS_WRITE_TEXT) < 0)
		return -1;
	if (hands->ended) {
		hands->close = true;
		lws_callback_on_writable(hands->wsi);
	}
	return 0;
}

/* Takes a part of a message. 0, or -1: close it. */
static int received(struct view_hands *hands, const void *data, size_t size)
{
	json_auto_t *message = NULL;
	const char *op;

	if (hands->ended)
		return 0;
	if (!hands->slot || lws_frame_is_binary(hands->wsi) ||
	    size > VIEW_HANDS_IN - hands->in_size)
		return -1;
	memcpy(hands->in + hands->in_size, data, size);
	hands->in_size += size;
	if (!lws_is_final_fragment(hands->wsi) || lws_remaining_packet_payload(hands->wsi) > 0)
		return 0;
	message = json_loadb(hands->in, hands->in_size, JSON_REJECT_DUPLICATES, NULL);
	hands->in_size = 0;
	op = client_string(message, "op");
	if (strcmp(op, "take") != 0 && strcmp(op, "release") != 0)
		return -1;
	view_link_ask(hands->slot, strcmp(op, "take") == 0);
	return 0;
}

/* 0, or -1: close it. */
static int established(struct view_hands *hands, struct lws *wsi)
{
	char rest[16];

	*hands = (struct view_hands){ .wsi = wsi };
	if (view_check_request(wsi, true, &hands->slot, rest, sizeof(rest)) != 0)
		return -1;
	if (hands->slot->hands) {
		struct view_hands *before = hands->slot->hands;

		view_hands_end(before, "Opened elsewhere: this link is one viewer’s");
		before->slot = NULL;
	}
	hands->slot->hands = hands;
	hands->slot->note[0] = '\0';
	view_hands_tell(hands);
	return 0;
}

static void closed(struct view_hands *hands)
{
	if (hands->slot && hands->slot->hands == hands)
		hands->slot->hands = NULL;
	hands->slot = NULL;
}

int view_hands_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                        size_t size)
{
	struct view_hands *hands = user;
	struct view_slot *slot;
	char rest[16];

	switch ((int)reason) {
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
		return view_check_request(wsi, true, &slot, rest, sizeof(rest)) != 0 ||
		                       strcmp(rest, "hands") != 0
		               ? -1
		               : 0;
	case LWS_CALLBACK_ESTABLISHED:
		return established(hands, wsi);
	case LWS_CALLBACK_RECEIVE:
		return received(hands, in, size);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return tell(hands);
	case LWS_CALLBACK_CLOSED:
		closed(hands);
		return 0;
	default:
		return 0;
	}
}
