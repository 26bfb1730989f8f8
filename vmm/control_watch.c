/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_watch.c - the verbs of those who watch: "frames", "subscribe", "alert"; and the events that go to
 * whoever has subscribed (lib/proto.h).
 */
#include "vmm/control_client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/proto.h"
#include "vmm/action_event.h"
#include "vmm/frames.h"
#include "vmm/vm.h"

/* --- events ---------------------------------------------------------------------------------- */

void control_publish(struct control *control, json_t *event)
{
	for (unsigned i = 0; control && event && i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &control->clients[i];

		if (client->number && client->subscribed)
			control_answer(client, json_incref(event), NULL, 0, -1);
	}
	json_decref(event);
}

void control_publish_action(struct control *control, const json_t *request, const char *by)
{
	json_t *events[2] = { NULL, NULL }; /* without and with text */

	for (unsigned i = 0; control && i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &control->clients[i];

		if (!client->number || !client->subscribed)
			continue;
		json_t **event = &events[client->with_text];
		if (!*event)
			*event = action_event(request, by, client->with_text);
		if (*event)
			control_answer(client, json_incref(*event), NULL, 0, -1);
	}
	json_decref(events[0]);
	json_decref(events[1]);
}

void control_verb_subscribe(struct client *client, json_int_t id,
                            const struct wire_message *message)
{
	client->subscribed = true;
	client->with_text = json_is_true(json_object_get(message->object, "text"));
	control_answer(client, wire_reply_ok(id), NULL, 0, -1);
}

/* --- frames ---------------------------------------------------------------------------------- */

void control_verb_frames(struct client *client, json_int_t id, const struct wire_message *message)
{
	struct vm *vm = client->control->vm;
	cleanup_fd int fd = -1;

	if (message->fd < 0) {
		control_refuse(client, id, PROTO_ERR_BAD_REQUEST,
		               "frames: no socket came along to send them to");
		return;
	}
	fd = fcntl(message->fd, F_DUPFD_CLOEXEC, 3);
	int ret = fd < 0 ? -errno
	                 : frames_add(vm->frames, fd,
	                              json_is_true(json_object_get(message->object, "fast")));
	if (ret == 0) {
		steal_fd(&fd);
		control_answer(client, wire_reply_ok(id), NULL, 0, -1);
	} else if (ret == -ENOTSOCK) {
		control_refuse(client, id, PROTO_ERR_BAD_REQUEST,
		               "frames: what came along is no connected stream socket");
	} else if (ret == -EBUSY) {
		control_refuse(client, id, PROTO_ERR_BUSY, "frames: too many watch already");
	} else {
		control_answer(client,
		               wire_reply_error(id, PROTO_ERR_FAILED, "frames: %s", strerror(-ret)),
		               NULL, 0, -1);
	}
}

/* --- alert ----------------------------------------------------------------------------------- */

#define ALERT_NAME_MAX 64u

static bool is_alert_name(const char *name)
{
	size_t size = name ? strlen(name) : 0;

	if (size == 0 || size > ALERT_NAME_MAX)
		return false;
	for (const char *c = name; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			return false;
	return true;
}

/* Member @key as a pixel. False: it is none. */
static bool get_pixel(const json_t *object, const char *key, unsigned *out_pixel)
{
	const json_t *member = json_object_get(object, key);
	json_int_t value = json_integer_value(member);

	if (!json_is_integer(member) || value < 0 || value > (json_int_t)PROTO_DISPLAY_SIDE_MAX)
		return false;
	*out_pixel = (unsigned)value;
	return true;
}

void control_verb_alert(struct client *client, json_int_t id, const struct wire_message *message)
{
	const json_t *object = message->object;
	const char *name = json_string_value(json_object_get(object, "name"));
	bool freeze = json_is_true(json_object_get(object, "freeze"));
	struct control *control = client->control;
	unsigned x, y, width, height;
	uint32_t suppressed;

	if (!is_alert_name(name) || !get_pixel(object, "x", &x) || !get_pixel(object, "y", &y) ||
	    !get_pixel(object, "width", &width) || !get_pixel(object, "height", &height)) {
		control_refuse(client, id, PROTO_ERR_BAD_REQUEST,
		               "alert: it takes a 'name' of up to 64 printable ASCII characters, "
		               "'x', 'y', 'width' and 'height'");
		return;
	}
	/* First what can't wait. */
	if (freeze)
		vm_pause(control->vm);
	/* A guest can make it come and go as often as it likes. */
	if (log_limit_pass(&control->alerts, clock_now_ns(), &suppressed))
		log_info("alert: '%s' is on the screen at %u,%u (%ux%u)%s", name, x, y, width,
		         height, freeze ? "; the guest is frozen" : "");
	control_answer(client, wire_reply_ok(id), NULL, 0, -1);
	control_publish(control, json_pack("{s:s,s:s,s:i,s:i,s:i,s:i,s:b}", "event", "alert",
	                                   "name", name, "x", (int)x, "y", (int)y, "width",
	                                   (int)width, "height", (int)height, "frozen", freeze));
}
