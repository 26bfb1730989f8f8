/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * action_event.h - what others are told of a request that acts on the guest (event "action",
 * cloche-protocol(7)).
 *
 * Typed text is somebody's secret until its owner says otherwise: of text only the length is told, of a
 * key that writes a character nothing but that there was one, of a URL what is before its query. Pure;
 * I/O thread.
 */
#ifndef CLOCHE_VMM_ACTION_EVENT_H
#define CLOCHE_VMM_ACTION_EVENT_H

#include <jansson.h>
#include <stdbool.h>

#define ACTION_STEPS_MAX 64u  /* of one input that are told */
#define ACTION_TEXT_MAX 1024u /* bytes of a text or URL that are told */

/*
 * The event for @request to the agent, made by @by ("agent", "viewer"); @with_text: as it is, in full.
 * Owned by the caller. NULL: it doesn't act on the guest, or no memory.
 */
json_t *action_event(const json_t *request, const char *by, bool with_text);

#endif
