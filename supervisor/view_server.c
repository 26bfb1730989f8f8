/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_server.c - cloche-view's loop: listens, lets browsers in, checks what they ask for, and ends.
 * One thread.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "supervisor/output.h"
#include "supervisor/view.h"
#include "supervisor/view_confine.h"

#define TICK_US (1000 * LWS_US_PER_MS)
#define GOODBYE_MS 2000u        /* for browsers to take their last words */
#define REQUEST_SECONDS 10u     /* for a request to be complete */
#define KEEPALIVE_SECONDS 5     /* between two requests */
#define SEND_BUFFER (256 << 10) /* in the kernel: what a slow browser lags behind, at most */
#define DESCRIPTORS_MAX (VIEW_CONNECTIONS_MAX + VIEW_SLOTS_MAX + 32)
#define HOST_MAX 80
#define PATH_MAX_SIZE 160

/* --- who may come in --- */

struct view_slot *view_find_slot(struct view *view, const char *path, const char **out_rest)
{
	const char *token = view_request_token(path);
	struct view_slot *found = NULL;

	/* All are looked at, whichever it is. */
	for (size_t i = 0; token && i < view->slot_count; i++) {
		if (view_token_matches(&view->slots[i].token, token))
			found = &view->slots[i];
	}
	if (found)
		*out_rest = token + VIEW_TOKEN_CHARS + 1;
	return found;
}

unsigned view_check_request(struct lws *wsi, bool websocket, struct view_slot **out_slot,
                            char *out_rest, size_t size)
{
	struct view *view = lws_context_user(lws_get_context(wsi));
	char host[HOST_MAX], origin[HOST_MAX + 8], path[PATH_MAX_SIZE];
	const char *rest;
	struct view_slot *slot;

	if (lws_hdr_copy(wsi, host, sizeof(host), WSI_TOKEN_HOST) <= 0 ||
	    !view_request_host_ok(host, view->options.allow_remote))
		return HTTP_STATUS_FORBIDDEN;
	if ((websocket || lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) > 0) &&
	    (lws_hdr_copy(wsi, origin, sizeof(origin), WSI_TOKEN_ORIGIN) <= 0 ||
	     !view_request_origin_ok(origin, host)))
		return HTTP_STATUS_FORBIDDEN;
	if (lws_hdr_copy(wsi, path, sizeof(path), WSI_TOKEN_GET_URI) <= 0)
		return HTTP_STATUS_NOT_FOUND;
	slot = view_find_slot(view, path, &rest);
	if (!slot || strlen(rest) >= size)
		return HTTP_STATUS_NOT_FOUND;
	memcpy(out_rest, rest, strlen(rest) + 1);
	*out_slot = slot;
	return 0;
}

/* --- connections --- */

static void accept_one(struct view *view, int fd)
{
	lws_adopt_desc_t adopted = {
		.vh = view->vhost,
		.type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP,
		.fd.sockfd = fd,
		.opaque = view,
	};
	int on = 1, size = SEND_BUFFER;
	unsigned before = view->connections++;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	/* If it fails the connection is closed, which may or may not have been told. */
	if (!lws_adopt_descriptor_vhost_via_info(&adopted))
		view->connections = before;
}

