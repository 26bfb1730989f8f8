/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * facts.c - see facts.h. Pure functions.
 */
#include "supervisor/facts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "supervisor/client.h"

#define FACTS_VERSION 1

static json_t *list_relays(const struct launch_plan *plan)
{
	json_t *list = json_array();

	for (size_t i = 0; i < plan->relay_count; i++)
		json_array_append_new(list,
		                      json_pack("{s:i,s:s}", "port", (int)plan->relays[i].port,
		                                "socket", plan->relays[i].socket));
	return list;
}

static json_t *list_disks(const struct launch_plan *plan)
{
	json_t *list = json_array();

	for (size_t i = 0; i < plan->disk_count; i++)
		json_array_append_new(list, json_pack("{s:s,s:b}", "file", plan->disks[i].path,
		                                      "read_only", plan->disks[i].read_only));
	return list;
}

/* What tells one session from another. */
static json_t *describe_process(const char *name, uint64_t ttl_s, struct facts_process process)
{
	return json_pack("{s:i,s:s,s:I,s:I,s:I,s:I}", "version", FACTS_VERSION, "name", name, "pid",
	                 (json_int_t)process.pid, "start_time", (json_int_t)process.start_ticks,
	                 "started_at", (json_int_t)time(NULL), "ttl_s", (json_int_t)ttl_s);
}

json_t *facts_of_plan(const char *name, const struct launch_plan *plan,
                      struct facts_process process)
{
	json_t *facts = describe_process(name, plan->ttl_s, process);
	char size[32];
	json_t *shape;

	snprintf(size, sizeof(size), "%ux%u", plan->size.width, plan->size.height);
	shape = json_pack("{s:s,s:s*,s:s*,s:s*,s:I,s:I,s:s,s:b,s:s*,s:s*,s:s*,s:s*,s:s*}", "vmm",
	                  plan->vmm, "kernel", plan->images.kernel, "initramfs",
	                  plan->images.initramfs, "image", plan->images.image, "memory_mib",
	                  (json_int_t)plan->memory_mib, "cpus", (json_int_t)plan->cpus, "size",
	                  size, "guest_root", plan->guest_root, "page", plan->page, "append",
	                  plan->append, "net", plan->net, "mac", plan->mac, "net_rate",
	                  plan->net_rate);
	if (!facts || !shape || json_object_update(facts, shape) < 0 ||
	    json_object_set_new(facts, "relays", list_relays(plan)) < 0 ||
	    json_object_set_new(facts, "disks", list_disks(plan)) < 0 ||
	    json_object_set_new(facts, "origin",
	                        plan->origin ? json_incref(plan->origin)
	                                     : json_pack("{s:s}", "kind", "boot")) < 0) {
		json_decref(facts);
		facts = NULL;
	}
	json_decref(shape);
	return facts;
}

json_t *facts_of_fork(const json_t *parent, const struct facts_fork *fork)
{
	/* A card's back end, its address and its limit are not shared with the parent. */
	static const char *const own[] = { "net", "mac", "net_rate" };
	json_t *facts = parent ? json_copy((json_t *)parent) : json_object();
	json_t *process = describe_process(fork->name, fork->ttl_s, fork->process);

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		json_object_del(facts, own[i]);
	if (!facts || !process || json_object_update(facts, process) < 0 ||
	    json_object_set_new(facts, "origin",
	                        json_pack("{s:s,s:s}", "kind", "fork", "of", fork->parent)) < 0 ||
	    (fork->net && json_object_set_new(facts, "net", json_string(fork->net)) < 0)) {
		json_decref(facts);
		facts = NULL;
	}
	json_decref(process);
	return facts;
}

int facts_read_relays(const json_t *facts, struct launch_plan *plan)
{
	const json_t *list = json_object_get(facts, "relays");
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		struct launch_relay *relay = &plan->relays[plan->relay_count];
		json_int_t port = client_integer(item, "port", 1, UINT16_MAX, 0);
		const char *socket = client_string(item, "socket");

		if (plan->relay_count == LAUNCH_RELAYS_MAX)
			break;
		if (port == 0 || *socket != '/')
			continue;
		relay->port = (uint16_t)port;
		relay->socket = strdup(socket);
		if (!relay->socket)
			return -ENOMEM;
		plan->relay_count++;
	}
	return 0;
}

void facts_format_origin(const json_t *facts, char *out_text, size_t size)
{
	const json_t *origin = json_object_get(facts, "origin");
	const char *kind = client_string(origin, "kind");
	const char *template = client_string(origin, "template");
	const char *file = client_string(origin, "file");
	const char *slash = strrchr(file, '/');

	if (strcmp(kind, "fork") == 0)
		snprintf(out_text, size, "fork of %s", client_string(origin, "of"));
	else if (*template)
		snprintf(out_text, size, "template %s", template);
	else if (strcmp(kind, "restore") == 0)
		snprintf(out_text, size, "%s", slash ? slash + 1 : file);
	else
		snprintf(out_text, size, "%s", *kind ? kind : "boot");
	text_clean(out_text);
}
