/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_copies.c - the requests on control.sock that copy the VM: fork and snapshot (lib/proto.h).
 */
#include "vmm/control_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/proto.h"
#include "vmm/options.h"
#include "vmm/snapshot/copy.h"
#include "vmm/vm.h"

#define TTL_MAX_S ((json_int_t)365 * 24 * 3600)
#define NAME_MAX_BYTES 64

static void on_copied(struct pending *pending, const struct copy_result *result, json_t *more)
{
	json_int_t id = control_pending_id(pending);
	json_t *reply;

	if (result->err.code) {
		json_decref(more);
		reply = wire_reply_error(id, PROTO_ERR_FAILED, "%s", result->err.msg);
	} else {
		reply = wire_reply_ok(id);
		json_object_set_new(reply, "pause_us",
		                    json_integer((json_int_t)(result->pause_ns / 1000)));
		json_object_update_new(reply, more);
	}
	control_complete(pending, reply, NULL, 0, -1);
}

/* --- fork ---------------------------------------------------------------------------------------- */

static void on_forked(void *arg, const struct copy_result *result)
{
	json_t *pids = json_array();

	for (unsigned i = 0; i < result->pid_count; i++)
		json_array_append_new(pids, json_integer(result->pids[i]));
	on_copied(arg, result, json_pack("{s:o}", "pids", pids));
}

static bool take_path(const json_t *child, const char *member, char **out_path)
{
	const char *path = json_string_value(json_object_get(child, member));

	if (!path || path[0] != '/')
		return false;
	*out_path = strdup(path);
	return *out_path != NULL;
}

/* NULL, or what is wrong with it; then what was taken is in *plan all the same. */
static const char *read_plan(const json_t *child, bool has_card, struct clone_plan *plan)
{
	const json_t *ttl = json_object_get(child, "ttl_s"), *net = json_object_get(child, "net");
	const char *name = json_string_value(json_object_get(child, "name"));
	struct net_config ignored = { 0 };

	if (!name || name[0] == '\0' || strlen(name) >= NAME_MAX_BYTES)
		return "each of 'children' must have a 'name'";
	plan->name = strdup(name);
	if (!take_path(child, "control", &plan->control) ||
	    !take_path(child, "vsock", &plan->vsock) ||
	    !take_path(child, "report", &plan->report) ||
	    !take_path(child, "console", &plan->console) || !take_path(child, "log", &plan->log))
		return "each of 'children' must have absolute paths: control, vsock, report, "
		       "console, "
		       "log";
	if (json_object_get(child, "vnc") && !take_path(child, "vnc", &plan->vnc))
		return "'vnc' must be an absolute path";
	if (ttl && (!json_is_integer(ttl) || json_integer_value(ttl) < 1 ||
	            json_integer_value(ttl) > TTL_MAX_S))
		return "'ttl_s' must be 1 to 31536000";
	plan->ttl_s = (uint64_t)json_integer_value(ttl);
	if (!net)
		return NULL;
	/* A descriptor of this process's is nothing that a client knows of. */
	if (!json_is_string(net) || options_parse_net(json_string_value(net), &ignored, NULL) ||
	    ignored.kind == NET_TAP_FD)
		return "'net' must be tap:IFNAME or stream:PATH";
	if (!has_card)
		return "'net': the guest has no network card";
	plan->net = strdup(json_string_value(net));
	return NULL;
}

static void free_plans(struct clone_plan *plans, size_t count)
{
	for (size_t i = 0; i < count; i++)
		clone_plan_finish(&plans[i]);
	free(plans);
}

void control_verb_fork(struct client *client, json_int_t id, const struct wire_message *message)
{
	const json_t *children = json_object_get(message->object, "children");
	size_t count = json_array_size(children);
	bool has_card = client->control->vm->config->net.kind != NET_NONE;
	const char *wrong = NULL;

	if (count < 1 || count > COPY_CLONES_MAX) {
		control_refuse(client, id, PROTO_ERR_BAD_REQUEST,
		               "'children' must be an array of 1 to 64 objects");
		return;
	}
	struct clone_plan *plans = calloc(count, sizeof(*plans));
	if (!plans)
		wrong = "no memory";
	for (size_t i = 0; i < count && !wrong; i++)
		wrong = read_plan(json_array_get(children, i), has_card, &plans[i]);
	struct pending *pending = wrong ? NULL : control_pend(client, id);
	if (wrong)
		control_refuse(client, id, PROTO_ERR_BAD_REQUEST, wrong);
	if (pending)
		copies_fork(client->control->vm, plans, (unsigned)count, on_forked, pending);
	else if (plans)
		free_plans(plans, count);
}

/* --- snapshot ------------------------------------------------------------------------------------ */

static void on_snapshot_begun(void *arg, const struct copy_result *result)
{
	char id[SNAPSHOT_ID_HEX_SIZE];

	snapshot_id_to_hex(&result->id, id);
	on_copied(arg, result,
	          json_pack("{s:s,s:I}", "snapshot", id, "pid",
	                    (json_int_t)(result->pid_count ? result->pids[0] : 0)));
}

void control_verb_snapshot(struct client *client, json_int_t id, const struct wire_message *message)
{
	const json_t *parent = json_object_get(message->object, "parent");
	char *path = NULL, *parent_path = NULL;

	if (message->fd < 0) {
		control_refuse(client, id, PROTO_ERR_BAD_REQUEST,
		               "a descriptor must come along, for the progress");
		return;
	}
	if (!take_path(message->object, "path", &path) ||
	    (parent && !take_path(message->object, "parent", &parent_path))) {
		free(path);
		control_refuse(client, id, PROTO_ERR_BAD_REQUEST,
		               "'path' and 'parent' must be absolute paths");
		return;
	}
	int fd = fcntl(message->fd, F_DUPFD_CLOEXEC, 3);
	struct pending *pending = fd >= 0 ? control_pend(client, id) : NULL;
	if (fd < 0)
		control_refuse(client, id, PROTO_ERR_FAILED, strerror(errno));
	if (pending) {
		copies_snapshot(client->control->vm, path, parent_path, fd, on_snapshot_begun,
		                pending);
		return;
	}
	if (fd >= 0)
		close(fd);
	free(path);
	free(parent_path);
}
