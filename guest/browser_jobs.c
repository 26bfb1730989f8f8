/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * browser_jobs.c - the verb "browser". The agent's thread.
 *
 *	PICKING      which page is in front?           targets_ask(), PICK_MS at most
 *	   |
 *	COMMANDED    the command's answer is awaited   command_answer()
 *	   |
 *	COMMITTING   back, reload: another document?   PAGE_COMMITTED, PAGE_SAME_DOCUMENT
 *	   |
 *	LOADING      its load event?                   PAGE_LOADED of job->loader
 *	   |
 *	SHOWING      on the screen, with the keyboard  shown_answer(), SHOW_MS at most
 *	   |
 *	DESCRIBING   url and title, from the browser   info_answer()
 *
 *	COMMANDED -> FAILING   the error page instead  its PAGE_LOADED, FAIL_MS at most
 *
 * SHOWING is there for what comes next, a click or a key: between its load event and its first
 * frame a page gets no input, Chromium drops it.
 * A document that is replaced while it loads (a redirect by script) hands the wait on to the one
 * that comes. A dialog ends the wait: somebody has to look at the screen. An error page is an error,
 * but an answer only once it is there: until then the page has the one's title and the other's
 * address, or none.
 * url and title come from the browser process and not from the page, which may hang.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "guest/agent.h"
#include "guest/browser.h"
#include "guest/options.h"
#include "guest/text.h"
#include "guest/verbs.h"
#include "lib/clock.h"
#include "lib/proto.h"

#define PICK_MS 1500
#define SHOW_MS 3000
#define FAIL_MS 3000
#define PROBLEM_SIZE 64
#define URL_MAX_BYTES 16384
#define TITLE_MAX_BYTES 2048

enum op { OP_NAVIGATE, OP_BACK, OP_RELOAD, OP_STATE, OPS };
enum phase { PICKING, COMMANDED, COMMITTING, LOADING, SHOWING, DESCRIBING, FAILING };

struct browser_job {
	struct browser *browser; /* borrowed */
	struct request *request; /* borrowed */
	struct browser_job *next;
	struct target *target; /* borrowed; NULL while PICKING */
	enum op op;
	enum phase phase;
	bool wait;                   /* for the load event */
	bool dialog;                 /* one has cut the wait short */
	bool moved;                  /* within the document, before the command was answered */
	char before[TARGET_ID_SIZE]; /* the document's loader when the command was given */
	char loader[TARGET_ID_SIZE]; /* of the document whose load event is awaited */
	uint32_t call;               /* not yet answered; 0: none */
	struct loop_timer timer;
	json_int_t status;          /* HTTP's; 0: not known */
	char problem[PROBLEM_SIZE]; /* FAILING: why, in DevTools' words */
};

static const char *const op_names[OPS] = { "navigate", "back", "reload", "state" };

static void describe(struct browser_job *job);

static void job_free(struct browser_job *job)
{
	for (struct browser_job **link = &job->browser->jobs; *link; link = &(*link)->next) {
		if (*link == job) {
			*link = job->next;
			break;
		}
	}
	loop_timer_cancel(job->browser->agent->loop, &job->timer);
	cdp_forget(job->browser->cdp, job->call);
	free(job);
}

static void job_fail(struct browser_job *job, const char *code, const char *text)
{
	struct request *request = job->request;
	const char *op = op_names[job->op];

	job_free(job);
	request_fail(request, code, "browser: %s: %s", op, text);
}

static void browser_cancel(struct request *request)
{
	job_free(request->job);
}

/* Sends a command of this job; there is one at a time. */
static void job_call(struct browser_job *job, const char *session, const char *method,
                     json_t *params, cdp_answer *answer)
{
	job->call = cdp_call(job->browser->cdp, session, method, params, answer, job);
	if (!job->call)
		job_fail(job, PROTO_ERR_BUSY, "DevTools takes no more commands");
}

/* --- the reply --- */

static void member_set(json_t *members, const char *name, json_t *info, size_t max)
{
	const char *text = json_string_value(json_object_get(info, name));
	char *cut = malloc(max);

	if (cut) {
		text_make_utf8(text ? text : "", cut, max);
		json_object_set_new(members, name, json_string(cut));
	}
	free(cut);
}

