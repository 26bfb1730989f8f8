/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_main.c - cloche-view: what `cloche view` becomes to serve. A program of its own, so that the
 * library that reads what browsers send is neither loaded by every command nor near a guest. One
 * thread.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "supervisor/interrupt.h"
#include "supervisor/output.h"
#include "supervisor/view.h"

static int draw_tokens(struct view *view, struct failure *failure)
{
	size_t count = (size_t)view->options.viewers + (view->options.control ? 1 : 0);

	ASSERT(count <= VIEW_SLOTS_MAX);
	for (size_t i = 0; i < count; i++) {
		struct view_slot *slot = &view->slots[i];
		int rc = view_token_draw(&slot->token);

		if (rc < 0)
			return failure_set(failure, STATUS_FAILED, CODE_HOST,
			                   "cannot draw a token: %s", strerror(-rc));
		slot->view = view;
		slot->control = i == view->options.viewers;
	}
	view->slot_count = count;
	return 0;
}

static void finish(struct view *view)
{
	view_file_stop(&view->listener);
	view_file_stop(&view->interrupt);
	view_file_stop(&view->link.file);
	if (view->context)
		lws_context_destroy(view->context);
	view_link_close(view);
	view_assets_finish(&view->assets);
	close_fd(&view->listener_fd);
	close_fd(&view->interrupt_fd);
	session_finish(&view->session);
}

/* All that can go wrong goes wrong before the URL is printed. */
static int run(struct invocation *inv, struct view *view, struct failure *failure)
{
	int rc = view_options_parse(inv, &view->options, failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (session_open(view->options.name, &view->session, failure) < 0 ||
	    interrupt_watch(&view->interrupt_fd, failure) < 0 ||
	    view_assets_load(VIEW_NOVNC_FOLDER, &view->assets, failure) < 0 ||
	    view_link_open(view, failure) < 0 || draw_tokens(view, failure) < 0 ||
	    view_address_listen(&view->options.address, &view->listener_fd, failure) < 0 ||
	    view_serve(view, inv->json, failure) < 0)
		return -1;
	return STATUS_OK;
}

int main(int argc, char **argv)
{
	static const struct command command = {
		.name = "view",
		.arguments = VIEW_COMMAND_ARGUMENTS,
		.summary = VIEW_COMMAND_SUMMARY,
		.details = VIEW_COMMAND_DETAILS,
	};
	static struct view view = {
		.session = SESSION_INIT,
		.listener_fd = -1,
		.interrupt_fd = -1,
		.link.client = CLIENT_INIT,
		.refusals = LOG_LIMIT_INIT,
	};
	struct invocation inv = { &command, argc > 0 ? argc - 1 : 0, argv + 1, false };
	struct failure failure = { 0 };
	int status;

	signal(SIGPIPE, SIG_IGN);
	log_init("cloche", LOG_WARN);
	status = run(&inv, &view, &failure);
	if (status < 0) {
		output_failure(&failure, inv.json);
		status = failure.status;
		json_decref(failure.report);
	}
	finish(&view);
	return status;
}
