/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_verbs.c - what the requests on control.sock do (lib/proto.h, "Control verbs").
 *
 * A reply may come long after its request and the client may be gone by then, so whoever waits
 * holds a struct pending with the client's number, never a pointer to the client.
 */
#include "vmm/control_client.h"

#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/proto.h"
#include "vmm/agent.h"
#include "vmm/scan.h"
#include "vmm/status.h"
#include "vmm/viewers.h"
#include "vmm/virtio/balloon.h"
#include "vmm/vm.h"

#define DEATHS_MAX 8
#define PENDING_PER_CLIENT_MAX 32
#define DEFAULT_WAIT_MS 60000
#define DEFAULT_AGENT_MS 30000
#define DEFAULT_BALLOON_MS 2000

/* A request whose answer comes later. */
struct pending {
	struct control *control;
	uint64_t client;
	json_int_t id;
	struct pending *next, **prev; /* in .waiting or .asking */
	enum vm_stage stage;
	const char *stage_name;
	uint64_t timeout_ms;
	struct loop_timer timer;
};

/* NULL after having refused: too much is under way for this client, or no memory. */
struct pending *control_pend(struct client *client, json_int_t id)
{
	struct pending *pending = NULL;

	if (client->pending < PENDING_PER_CLIENT_MAX)
		pending = calloc(1, sizeof(*pending));
	if (!pending) {
		control_refuse(client, id, PROTO_ERR_BUSY,
		               "too many requests are under way: wait for some to end");
		return NULL;
	}
	pending->control = client->control;
	pending->client = client->number;
	pending->id = id;
	client->pending++;
	return pending;
}

/* Ends @pending with @reply, which is owned here. */
void control_complete(struct pending *pending, json_t *reply, const void *blob, size_t blob_size,
                      int fd)
{
	struct client *client = control_find_client(pending->control, pending->client);

	if (client)
		client->pending--;
	control_answer(client, reply, blob, blob_size, fd);
	free(pending);
}

json_int_t control_pending_id(const struct pending *pending)
{
	return pending->id;
}

/* --- status and wait ------------------------------------------------------------------------- */

static json_t *describe(struct control *control, json_int_t id)
{
	json_t *reply = wire_reply_ok(id);

	status_describe(control->vm, reply);
	json_object_set_new(reply, "deaths", json_deep_copy(control->deaths));
	return reply;
}

static void verb_status(struct client *client, json_int_t id, const struct wire_message *message)
{
	(void)message;
	control_answer(client, describe(client->control, id), NULL, 0, -1);
}

static void link_pending(struct pending **list, struct pending *pending)
{
	pending->next = *list;
	pending->prev = list;
	if (pending->next)
		pending->next->prev = &pending->next;
	*list = pending;
}

/* Out of its list, and its timer stopped. */
static void unlink_pending(struct pending *pending)
{
	*pending->prev = pending->next;
	if (pending->next)
		pending->next->prev = pending->prev;
	loop_timer_cancel(pending->control->vm->loop, &pending->timer);
}

static void on_wait_expired(struct loop_timer *timer)
{
	struct pending *pending = container_of(timer, struct pending, timer);

	unlink_pending(pending);
	control_complete(pending,
	                 wire_reply_error(pending->id, PROTO_ERR_TIMEOUT,
	                                  "the %s was not ready within %llu ms",
	                                  pending->stage_name,
	                                  (unsigned long long)pending->timeout_ms),
	                 NULL, 0, -1);
}

/* The timeout_ms member within its limits, or @fallback. False: it is no usable number. */
static bool read_timeout(const json_t *object, uint64_t fallback, uint64_t *out_ms)
{
	const json_t *member = json_object_get(object, "timeout_ms");

	*out_ms = fallback;
	if (!member)
		return true;
	json_int_t ms = json_integer_value(member);
	if (!json_is_integer(member) || ms < 1 || ms > (json_int_t)PROTO_TIMEOUT_MAX_MS)
		return false;
	*out_ms = (uint64_t)ms;
	return true;
}