static void info_answer(void *arg, json_t *result, const char *error)
{
	struct browser_job *job = arg;
	struct request *request = job->request;
	json_t *info = json_object_get(result, "targetInfo");
	json_t *members = json_object();

	job->call = 0;
	if (!result || !members) {
		json_decref(members);
		job_fail(job, PROTO_ERR_FAILED, error ? error : "no memory");
		return;
	}
	member_set(members, "url", info, URL_MAX_BYTES);
	member_set(members, "title", info, TITLE_MAX_BYTES);
	if (job->status)
		json_object_set_new(members, "status", json_integer(job->status));
	if (job->dialog)
		json_object_set_new(members, "dialog", json_true());
	if (job->op == OP_STATE)
		json_object_set_new(members, "loading", json_boolean(job->target->loading));
	job_free(job);
	request_reply(request, members, NULL, 0);
}

static void describe(struct browser_job *job)
{
	job->phase = DESCRIBING;
	job->request->waiting_for = "the page's address";
	job_call(job, NULL, "Target.getTargetInfo", json_pack("{s:s}", "targetId", job->target->id),
	         info_answer);
}

/* --- waiting --- */

/* The answer that the present phase waits for isn't wanted any more. */
static void wait_end(struct browser_job *job)
{
	loop_timer_cancel(job->browser->agent->loop, &job->timer);
	cdp_forget(job->browser->cdp, job->call);
	job->call = 0;
}

static void shown_answer(void *arg, json_t *result, const char *error)
{
	struct browser_job *job = arg;
	json_int_t status =
		json_integer_value(json_object_get(json_object_get(result, "result"), "value"));

	(void)error;
	job->call = 0;
	loop_timer_cancel(job->browser->agent->loop, &job->timer);
	if (status >= 100 && status <= 999)
		job->status = status;
	describe(job);
}

static void show_expired(struct loop_timer *timer)
{
	struct browser_job *job = container_of(timer, struct browser_job, timer);

	wait_end(job);
	describe(job);
}

/*
 * The page's third frame after now: by then the first one is on the screen. The HTTP status comes
 * along, for only the page knows it. A page that is too busy to say isn't waited for for long.
 */
static void show(struct browser_job *job)
{
	job->phase = SHOWING;
	job->request->waiting_for = "the page to be shown";
	/* A new page leaves the keyboard with the address bar; the asker wants it in the page. */
	cdp_call(job->browser->cdp, job->target->session, "Page.bringToFront", NULL, NULL, NULL);
	loop_timer_set(job->browser->agent->loop, &job->timer, clock_now_ns() + SHOW_MS * NS_PER_MS,
	               show_expired);
	job_call(job, job->target->session, "Runtime.evaluate",
	         json_pack("{s:s, s:b, s:b}", "expression",
	                   "new Promise(done => { let left = 3; const frame = () => left-- ?"
	                   " requestAnimationFrame(frame) : done("
	                   "performance.getEntriesByType('navigation')[0]?.responseStatus);"
	                   " frame(); })",
	                   "awaitPromise", 1, "returnByValue", 1),
	         shown_answer);
}

static void load_await(struct browser_job *job)
{
	job->phase = LOADING;
	job->request->waiting_for = "the page's load event";
	if (!strcmp(job->target->loaded, job->loader))
		show(job);
}

static void fail_now(struct browser_job *job)
{
	char problem[PROBLEM_SIZE];

	memcpy(problem, job->problem, sizeof(problem));
	job_fail(job, PROTO_ERR_FAILED, problem);
}

static bool has_committed(const struct browser_job *job)
{
	return strcmp(job->target->loader, job->before) != 0;
}

/*
 * DevTools may tell of the new document before it answers the command that led to it, and before
 * the browser process knows its address; the load event comes after both.
 */
static bool is_replaced(const struct browser_job *job)
{
	return has_committed(job) && !strcmp(job->target->loaded, job->target->loader);
}

