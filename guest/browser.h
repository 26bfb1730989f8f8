/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * browser.h - Chromium, its DevTools pipe, and the pages in it. The agent's thread.
 *
 *	browser.c          the process and its flags
 *	browser_targets.c  which pages there are, and what DevTools says of each
 *	browser_jobs.c     the verb "browser"
 *
 * The first part is for the agent; what follows is shared by those three files alone.
 */
#ifndef CLOCHE_GUEST_BROWSER_H
#define CLOCHE_GUEST_BROWSER_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/cdp.h"
#include "guest/channel.h"
#include "guest/children.h"
#include "lib/loop.h"

struct agent;
struct browser;

/* Starts Chromium on the display, with options.page. 0 or -errno. */
int browser_create(struct agent *agent, struct browser **out_browser);

/* Ends Chromium; requests under way must have been cancelled. Takes NULL. */
void browser_destroy(struct browser *browser);

/* --- shared by browser*.c --- */

#define TARGETS_MAX 64
#define TARGET_ID_SIZE 64 /* DevTools ids have 32 hex digits; longer ones are ignored */

/* What a page said when it was asked; the greater, the likelier it is in front. */
enum visibility { PAGE_HIDDEN, PAGE_SILENT, PAGE_VISIBLE, PAGE_FOCUSED };

/* A page (a tab or a window of one) that DevTools is attached to, or about to be. */
struct target {
	struct browser *browser; /* borrowed */
	struct target *next;     /* the next older one */
	char id[TARGET_ID_SIZE];
	char session[TARGET_ID_SIZE]; /* "" until attached */
	char frame[TARGET_ID_SIZE];   /* its main frame */
	char loader[TARGET_ID_SIZE];  /* of the document that the main frame shows */
	char loaded[TARGET_ID_SIZE];  /* of the latest document whose load event has fired */
	bool blank;                   /* that document is about:blank */
	bool loading;
	enum visibility visibility;
	uint32_t attach_call, tree_call, visibility_call; /* not yet answered; 0: none */
};

struct browser {
	struct agent *agent; /* borrowed */
	struct child child;
	bool dead;
	struct cdp *cdp;        /* owned */
	struct target *targets; /* owned; the newest first */
	size_t target_count;
	struct browser_job *jobs; /* owned */
};

/* What a page can do that a job may wait for. */
enum page_event {
	PAGE_COMMITTED,     /* another document: target->loader is new */
	PAGE_UNREACHABLE,   /* as before, but it is the browser's error page */
	PAGE_SAME_DOCUMENT, /* moved within its document */
	PAGE_LOADED,        /* target->loaded is new */
	PAGE_DIALOG,        /* alert, confirm, prompt or beforeunload blocks it */
	PAGE_CRASHED,
	PAGE_GONE, /* the target is about to be freed */
};

/* Tells DevTools that we want to know of pages. */
void targets_discover(struct browser *browser);

/* A DevTools event. */
void targets_event(struct browser *browser, const char *session, const char *method,
                   json_t *params);

/* Forgets all pages. */
void targets_clear(struct browser *browser);

/*
 * Asks all pages whether they are visible, unless there is but one. targets_front() is the page in
 * front, as far as known: the one most visible, the newest of those; NULL without any.
 * targets_are_asked(): some haven't answered yet.
 */
void targets_ask(struct browser *browser);
bool targets_are_asked(const struct browser *browser);
struct target *targets_front(struct browser *browser);

/* Called by browser_targets.c. */
void jobs_page_event(struct browser *browser, struct target *target, enum page_event event);
void jobs_visibility_known(struct browser *browser);

/* Fails all jobs: the browser has gone. */
void jobs_fail(struct browser *browser);

#endif