static void verb_wait(struct client *client, json_int_t id, const struct wire_message *message)
{
	static const struct {
		const char *name;
		enum vm_stage stage;
	} stages[] = { { "agent", STAGE_AGENT },
		       { "display", STAGE_DISPLAY },
		       { "browser", STAGE_BROWSER },
		       { "loaded", STAGE_COUNT } }; /* not a stage: see is_reached() */
	const char *wanted = json_string_value(json_object_get(message->object, "for"));
	uint64_t timeout_ms;
	size_t i = 0;

	const size_t count = sizeof(stages) / sizeof(stages[0]);

	while (i < count && (!wanted || strcmp(stages[i].name, wanted) != 0))
		i++;
	if (i == count) {
		control_refuse(client, id, PROTO_ERR_BAD_REQUEST,
		               "'for' must be agent, display, browser or loaded");
		return;
	}
	if (!read_timeout(message->object, DEFAULT_WAIT_MS, &timeout_ms)) {
		control_refuse(client, id, PROTO_ERR_BAD_REQUEST,
		               "'timeout_ms' must be 1 to 3600000");
		return;
	}
	struct pending *pending = control_pend(client, id);
	if (!pending)
		return;
	struct control *control = client->control;
	pending->stage = stages[i].stage;
	pending->stage_name = stages[i].name;
	pending->timeout_ms = timeout_ms;
	link_pending(&control->waiting, pending);
	loop_timer_set(control->vm->loop, &pending->timer, clock_now_ns() + timeout_ms * NS_PER_MS,
	               on_wait_expired);
	control_notify(control);
}

/* True when what @pending waits for can't come any more: its process has died. */
static bool is_hopeless(const struct control *control, const struct pending *pending)
{
	const char *needs = pending->stage == STAGE_BROWSER ? "browser" : "xvfb";
	size_t i;
	json_t *death;

	if (pending->stage == STAGE_AGENT || pending->stage == STAGE_COUNT)
		return false;
	json_array_foreach(control->deaths, i, death)
	{
		const char *process = json_string_value(json_object_get(death, "process"));

		if (process && (strcmp(process, needs) == 0 || strcmp(process, "xvfb") == 0))
			return true;
	}
	return false;
}

/* STAGE_COUNT stands for a restored guest's memory: it is all there. */
static bool is_reached(const struct vm *vm, enum vm_stage stage)
{
	return stage == STAGE_COUNT ? vm->loaded : vm_stage_ms(vm, stage) >= 0;
}

void control_notify(struct control *control)
{
	if (!control)
		return;
	for (struct pending *p = control->waiting, *next; p; p = next) {
		bool reached = is_reached(control->vm, p->stage);

		next = p->next;
		if (!reached && !is_hopeless(control, p))
			continue;
		unlink_pending(p);
		control_complete(
			p,
			reached ? describe(control, p->id)
				: wire_reply_error(p->id, PROTO_ERR_FAILED,
		                                   "the %s will not come up: its process died "
		                                   "(status tells)",
		                                   p->stage_name),
			NULL, 0, -1);
	}
}

void control_note_death(struct control *control, const json_t *event)
{
	if (!control)
		return;
	json_t *copy = json_deep_copy(event);
	json_object_del(copy, "event");
	/* The guest may report as many as it likes: the log too has only the first. */
	if (json_array_size(control->deaths) == DEATHS_MAX) {
		json_decref(copy);
		return;
	}
	log_warn("guest: process %s died",
	         json_string_value(json_object_get(copy, "process")) ?: "?");
	json_array_append_new(control->deaths, copy);
}

/* --- balloon --------------------------------------------------------------------------------- */

static void answer_balloon(struct pending *pending)
{
	json_t *reply = wire_reply_ok(pending->id);

	unlink_pending(pending);
	json_object_update_new(reply, status_describe_balloon(pending->control->vm));
	control_complete(pending, reply, NULL, 0, -1);
}

/* The guest is slow or doesn't answer: the age of its last figures says so. */
static void on_stats_overdue(struct loop_timer *timer)
{
	answer_balloon(container_of(timer, struct pending, timer));
}

void control_notify_stats(struct control *control)
{
	while (control && control->asking)
		answer_balloon(control->asking);
}

static void verb_balloon(struct client *client, json_int_t id, const struct wire_message *message)
{
	const json_t *target = json_object_get(message->object, "target_mib");
	struct control *control = client->control;
	struct vm *vm = control->vm;
	json_int_t most = (json_int_t)(vm->config->memory >> 20);
	uint64_t timeout_ms;

	if (!read_timeout(message->object, DEFAULT_BALLOON_MS, &timeout_ms)) {
		control_refuse(client, id, PROTO_ERR_BAD_REQUEST,
		               "'timeout_ms' must be 1 to 3600000");
		return;
	}
	if (target && (!json_is_integer(target) || json_integer_value(target) < 0 ||
	               json_integer_value(target) > most)) {
		control_answer(
			client,
			wire_reply_error(id, PROTO_ERR_BAD_REQUEST,
		                         "'target_mib' must be 0 to %lld, the guest's memory",
		                         (long long)most),
			NULL, 0, -1);
		return;
	}
	struct pending *pending = control_pend(client, id);
	if (!pending)
		return;
	if (target) {
		int ret = virtio_balloon_set_target(vm->balloon,
		                                    (uint64_t)json_integer_value(target) << 20);
		ASSERT(ret ==
		       0); /* what is in range of the guest's memory is in range of the device */
	}
	link_pending(&control->asking, pending);
	/* A frozen guest can't answer, one without a driver never will. */
	if (vm->paused || !virtio_balloon_ask(vm->balloon))
		answer_balloon(pending);
	else
		loop_timer_set(vm->loop, &pending->timer, clock_now_ns() + timeout_ms * NS_PER_MS,
		               on_stats_overdue);
}