static void job_page_event(struct browser_job *job, enum page_event event)
{
	bool waiting = job->phase == COMMITTING || job->phase == LOADING || job->phase == SHOWING;

	if (event == PAGE_GONE) {
		job_fail(job, PROTO_ERR_GONE, "the page was closed");
	} else if (job->phase == FAILING) {
		if (event == PAGE_CRASHED || event == PAGE_DIALOG || is_replaced(job))
			fail_now(job);
	} else if (event == PAGE_CRASHED && (waiting || job->phase == COMMANDED)) {
		job_fail(job, PROTO_ERR_FAILED, "the page has crashed");
	} else if (event == PAGE_DIALOG && (waiting || job->phase == COMMANDED)) {
		wait_end(job);
		job->dialog = true;
		describe(job);
	} else if (event == PAGE_UNREACHABLE && waiting) {
		job_fail(job, PROTO_ERR_FAILED, "the page can't be reached");
	} else if (event == PAGE_COMMITTED && waiting) {
		wait_end(job);
		memcpy(job->loader, job->target->loader, sizeof(job->loader));
		load_await(job);
	} else if (event == PAGE_SAME_DOCUMENT && job->phase == COMMITTING) {
		describe(job);
	} else if (event == PAGE_SAME_DOCUMENT && job->phase == COMMANDED) {
		job->moved = true;
	} else if (event == PAGE_LOADED && job->phase == LOADING) {
		load_await(job);
	}
}

void jobs_page_event(struct browser *browser, struct target *target, enum page_event event)
{
	struct browser_job *next;

	for (struct browser_job *job = browser->jobs; job; job = next) {
		next = job->next;
		if (job->target == target)
			job_page_event(job, event);
	}
}

void jobs_fail(struct browser *browser)
{
	while (browser->jobs)
		job_fail(browser->jobs, PROTO_ERR_GONE, "the browser has ended");
}

/* --- commands --- */

static void commit_await(struct browser_job *job)
{
	if (!job->wait || job->moved) {
		describe(job);
	} else if (has_committed(job)) {
		memcpy(job->loader, job->target->loader, sizeof(job->loader));
		load_await(job);
	} else {
		job->phase = COMMITTING;
		job->request->waiting_for = "the page to change";
	}
}

static void fail_expired(struct loop_timer *timer)
{
	fail_now(container_of(timer, struct browser_job, timer));
}

/* Fails the job for @problem, when the page that says so has taken the place of the one before. */
static void fail_await(struct browser_job *job, const char *problem)
{
	text_make_utf8(problem, job->problem, sizeof(job->problem));
	/* What was aborted, a download or an answer without a body, leaves the page as it is. */
	if (!strcmp(problem, "net::ERR_ABORTED") || is_replaced(job)) {
		fail_now(job);
		return;
	}
	job->phase = FAILING;
	job->request->waiting_for = "the page that tells of the error";
	loop_timer_set(job->browser->agent->loop, &job->timer, clock_now_ns() + FAIL_MS * NS_PER_MS,
	               fail_expired);
}

static void navigate_answer(void *arg, json_t *result, const char *error)
{
	struct browser_job *job = arg;
	const char *problem = json_string_value(json_object_get(result, "errorText"));
	const char *loader = json_string_value(json_object_get(result, "loaderId"));

	job->call = 0;
	if (!result) {
		job_fail(job, PROTO_ERR_FAILED, error);
		return;
	}
	if (problem && *problem) {
		fail_await(job, problem);
		return;
	}
	if (json_is_true(json_object_get(result, "isDownload"))) {
		job_fail(job, PROTO_ERR_FAILED, "that is a download, no page");
		return;
	}
	/*
	 * Without a loader it moves within its document, and says so when it has: were that not
	 * awaited, it could be taken for the next command's effect.
	 */
	if (!job->wait || !loader || strlen(loader) >= sizeof(job->loader)) {
		commit_await(job);
		return;
	}
	/* A script may have replaced that document already. */
	if (has_committed(job))
		memcpy(job->loader, job->target->loader, sizeof(job->loader));
	else
		strcpy(job->loader, loader);
	load_await(job);
}

static void command_answer(void *arg, json_t *result, const char *error)
{
	struct browser_job *job = arg;

	job->call = 0;
	if (!result)
		job_fail(job, PROTO_ERR_FAILED, error);
	else
		commit_await(job);
}

static void history_answer(void *arg, json_t *result, const char *error)
{
	struct browser_job *job = arg;
	json_int_t at = json_integer_value(json_object_get(result, "currentIndex"));
	json_t *entry =
		at > 0 ? json_array_get(json_object_get(result, "entries"), (size_t)at - 1) : NULL;
	const char *url = json_string_value(json_object_get(entry, "url"));

	job->call = 0;
	if (!result) {
		job_fail(job, PROTO_ERR_FAILED, error);
	} else if (!entry) {
		job_fail(job, PROTO_ERR_FAILED, "there is no page to go back to");
	} else if (!url || !options_url_allowed(url)) {
		job_fail(job, PROTO_ERR_DENIED, "the page before isn't one to be sent to");
	} else {
		job_call(job, job->target->session, "Page.navigateToHistoryEntry",
		         json_pack("{s:O}", "entryId", json_object_get(entry, "id")),
		         command_answer);
	}
}

