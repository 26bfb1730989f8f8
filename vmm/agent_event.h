/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * agent_event.h - an event of the guest's agent (lib/proto.h), reduced to what it may say.
 *
 * What an agent tells of itself goes on to whoever asks for the session's status: so it is short, of
 * the types that proto.h gives, and printable. No state, any thread.
 */
#ifndef CLOCHE_VMM_AGENT_EVENT_H
#define CLOCHE_VMM_AGENT_EVENT_H

#include <jansson.h>

/* Characters of each string; the longest that an honest agent has is a kernel's release (64). */
#define AGENT_EVENT_STRING_MAX 64

/*
 * A new object with those members of @event that its kind has, each only if its type and its length
 * are right and its characters printable ASCII; "event" is among them. NULL: no kind of proto.h, or
 * no memory.
 */
json_t *agent_event_reduce(const json_t *event);

#endif
