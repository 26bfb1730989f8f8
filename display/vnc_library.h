/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vnc_library.h - libvncserver, loaded when the first viewer comes: it brings a dozen libraries along that no
 * session needs to start (2 ms; a session's process is up in less than one).
 *
 * Its globals (lists of clients, extensions, security types, and their locks) are for one thread at a
 * time: .lock is held for each call into it but the sending of a picture, which touches none of them and may
 * block. Included by what calls it, and by nobody else.
 */
#ifndef CLOCHE_DISPLAY_VNC_LIBRARY_H
#define CLOCHE_DISPLAY_VNC_LIBRARY_H

#include <pthread.h>

#include <rfb/rfb.h>
#include <rfb/rfbregion.h>

struct vnc_library {
	void *handle;
	pthread_mutex_t lock;
	__typeof__(rfbGetScreen) *get_screen;
	__typeof__(rfbScreenCleanup) *screen_cleanup;
	__typeof__(rfbNewClientConnection) *new_client;
	__typeof__(rfbClientConnectionGone) *client_gone;
	__typeof__(rfbProcessClientMessage) *process_message;
	__typeof__(rfbMarkRectAsModified) *mark_modified;
	__typeof__(rfbUpdateClient) *update_client;
	__typeof__(rfbStatGetSentBytes) *sent_bytes;
	__typeof__(rfbResetStats) *reset_stats;
	__typeof__(sraRgnEmpty) *region_is_empty;
};

#endif
