/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_compare.c - `cloche compare`: what on the screen has changed since a frame, in words and as a picture. Single
 * thread.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/proto.h"
#include "supervisor/hostfile.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/parse.h"
#include "supervisor/shot.h"

#define COMPARE_TIMEOUT_MS 10000u

struct comparison {
	const char *name, *frame, *against; /* borrowed; .against may be NULL */
	const char *file;                   /* borrowed; NULL: no picture */
	struct region area;                 /* .width 0: all of the screen */
};

static json_t *request(const struct comparison *c)
{
	json_t *object = json_pack("{s:s,s:s,s:s*}", "verb", "compare", "frame", c->frame,
	                           "against", c->against);

	if (c->area.width)
		json_object_set_new(object, "rect",
		                    json_pack("[I,I,I,I]", (json_int_t)c->area.x,
		                              (json_int_t)c->area.y, (json_int_t)c->area.width,
		                              (json_int_t)c->area.height));
	if (c->file)
		json_object_set_new(object, "picture", json_true());
	return object;
}

static int save_picture(const struct wire_message *reply, struct hostfile *file, const char *path,
                        struct failure *failure)
{
	cleanup_free uint8_t *png = NULL;
	size_t size =
		(size_t)client_integer(reply->object, "size", 1, (json_int_t)SHOT_SIZE_MAX, 0);

	if (shot_read(reply->fd, size, &png, failure) < 0 ||
	    output_write(file->fd, png, size, path, failure) < 0)
		return -1;
	return hostfile_commit(file, hostfile_default_mode(), failure);
}

/* A line a rectangle. */
static void tell(const json_t *reply)
{
	size_t i;
	json_t *item;

	if (!json_is_true(json_object_get(reply, "changed")))
		puts("nothing has changed");
	json_array_foreach(json_object_get(reply, "rects"), i, item)
	{
		uint32_t r[4];

		if (shot_rectangle(item, r))
			printf("%u,%u,%u,%u\n", r[0], r[1], r[2], r[3]);
	}
}

static int compare(struct invocation *inv, const struct comparison *c, struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_client struct client client = CLIENT_INIT;
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	cleanup_hostfile struct hostfile file = HOSTFILE_INIT;
	json_t *answer;

	if (session_open(c->name, &session, failure) < 0 ||
	    client_open(&client, &session, failure) < 0 ||
	    (c->file && hostfile_begin(c->file, &file, failure) < 0) ||
	    client_call(&client, request(c), NULL, 0, COMPARE_TIMEOUT_MS, &reply, failure) < 0 ||
	    (c->file && save_picture(&reply, &file, c->file, failure) < 0))
		return -1;
	if (!inv->json) {
		tell(reply.object);
		return STATUS_OK;
	}
	answer = output_answer_new();
	json_object_update_new(answer,
	                       json_pack("{s:O*,s:O*,s:O*,s:s*}", "changed",
	                                 json_object_get(reply.object, "changed"), "rects",
	                                 json_object_get(reply.object, "rects"), "frame",
	                                 json_object_get(reply.object, "frame"), "file", c->file));
	output_answer(answer);
	return STATUS_OK;
}

int command_compare(struct invocation *inv, struct failure *failure)
{
	struct comparison c = { 0 };
	const char *region = NULL;
	const struct option options[] = {
		{ "against", 0, OPTION_STRING, &c.against, "FRAME",
		  "with this one instead of the screen now", 0, 0 },
		{ "region", 0, OPTION_STRING, &region, "X,Y,W,H",
		  "only in this piece of the screen, in pixels", 0, 0 },
	};
	struct arguments arguments;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 2, 3, false }, &arguments, failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (region && parse_region("--region", region, &c.area, failure) < 0)
		return -1;
	c.name = arguments.items[0];
	c.frame = arguments.items[1];
	c.file = arguments.count > 2 ? arguments.items[2] : NULL;
	if (c.file && c.against)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "a picture is of the screen now: leave out --against or %s",
		                   c.file);
	return compare(inv, &c, failure);
}
