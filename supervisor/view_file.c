/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_file.c - see view_file.h. The loop's thread only.
 */
#include "supervisor/view_file.h"

#include <errno.h>
#include <fcntl.h>

#include "lib/cleanup.h"

int view_file_start(struct view_file *file, struct lws_vhost *vhost, int fd)
{
	cleanup_fd int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	lws_adopt_desc_t adopted = {
		.vh = vhost,
		.type = LWS_ADOPT_RAW_FILE_DESC,
		.vh_prot_name = VIEW_FILE_PROTOCOL,
		.opaque = file,
	};

	if (copy < 0)
		return -errno;
	adopted.fd.filefd = steal_fd(&copy); /* closed in there if it fails */
	file->paused = false;
	file->wsi = lws_adopt_descriptor_vhost_via_info(&adopted);
	return file->wsi ? 0 : -ENOMEM;
}

void view_file_stop(struct view_file *file)
{
	if (!file->wsi)
		return;
	lws_set_opaque_user_data(file->wsi, NULL);
	lws_set_timeout(file->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
	file->wsi = NULL;
}

void view_file_pause(struct view_file *file, bool paused)
{
	if (!file->wsi || file->paused == paused)
		return;
	file->paused = paused;
	lws_rx_flow_control(file->wsi, !paused);
}

void view_file_want_write(struct view_file *file)
{
	if (file->wsi)
		lws_callback_on_writable(file->wsi);
}

int view_file_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                       size_t size)
{
	struct view_file *file = lws_get_opaque_user_data(wsi);

	(void)user;
	(void)in;
	(void)size;
	/* A browser may ask for any protocol by its name, and has no business with this one. */
	if (reason == LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION)
		return -1;
	if (reason != LWS_CALLBACK_RAW_RX_FILE && reason != LWS_CALLBACK_RAW_WRITEABLE_FILE &&
	    reason != LWS_CALLBACK_RAW_CLOSE_FILE)
		return 0;
	if (!file)
		return -1;
	if (reason == LWS_CALLBACK_RAW_CLOSE_FILE) {
		file->wsi = NULL;
		file->hung_up(file);
	} else if (reason == LWS_CALLBACK_RAW_RX_FILE) {
		if (!file->paused)
			file->readable(file);
	} else if (file->writable) {
		file->writable(file);
	}
	return 0;
}