static void listener_readable(struct view_file *file)
{
	struct view *view = container_of(file, struct view, listener);

	while (view->connections < VIEW_CONNECTIONS_MAX) {
		int fd = accept4(view->listener_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
			return;
		if (fd < 0)
			break;
		accept_one(view, fd);
	}
	/* Who comes now waits in the kernel; the tick looks whether there is room again. */
	view_file_pause(file, true);
}

void view_connection_gone(struct lws *wsi)
{
	struct view *view = lws_context_user(lws_get_context(wsi));

	if (view && lws_get_opaque_user_data(wsi) == view)
		view->connections--;
}

static void ignore_hang_up(struct view_file *file)
{
	(void)file;
}

/* --- the end --- */

void view_end(struct view *view, const char *why)
{
	if (view->ended)
		return;
	view->ended = why;
	view->ended_ns = clock_now_ns();
	view_file_stop(&view->listener);
	for (size_t i = 0; i < view->slot_count; i++) {
		view->slots[i].note[0] = '\0';
		view_hands_end(view->slots[i].hands, why);
		view_screen_close(view->slots[i].screen, VIEW_CLOSE_ENDED, "ended");
	}
}

/* True when all viewers have heard that it is over, or had the time to. */
static bool is_done(const struct view *view)
{
	if (!view->ended)
		return false;
	if (clock_now_ns() - view->ended_ns > GOODBYE_MS * NS_PER_MS)
		return true;
	for (size_t i = 0; i < view->slot_count; i++) {
		if (view->slots[i].hands || view->slots[i].screen)
			return false;
	}
	return true;
}

static void interrupt_readable(struct view_file *file)
{
	struct view *view = container_of(file, struct view, interrupt);

	/* It stays readable. */
	view_file_pause(file, true);
	view_end(view, "The server of this page has ended");
}

static void tick(lws_sorted_usec_list_t *list)
{
	struct view *view = container_of(list, struct view, tick);

	if (!view->ended && view->connections < VIEW_CONNECTIONS_MAX)
		view_file_pause(&view->listener, false);
	view_link_tick(view);
	lws_sul_schedule(view->context, 0, &view->tick, tick, TICK_US);
}

/* --- the beginning --- */

/* The library's line, with ours before it. */
static void log_library(int level, const char *line)
{
	(void)level;
	log_warn("%.*s", (int)strcspn(line, "\n"), line);
}

static const struct lws_protocols protocols[] = {
	{ "http", view_http_callback, sizeof(struct view_http), 0, 0, NULL, 0 },
	{ "binary", view_screen_callback, sizeof(struct view_screen), VIEW_SCREEN_IN, 0, NULL,
	  VIEW_SCREEN_OUT },
	{ "cloche-hands", view_hands_callback, sizeof(struct view_hands), VIEW_HANDS_IN, 0, NULL,
	  0 },
	{ VIEW_FILE_PROTOCOL, view_file_callback, 0, 0, 0, NULL, 0 },
	{ 0 },
};

/* Along with every answer. Chained by hand, as the library wants it. */
static const struct lws_protocol_vhost_options headers[] = {
	{ &headers[1], NULL, "cache-control:", "no-store" },
	{ &headers[2], NULL, "x-content-type-options:", "nosniff" },
	{ &headers[3], NULL, "referrer-policy:", "no-referrer" },
	{ &headers[4], NULL, "x-frame-options:", "DENY" },
	{ &headers[5], NULL, "cross-origin-resource-policy:", "same-origin" },
	{ &headers[6], NULL, "cross-origin-opener-policy:", "same-origin" },
	{ NULL, NULL, "content-security-policy:",
	  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
	  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
};

/* A browser that is gone without a word is missed after a while. */
static const lws_retry_bo_t liveness = {
	.secs_since_valid_ping = 20,
	.secs_since_valid_hangup = 60,
};

static int create_context(struct view *view, struct failure *failure)
{
	const struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = protocols,
		.headers = headers,
		.server_string = "cloche",
		.user = view,
		.timeout_secs = REQUEST_SECONDS,
		.timeout_secs_ah_idle = REQUEST_SECONDS,
		.keepalive_timeout = KEEPALIVE_SECONDS,
		.max_http_header_data = 4096,
		.max_http_header_pool = (unsigned short)VIEW_CONNECTIONS_MAX,
		.fd_limit_per_thread = DESCRIPTORS_MAX,
		.retry_and_idle_policy = &liveness,
		.options = LWS_SERVER_OPTION_NO_LWS_SYSTEM_STATES,
	};

	lws_set_log_level(LLL_ERR, log_library);
	view->context = lws_create_context(&info);
	/* From here on it has no errors but what browsers get wrong. */
	lws_set_log_level(0, NULL);
	if (view->context)
		view->vhost = lws_get_vhost_by_name(view->context, "default");
	if (!view->vhost)
		return failure_set(
			failure, STATUS_FAILED, CODE_HOST,
			"libwebsockets cannot begin: is memory or are descriptors short?");
	return 0;
}

static int start_watching(struct view *view, struct failure *failure)
{
	int rc;

	view->listener =
		(struct view_file){ .readable = listener_readable, .hung_up = ignore_hang_up };
	view->interrupt =
		(struct view_file){ .readable = interrupt_readable, .hung_up = ignore_hang_up };
	rc = view_file_start(&view->listener, view->vhost, view->listener_fd);
	if (rc == 0)
		rc = view_file_start(&view->interrupt, view->vhost, view->interrupt_fd);
	if (rc == 0)
		rc = view_link_start(view);
	if (rc < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot begin to serve: %s",
		                   strerror(-rc));
	lws_sul_schedule(view->context, 0, &view->tick, tick, TICK_US);
	return 0;
}

static void print_json(const struct view *view, const char *authority)
{
	json_t *answer = output_answer_new();
	json_t *urls = json_array();
	char url[VIEW_AUTHORITY_MAX + VIEW_TOKEN_CHARS + 16];

	for (size_t i = 0; i < view->slot_count; i++) {
		snprintf(url, sizeof(url), "http://%s/%s/", authority, view->slots[i].token.text);
		json_array_append_new(urls, json_pack("{s:s,s:b}", "url", url, "control",
		                                      view->slots[i].control));
	}
	json_object_set_new(answer, "name", json_string(view->session.name));
	json_object_set_new(answer, "listen", json_string(authority));
	json_object_set_new(answer, "urls", urls);
	output_answer(answer);
}

static void print_urls(const struct view *view, bool json)
{
	unsigned port = view_address_port(&view->options.address);
	char authority[VIEW_AUTHORITY_MAX];

	view_address_write(&view->options.address, authority);
	if (json) {
		print_json(view, authority);
	} else {
		for (size_t i = 0; i < view->slot_count; i++)
			printf("%-8s http://%s/%s/\n", view->slots[i].control ? "control" : "watch",
			       authority, view->slots[i].token.text);
		if (view_address_is_loopback(&view->options.address))
			printf("From another machine: ssh -L %u:%s THIS-HOST there, then the same "
			       "address.\n",
			       port, authority);
		printf("Ctrl-C ends it.\n");
	}
	fflush(stdout);
}

int view_serve(struct view *view, bool json, struct failure *failure)
{
	int rc = 0;

	if (create_context(view, failure) < 0 || start_watching(view, failure) < 0 ||
	    view_confine(failure) < 0)
		return -1;
	print_urls(view, json);
	while (rc >= 0 && !is_done(view))
		rc = lws_service(view->context, 0);
	if (rc < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "the server's loop broke");
	return 0;
}
