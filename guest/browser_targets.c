/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * browser_targets.c - the pages, as DevTools tells of them. The agent's thread.
 *
 * Every page target is attached to as soon as it shows up (flat sessions: one pipe, a session id
 * in each message), with Page events on. So the state of each is known before anybody asks, and
 * "load" events can't be missed between a command and its answer.
 *
 * DevTools doesn't say which tab is in front; the pages are asked. A page that lies gains no more
 * than to be taken for the front one.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/agent.h"
#include "guest/browser.h"
#include "lib/log.h"

static const char *text_get(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* Ids that don't fit are left out: they become "", which matches nothing. */
static void id_copy(char *out, const char *id)
{
	size_t length = strlen(id);

	if (length >= TARGET_ID_SIZE)
		length = 0;
	memcpy(out, id, length);
	out[length] = '\0';
}

static struct target *target_by_id(struct browser *browser, const char *id)
{
	struct target *target = browser->targets;

	while (target && strcmp(target->id, id) != 0)
		target = target->next;
	return target;
}

static struct target *target_by_session(struct browser *browser, const char *session)
{
	struct target *target = browser->targets;

	while (target && (!target->session[0] || strcmp(target->session, session) != 0))
		target = target->next;
	return target;
}

static void target_remove(struct target *target)
{
	struct browser *browser = target->browser;

	jobs_page_event(browser, target, PAGE_GONE);
	for (struct target **link = &browser->targets; *link; link = &(*link)->next) {
		if (*link == target) {
			*link = target->next;
			break;
		}
	}
	browser->target_count--;
	cdp_forget(browser->cdp, target->attach_call);
	cdp_forget(browser->cdp, target->tree_call);
	cdp_forget(browser->cdp, target->visibility_call);
	free(target);
	jobs_visibility_known(browser);
}

void targets_clear(struct browser *browser)
{
	while (browser->targets)
		target_remove(browser->targets);
}

/* --- attaching --- */

static void document_note(struct target *target, json_t *frame)
{
	id_copy(target->frame, text_get(frame, "id"));
	id_copy(target->loader, text_get(frame, "loaderId"));
	target->blank = !strncmp(text_get(frame, "url"), "about:", 6) || !*text_get(frame, "url") ||
	                !strcmp(text_get(frame, "url"), ":");
}

static void tree_answer(void *arg, json_t *result, const char *error)
{
	struct target *target = arg;

	(void)error;
	target->tree_call = 0;
	if (result)
		document_note(target,
		              json_object_get(json_object_get(result, "frameTree"), "frame"));
}

static void attach_answer(void *arg, json_t *result, const char *error)
{
	struct target *target = arg;
	struct cdp *cdp = target->browser->cdp;

	target->attach_call = 0;
	if (!result) {
		log_warn("browser: can't attach to a page: %s", error);
		return;
	}
	id_copy(target->session, text_get(result, "sessionId"));
	if (!target->session[0])
		return;
	cdp_call(cdp, target->session, "Page.enable", NULL, NULL, NULL);
	cdp_call(cdp, target->session, "Inspector.enable", NULL, NULL, NULL);
	target->tree_call =
		cdp_call(cdp, target->session, "Page.getFrameTree", NULL, tree_answer, target);
	/* Turned on last: it repeats "load" for a document that is there already. */
	cdp_call(cdp, target->session, "Page.setLifecycleEventsEnabled",
	         json_pack("{s:b}", "enabled", 1), NULL, NULL);
}

static void target_seen(struct browser *browser, json_t *info)
{
	const char *id = text_get(info, "targetId");
	struct target *target;

	if (strcmp(text_get(info, "type"), "page") != 0 || !*id || strlen(id) >= TARGET_ID_SIZE ||
	    target_by_id(browser, id))
		return;
	target = browser->target_count < TARGETS_MAX ? calloc(1, sizeof(*target)) : NULL;
	if (!target)
		return;
	target->browser = browser;
	id_copy(target->id, id);
	id_copy(target->frame, id);
	target->blank = true;
	target->next = browser->targets;
	browser->targets = target;
	browser->target_count++;
	target->attach_call = cdp_call(browser->cdp, NULL, "Target.attachToTarget",
	                               json_pack("{s:s, s:b}", "targetId", id, "flatten", 1),
	                               attach_answer, target);
}

void targets_discover(struct browser *browser)
{
	cdp_call(browser->cdp, NULL, "Target.setDiscoverTargets", json_pack("{s:b}", "discover", 1),
	         NULL, NULL);
}

/* --- events --- */

/* The browser is ready when a page has loaded, and not just the blank one before it. */
static void ready_check(struct target *target)
{
	struct agent *agent = target->browser->agent;

	if (!target->blank || !strncmp(agent->options.page, "about:", 6))
		channel_stage_reached(agent->channel, STAGE_BROWSER);
}

static void page_event(struct target *target, const char *name, json_t *params)
{
	struct browser *browser = target->browser;
	bool main_frame = !strcmp(text_get(params, "frameId"), target->frame);
	json_t *frame = json_object_get(params, "frame");

	if (!strcmp(name, "frameNavigated")) {
		if (json_object_get(frame, "parentId"))
			return;
		document_note(target, frame);
		jobs_page_event(browser, target,
		                json_object_get(frame, "unreachableUrl") ? PAGE_UNREACHABLE
		                                                         : PAGE_COMMITTED);
	} else if (!strcmp(name, "javascriptDialogOpening")) {
		jobs_page_event(browser, target, PAGE_DIALOG);
	} else if (!main_frame) {
		return;
	} else if (!strcmp(name, "lifecycleEvent")) {
		if (strcmp(text_get(params, "name"), "load") != 0)
			return;
		id_copy(target->loaded, text_get(params, "loaderId"));
		ready_check(target);
		jobs_page_event(browser, target, PAGE_LOADED);
	} else if (!strcmp(name, "navigatedWithinDocument")) {
		jobs_page_event(browser, target, PAGE_SAME_DOCUMENT);
	} else if (!strcmp(name, "frameStartedLoading")) {
		target->loading = true;
	} else if (!strcmp(name, "frameStoppedLoading")) {
		target->loading = false;
	}
}

void targets_event(struct browser *browser, const char *session, const char *method, json_t *params)
{
	struct target *target;

	if (session) {
		target = target_by_session(browser, session);
		if (target && !strncmp(method, "Page.", 5))
			page_event(target, method + 5, params);
		else if (target && !strcmp(method, "Inspector.targetCrashed"))
			jobs_page_event(browser, target, PAGE_CRASHED);
		return;
	}
	if (!strcmp(method, "Target.targetCreated") ||
	    !strcmp(method, "Target.targetInfoChanged")) {
		target_seen(browser, json_object_get(params, "targetInfo"));
	} else if (!strcmp(method, "Target.targetDestroyed")) {
		target = target_by_id(browser, text_get(params, "targetId"));
		if (target)
			target_remove(target);
	} else if (!strcmp(method, "Target.detachedFromTarget")) {
		target = target_by_session(browser, text_get(params, "sessionId"));
		if (target)
			target_remove(target);
	}
}

/* --- which one is in front --- */

static void visibility_answer(void *arg, json_t *result, const char *error)
{
	struct target *target = arg;

	(void)error;
	target->visibility_call = 0;
	switch (json_integer_value(json_object_get(json_object_get(result, "result"), "value"))) {
	case 2:
		target->visibility = PAGE_FOCUSED;
		break;
	case 1:
		target->visibility = PAGE_VISIBLE;
		break;
	default:
		target->visibility = PAGE_HIDDEN;
		break;
	}
	jobs_visibility_known(target->browser);
}

void targets_ask(struct browser *browser)
{
	if (browser->target_count < 2)
		return;
	for (struct target *target = browser->targets; target; target = target->next) {
		if (!target->session[0] || target->visibility_call)
			continue;
		target->visibility = PAGE_SILENT;
		target->visibility_call =
			cdp_call(browser->cdp, target->session, "Runtime.evaluate",
		                 json_pack("{s:s, s:b}", "expression",
		                           "document.visibilityState !== 'visible' ? 0 :"
		                           " document.hasFocus() ? 2 : 1",
		                           "returnByValue", 1),
		                 visibility_answer, target);
	}
}

bool targets_are_asked(const struct browser *browser)
{
	for (const struct target *target = browser->targets; target; target = target->next)
		if (target->visibility_call)
			return true;
	return false;
}

struct target *targets_front(struct browser *browser)
{
	struct target *front = NULL;

	for (struct target *target = browser->targets; target; target = target->next) {
		if (!target->session[0])
			continue;
		if (!front || target->visibility > front->visibility)
			front = target;
	}
	return front;
}
