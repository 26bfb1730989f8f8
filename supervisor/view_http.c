/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_http.c - the files of the page: GET, by exact path below a token, out of memory. The loop's
 * thread only.
 *
 * What goes with every answer, so that nothing is kept, guessed, framed or sent elsewhere, stands
 * with the vhost (view_server.c).
 */
#include <string.h>
#include <strings.h>

#include "supervisor/view.h"

#define HEADERS_MAX 1536
#define PIECE_MAX ((size_t)16 << 10)
#define PATH_REST_MAX 128

/* Answers with a bare status and closes. Always -1. */
static int refuse(struct lws *wsi, unsigned status)
{
	lws_return_http_status(wsi, status, NULL);
	return -1;
}

/* Begins an answer. 0, or -1: close it. */
static int begin(struct lws *wsi, struct view_http *http, const struct view_asset *asset)
{
	unsigned char buffer[LWS_PRE + HEADERS_MAX];
	unsigned char *start = buffer + LWS_PRE, *at = start, *end = buffer + sizeof(buffer) - 1;

	if (lws_add_http_common_headers(wsi, HTTP_STATUS_OK, asset->type, asset->size, &at, end) ||
	    lws_finalize_write_http_header(wsi, start, &at, end))
		return -1;
	http->at = asset->data;
	http->left = asset->size;
	lws_callback_on_writable(wsi);
	return 0;
}

static int requested(struct lws *wsi, struct view_http *http)
{
	char rest[PATH_REST_MAX];
	struct view_slot *slot;
	const struct view_asset *asset;
	unsigned status;

	if (lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) <= 0)
		return refuse(wsi, HTTP_STATUS_METHOD_NOT_ALLOWED);
	status = view_check_request(wsi, false, &slot, rest, sizeof(rest));
	if (status != 0)
		return refuse(wsi, status);
	asset = view_assets_find(&slot->view->assets, rest);
	if (!asset)
		return refuse(wsi, HTTP_STATUS_NOT_FOUND);
	return begin(wsi, http, asset);
}

/* Sends a piece. 0, or -1: close it. */
static int writable(struct lws *wsi, struct view_http *http)
{
	unsigned char buffer[LWS_PRE + PIECE_MAX];
	size_t size = http->left < PIECE_MAX ? http->left : PIECE_MAX;
	bool last = size == http->left;

	if (!http->at)
		return 0;
	memcpy(buffer + LWS_PRE, http->at, size);
	if (lws_write(wsi, buffer + LWS_PRE, size, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) <
	    0)
		return -1;
	http->at += size;
	http->left -= size;
	if (!last) {
		lws_callback_on_writable(wsi);
		return 0;
	}
	http->at = NULL;
	return lws_http_transaction_completed(wsi) ? -1 : 0;
}

/* True for an upgrade to WebSocket; there is nothing else here to upgrade to. */
static bool is_websocket(struct lws *wsi)
{
	char upgrade[16];

	/* Not what the callback is given: after a refusal of the library's own that is stale. */
	return lws_hdr_copy(wsi, upgrade, sizeof(upgrade), WSI_TOKEN_UPGRADE) > 0 &&
	       strcasecmp(upgrade, "websocket") == 0;
}

int view_http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                       size_t size)
{
	(void)in;
	(void)size;
	switch ((int)reason) {
	case LWS_CALLBACK_WSI_DESTROY:
		view_connection_gone(wsi);
		return 0;
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return is_websocket(wsi) ? 0 : -1;
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION: /* a WebSocket of no known protocol */
	case LWS_CALLBACK_RAW_RX:                     /* CONNECT, or no HTTP at all */
		return -1;
	case LWS_CALLBACK_RAW_ADOPT:
		lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
		return 0;
	case LWS_CALLBACK_HTTP:
		return requested(wsi, user);
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return writable(wsi, user);
	default:
		return 0;
	}
}
