/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_viewers.c - the verbs about people who look on: "viewer" brings one, "control" says who of them has
 * keyboard and pointer (lib/proto.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "lib/proto.h"
#include "lib/sock.h"
#include "vmm/control_client.h"
#include "vmm/viewers.h"
#include "vmm/vm.h"

static const char *code_of(int error)
{
	switch (error) {
	case -EAGAIN:
		return PROTO_ERR_NOT_READY;
	case -EBUSY:
		return PROTO_ERR_BUSY;
	case -ENOENT:
		return PROTO_ERR_NOT_FOUND;
	case -EPERM:
		return PROTO_ERR_DENIED;
	default:
		return PROTO_ERR_FAILED;
	}
}

/* Its own copy of the descriptor, the message's goes with the message. -EINVAL: it is no such socket. */
static int take_socket(const struct wire_message *message)
{
	if (message->fd < 0 || !sock_is_connected_stream(message->fd))
		return -EINVAL;
	int fd = fcntl(message->fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

void control_verb_viewer(struct client *client, json_int_t id, const struct wire_message *message)
{
	const json_t *control = json_object_get(message->object, "control");
	struct error err = { 0 };
	uint64_t number;

	if (control && !json_is_boolean(control)) {
		control_refuse(client, id, PROTO_ERR_BAD_REQUEST,
		               "'control' must be true or false");
		return;
	}
	int fd = take_socket(message);
	if (fd < 0) {
		control_refuse(client, id, fd == -EINVAL ? PROTO_ERR_BAD_REQUEST : PROTO_ERR_FAILED,
		               fd == -EINVAL ? "a connected stream socket must come along"
		                             : strerror(-fd));
		return;
	}
	int ret =
		viewers_add(client->control->vm->viewers, fd, json_is_true(control), &number, &err);
	if (ret) {
		control_refuse(client, id, code_of(ret), err.msg);
		return;
	}
	json_t *reply = wire_reply_ok(id);
	json_object_set_new(reply, "viewer", json_integer((json_int_t)number));
	control_answer(client, reply, NULL, 0, -1);
}

static void answer_state(struct client *client, json_int_t id)
{
	json_t *reply = viewers_describe(client->control->vm->viewers);
	json_t *ok = wire_reply_ok(id);

	json_object_update(reply, ok);
	json_decref(ok);
	control_answer(client, reply, NULL, 0, -1);
}

static void take(struct client *client, json_int_t id, const json_t *viewer)
{
	struct error err = { 0 };
	uint64_t number;

	if (viewer && (!json_is_integer(viewer) || json_integer_value(viewer) < 1)) {
		control_refuse(client, id, PROTO_ERR_BAD_REQUEST,
		               "'viewer' must be a viewer's number");
		return;
	}
	int ret = viewers_take(client->control->vm->viewers, (uint64_t)json_integer_value(viewer),
	                       &number, &err);
	if (ret)
		control_refuse(client, id, code_of(ret), err.msg);
	else
		answer_state(client, id);
}

void control_verb_control(struct client *client, json_int_t id, const struct wire_message *message)
{
	const char *op = json_string_value(json_object_get(message->object, "op"));

	if (op && strcmp(op, "take") == 0) {
		take(client, id, json_object_get(message->object, "viewer"));
		return;
	}
	if (!op || (strcmp(op, "state") != 0 && strcmp(op, "release") != 0)) {
		control_refuse(client, id, PROTO_ERR_BAD_REQUEST,
		               "'op' must be state, take or release");
		return;
	}
	if (strcmp(op, "release") == 0)
		viewers_release(client->control->vm->viewers);
	answer_state(client, id);
}

bool control_is_taken(struct client *client, json_int_t id, const json_t *request)
{
	const char *verb = json_string_value(json_object_get(request, "verb"));
	const char *op = json_string_value(json_object_get(request, "op"));
	bool acts = strcmp(verb, "input") == 0 ||
	            (strcmp(verb, "browser") == 0 && (!op || strcmp(op, "state") != 0));

	if (!acts || !viewers_are_in_control(client->control->vm->viewers))
		return false;
	control_refuse(client, id, PROTO_ERR_CONTROL_TAKEN,
	               "a person has control: wait, or take it back (cloche control --release)");
	return true;
}
