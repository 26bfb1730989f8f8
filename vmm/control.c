/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.c - control.sock: its clients, requests in, replies out.
 */
#include "vmm/control_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/proto.h"
#include "lib/sock.h"
#include "vmm/vm.h"

static void close_client(struct client *client)
{
	if (!client->number)
		return;
	loop_watch_remove(client->control->vm->loop, &client->watch);
	wire_conn_finish(&client->conn);
	client->number = 0;
}

struct client *control_find_client(struct control *control, uint64_t number)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].number == number)
			return &control->clients[i];
	return NULL;
}

static void rearm(struct client *client)
{
	if (client->number)
		loop_watch_change(client->control->vm->loop, &client->watch,
		                  EPOLLIN | (wire_conn_wants_write(&client->conn) ? EPOLLOUT : 0u));
}

void control_answer(struct client *client, json_t *reply, const void *blob, size_t blob_size,
                    int fd)
{
	if (!client || !client->number) {
		json_decref(reply);
		return;
	}
	int ret = reply ? wire_conn_send(&client->conn, reply, blob, blob_size, fd) : -ENOMEM;
	if (ret == -EMSGSIZE) {
		/* What a guest answered may be longer as we write it: numbers are. */
		json_int_t id = json_integer_value(json_object_get(reply, "id"));

		json_decref(reply);
		reply = wire_reply_error(id, PROTO_ERR_TOO_LARGE,
		                         "the answer exceeds a line of 64 KiB");
		ret = reply ? wire_conn_send(&client->conn, reply, NULL, 0, -1) : -ENOMEM;
	}
	json_decref(reply);
	if (ret) {
		log_warn_limited(&client->control->complaints, "control: a client was closed: %s",
		                 strerror(-ret));
		close_client(client);
	}
	rearm(client);
}

void control_refuse(struct client *client, json_int_t id, const char *code, const char *message)
{
	control_answer(client, wire_reply_error(id, code, "%s", message), NULL, 0, -1);
}

static void dispatch(struct client *client, struct wire_message *message)
{
	const char *verb = json_string_value(json_object_get(message->object, "verb"));
	json_int_t id = json_integer_value(json_object_get(message->object, "id"));

	if (id <= 0 || !verb) {
		control_refuse(client, id, PROTO_ERR_BAD_REQUEST,
		               "a request needs an 'id' above 0 and a 'verb'");
		return;
	}
	if (!control_run_verb(client, verb, id, message))
		control_refuse(client, id, PROTO_ERR_UNKNOWN_VERB,
		               "no such verb: see cloche-protocol(7)");
}

static void on_client(struct loop_watch *watch, uint32_t events)
{
	struct client *client = container_of(watch, struct client, watch);
	struct wire_message message = WIRE_MESSAGE_INIT;
	struct error err = { 0 };
	int got = 0, ret = 0;

	if ((events & EPOLLOUT) && wire_conn_flush(&client->conn)) {
		close_client(client);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		ret = wire_conn_read(&client->conn, &err);
		while (client->number &&
		       (got = wire_conn_next(&client->conn, &message, &err)) > 0) {
			dispatch(client, &message);
			wire_message_finish(&message);
		}
	}
	if (client->number && got < 0)
		log_warn_limited(&client->control->complaints, "control: a client was closed: %s",
		                 err.msg);
	if (ret < 0 || got < 0)
		close_client(client);
	rearm(client);
}

static void on_accepted(struct listener *listener, int accepted_fd)
{
	struct control *control = container_of(listener, struct control, listener);
	struct client *client = control_find_client(control, 0);
	cleanup_fd int fd = accepted_fd;

	if (!client) {
		log_warn_limited(&control->complaints,
		                 "control: %d clients are connected, no more are taken",
		                 CONTROL_CLIENTS_MAX);
		return;
	}
	*client = (struct client){ .control = control };
	if (wire_conn_init(&client->conn, steal_fd(&fd)))
		return;
	if (loop_watch_add(control->vm->loop, &client->watch, client->conn.fd, EPOLLIN,
	                   on_client)) {
		wire_conn_finish(&client->conn);
		return;
	}
	client->number = ++control->next_number;
}

int control_create(struct vm *vm, const char *path, struct control **out_control, struct error *err)
{
	if (!path)
		return 0;
	cleanup_fd int fd = -1;
	struct control *control = calloc(1, sizeof(*control));
	if (!control)
		return error_set(err, -ENOMEM, "no memory for the control socket");
	control->vm = vm;
	control->complaints = (struct log_limit)LOG_LIMIT_INIT;
	control->alerts = (struct log_limit)LOG_LIMIT_INIT;
	control->listener = (struct listener)LISTENER_INIT;
	control->deaths = json_array();
	control->path = strdup(path);
	int ret = control->deaths && control->path ? 0 : -ENOMEM;
	if (ret == 0)
		ret = sock_listen_unix(path, &fd, err);
	if (ret == 0)
		ret = listener_start(&control->listener, vm->loop, fd, on_accepted);
	if (ret == 0)
		steal_fd(&fd);
	if (ret) {
		control_destroy(control);
		return err->code ? ret : error_set(err, ret, "control socket: %s", strerror(-ret));
	}
	*out_control = control;
	return 0;
}

void control_destroy(struct control *control)
{
	if (!control)
		return;
	control_end_waits(control);
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		close_client(&control->clients[i]);
	if (control->listener.fd >= 0)
		unlink(control->path);
	listener_stop(&control->listener);
	json_decref(control->deaths);
	free(control->path);
	free(control);
}