/* --- agent, pause, resume, quit -------------------------------------------------------------- */

static void on_agent_reply(void *arg, json_t *reply, const void *blob, size_t blob_size)
{
	struct pending *pending = arg;

	scan_poke(pending->control->vm->scan);
	json_object_set_new(reply, "id", json_integer(pending->id));
	control_complete(pending, json_incref(reply), blob, blob_size, -1);
}

static void verb_agent(struct client *client, json_int_t id, const struct wire_message *message)
{
	json_t *request = json_object_get(message->object, "request");
	uint64_t timeout_ms;

	if (!json_is_object(request) || !json_is_string(json_object_get(request, "verb"))) {
		control_refuse(client, id, PROTO_ERR_BAD_REQUEST,
		               "'request' must be an object with a 'verb'");
		return;
	}
	if (!read_timeout(request, DEFAULT_AGENT_MS, &timeout_ms)) {
		control_refuse(client, id, PROTO_ERR_BAD_REQUEST,
		               "'request.timeout_ms' must be 1 to 3600000");
		return;
	}
	/* Told by the VMM alone: a guest that believed a client would be let out by nobody. */
	if (strcmp(json_string_value(json_object_get(request, "verb")), "generation") == 0) {
		control_refuse(client, id, PROTO_ERR_DENIED, "'generation' is the VMM's to tell");
		return;
	}
	if (client->control->vm->paused) {
		control_refuse(client, id, PROTO_ERR_NOT_READY,
		               "the guest is frozen: thaw it first");
		return;
	}
	if (control_is_taken(client, id, request))
		return;
	struct pending *pending = control_pend(client, id);
	if (!pending)
		return;
	/* Input or another page: whoever watches wants to see it, now and when it is done. */
	scan_poke(client->control->vm->scan);
	control_publish_action(client->control, request, "agent");
	agent_request(client->control->vm->agent, request, message->blob, message->blob_size,
	              timeout_ms, on_agent_reply, pending);
}

static void verb_pause(struct client *client, json_int_t id, const struct wire_message *message)
{
	(void)message;
	vm_pause(client->control->vm);
	control_answer(client, wire_reply_ok(id), NULL, 0, -1);
}

static void verb_resume(struct client *client, json_int_t id, const struct wire_message *message)
{
	(void)message;
	vm_resume(client->control->vm);
	control_answer(client, wire_reply_ok(id), NULL, 0, -1);
}

static void verb_quit(struct client *client, json_int_t id, const struct wire_message *message)
{
	(void)message;
	control_answer(client, wire_reply_ok(id), NULL, 0, -1);
	vm_end(client->control->vm, VM_QUIT, -1, 0, "asked to over the control socket");
}

static const struct {
	const char *name;
	void (*run)(struct client *client, json_int_t id, const struct wire_message *message);
} verbs[] = {
	{ "status", verb_status },
	{ "wait", verb_wait },
	{ "screenshot", control_verb_screenshot },
	{ "settle", control_verb_settle },
	{ "compare", control_verb_compare },
	{ "agent", verb_agent },
	{ "pause", verb_pause },
	{ "resume", verb_resume },
	{ "quit", verb_quit },
	{ "balloon", verb_balloon },
	{ "fork", control_verb_fork },
	{ "snapshot", control_verb_snapshot },
	{ "frames", control_verb_frames },
	{ "subscribe", control_verb_subscribe },
	{ "alert", control_verb_alert },
	{ "viewer", control_verb_viewer },
	{ "control", control_verb_control },
};

bool control_run_verb(struct client *client, const char *verb, json_int_t id,
                      const struct wire_message *message)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, verb) == 0) {
			verbs[i].run(client, id, message);
			return true;
		}
	return false;
}

void control_end_waits(struct control *control)
{
	while (control->waiting) {
		struct pending *pending = control->waiting;

		unlink_pending(pending);
		control_complete(pending,
		                 wire_reply_error(pending->id, PROTO_ERR_GONE, "the session ends"),
		                 NULL, 0, -1);
	}
	control_notify_stats(control);
}
