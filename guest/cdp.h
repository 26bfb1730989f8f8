/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cdp.h - the Chrome DevTools Protocol over --remote-debugging-pipe: JSON messages that end in NUL.
 * The agent's thread. A page has its hand in what arrives: sizes and counts are bounded.
 */
#ifndef CLOCHE_GUEST_CDP_H
#define CLOCHE_GUEST_CDP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/loop.h"

#define CDP_MESSAGE_MAX ((size_t)8 << 20)
#define CDP_CALLS_MAX 128

/* --- bytes to messages; pure --- */

struct cdp_framer {
	char *buffer; /* owned */
	size_t used, size;
	size_t scanned; /* bytes known to hold no NUL */
	size_t taken;   /* bytes of the message handed out last */
	bool skipping;  /* in a message that is too long, until its NUL */
};

void cdp_framer_init(struct cdp_framer *framer);
void cdp_framer_finish(struct cdp_framer *framer);

/* Takes bytes of the stream. 0 or -ENOMEM. Drain cdp_framer_next() before the next push. */
int cdp_framer_push(struct cdp_framer *framer, const char *data, size_t size);

/*
 * The next whole message (without its NUL; valid until the next call on @framer), or NULL. Those
 * longer than CDP_MESSAGE_MAX never show up.
 */
const char *cdp_framer_next(struct cdp_framer *framer, size_t *out_size);

/* --- the connection --- */

struct cdp; /* opaque */

/*
 * An answer: @result (borrowed), or NULL with @error (what DevTools or the agent says). Called
 * exactly once a call, at the latest from cdp_destroy(), unless forgotten.
 */
typedef void cdp_answer(void *arg, json_t *result, const char *error);

struct cdp_events {
	/* @session is NULL for the browser's own; @params borrowed, may be NULL. */
	void (*event)(void *arg, const char *session, const char *method, json_t *params);
	void (*closed)(void *arg); /* the browser has closed the pipe; no event after it */
	void *arg;
};

/* Takes ownership of both non-blocking pipe ends, on failure too. 0 or -errno. */
int cdp_create(struct loop *loop, int read_fd, int write_fd, const struct cdp_events *events,
               struct cdp **out_cdp);

/* Answers open calls with an error, then frees; takes NULL. Not from within an answer or event. */
void cdp_destroy(struct cdp *cdp);

/*
 * Sends a command; @params is taken over (NULL: none). @answer may be NULL. Returns the call's
 * number, or 0 when it can't be made: then @answer isn't called.
 */
uint32_t cdp_call(struct cdp *cdp, const char *session, const char *method, json_t *params,
                  cdp_answer *answer, void *arg);

/* The call's answer, should it come, is dropped. Takes 0 and numbers that are gone. */
void cdp_forget(struct cdp *cdp, uint32_t number);

#endif