static void job_command(struct browser_job *job)
{
	const char *session = job->target->session;

	job->phase = COMMANDED;
	job->request->waiting_for = "the page to answer";
	memcpy(job->before, job->target->loader, sizeof(job->before));
	switch (job->op) {
	case OP_NAVIGATE:
		job_call(job, session, "Page.navigate",
		         json_pack("{s:O}", "url",
		                   json_object_get(job->request->message.object, "url")),
		         navigate_answer);
		break;
	case OP_BACK:
		job_call(job, session, "Page.getNavigationHistory", NULL, history_answer);
		break;
	case OP_RELOAD:
		job_call(job, session, "Page.reload", NULL, command_answer);
		break;
	case OP_STATE:
	case OPS:
		describe(job);
		break;
	}
}

/* --- picking the page --- */

static void job_pick(struct browser_job *job)
{
	loop_timer_cancel(job->browser->agent->loop, &job->timer);
	job->target = targets_front(job->browser);
	if (job->target)
		job_command(job);
	else
		job_fail(job, PROTO_ERR_NOT_READY, "no page is open yet");
}

static void pick_expired(struct loop_timer *timer)
{
	job_pick(container_of(timer, struct browser_job, timer));
}

void jobs_visibility_known(struct browser *browser)
{
	struct browser_job *next;

	if (targets_are_asked(browser))
		return;
	for (struct browser_job *job = browser->jobs; job; job = next) {
		next = job->next;
		if (job->phase == PICKING)
			job_pick(job);
	}
}

/* --- the request --- */

/* Fills @job from the request; false: the request has been answered. */
static bool job_parse(struct browser_job *job, struct request *request)
{
	const char *op = NULL, *url = NULL, *wait = "load";

	if (!request_text(request, "op", true, &op) || !request_text(request, "wait", false, &wait))
		return false;
	while (job->op < OPS && strcmp(op, op_names[job->op]) != 0)
		job->op++;
	if (job->op == OPS) {
		request_fail(request, PROTO_ERR_BAD_REQUEST,
		             "browser: \"op\" is navigate, back, reload or state");
		return false;
	}
	if (strcmp(wait, "load") != 0 && strcmp(wait, "none") != 0) {
		request_fail(request, PROTO_ERR_BAD_REQUEST, "browser: \"wait\" is load or none");
		return false;
	}
	job->wait = !strcmp(wait, "load");
	if (job->op != OP_NAVIGATE)
		return true;
	if (!request_text(request, "url", true, &url))
		return false;
	if (!options_url_allowed(url)) {
		request_fail(request, PROTO_ERR_DENIED,
		             "browser: only http, https, data and about:blank URLs are opened");
		return false;
	}
	return true;
}

void verb_browser(struct agent *agent, struct request *request)
{
	struct browser *browser = agent->browser;
	struct browser_job parsed = { .op = OP_NAVIGATE };
	struct browser_job *job;

	if (!job_parse(&parsed, request))
		return;
	if (!browser || browser->dead || !browser->targets) {
		request_fail(request, PROTO_ERR_NOT_READY, "browser: %s",
		             !browser        ? "it isn't started yet, or couldn't be"
		             : browser->dead ? "it has ended"
		                             : "no page is open yet");
		return;
	}
	job = malloc(sizeof(*job));
	if (!job) {
		request_fail(request, PROTO_ERR_FAILED, "browser: no memory");
		return;
	}
	*job = parsed;
	job->browser = browser;
	job->request = request;
	job->next = browser->jobs;
	browser->jobs = job;
	request->job = job;
	request->cancel = browser_cancel;
	request->waiting_for = "the pages to say which is in front";
	targets_ask(browser);
	if (!targets_are_asked(browser)) {
		job_pick(job);
		return;
	}
	loop_timer_set(agent->loop, &job->timer, clock_now_ns() + PICK_MS * NS_PER_MS,
	               pick_expired);
}
