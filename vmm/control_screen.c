/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_screen.c - the verbs about what is on the screen: "screenshot", "settle", "compare" (lib/proto.h). I/O
 * thread.
 */
#include "vmm/control_client.h"

#include <string.h>

#include "lib/proto.h"
#include "vmm/picture.h"
#include "vmm/settle.h"
#include "vmm/vm.h"

#define DEFAULT_QUIET_MS 500
#define DEFAULT_SETTLE_MS 10000
#define QUIET_MAX_MS 60000

static void refuse_member(struct client *client, json_int_t id, const char *message)
{
	control_refuse(client, id, PROTO_ERR_BAD_REQUEST, message);
}

/* The numbers of the array @key, if it is there. False: it isn't @count numbers within 0..@max. */
static bool read_numbers(const json_t *object, const char *key, size_t count, json_int_t max,
                         unsigned *out)
{
	const json_t *list = json_object_get(object, key);

	if (!list)
		return true;
	if (json_array_size(list) != count)
		return false;
	for (size_t i = 0; i < count; i++) {
		const json_t *item = json_array_get(list, i);

		if (!json_is_integer(item) || json_integer_value(item) < 0 ||
		    json_integer_value(item) > max)
			return false;
		out[i] = (unsigned)json_integer_value(item);
	}
	return true;
}

/* "region" or "rect": [x,y,width,height]; not given: all 0. Whether it fits is the screen's to say. */
static bool read_area(const json_t *object, const char *key, struct rectangle *out_area)
{
	unsigned n[4] = { 0 };

	if (!read_numbers(object, key, 4, PROTO_DISPLAY_SIDE_MAX, n))
		return false;
	if (json_object_get(object, key) && (n[2] == 0 || n[3] == 0))
		return false;
	*out_area = (struct rectangle){ n[0], n[1], n[2], n[3] };
	return true;
}

/* A whole number of 1..@max; not given: as it is. */
static bool read_number(const json_t *object, const char *key, json_int_t max, uint64_t *number)
{
	const json_t *member = json_object_get(object, key);

	if (!member)
		return true;
	if (!json_is_integer(member) || json_integer_value(member) < 1 ||
	    json_integer_value(member) > max)
		return false;
	*number = (uint64_t)json_integer_value(member);
	return true;
}

static void on_picture(void *arg, json_t *reply, int fd)
{
	struct pending *pending = arg;

	json_object_set_new(reply, "id", json_integer(control_pending_id(pending)));
	control_complete(pending, reply, NULL, 0, fd);
}

static void on_settled(void *arg, json_t *reply)
{
	on_picture(arg, reply, -1);
}

void control_verb_screenshot(struct client *client, json_int_t id,
                             const struct wire_message *message)
{
	const json_t *object = message->object, *member = json_object_get(object, "format");
	const char *name = member ? json_string_value(member) : "png";
	struct screenshot_wish wish = { 0 };
	uint64_t max_width = 0;

	if (!name || screenshot_parse_format(name, &wish.format)) {
		refuse_member(client, id, "'format' must be png, rgb or hash");
		return;
	}
	if (!read_area(object, "region", &wish.region)) {
		refuse_member(client, id, "'region' must be [x,y,width,height]");
		return;
	}
	if (!read_number(object, "max_width", UINT32_MAX, &max_width) ||
	    !read_number(object, "max_pixels", UINT32_MAX, &wish.max_pixels)) {
		refuse_member(client, id, "'max_width' and 'max_pixels' must be 1 or more");
		return;
	}
	wish.max_width = (unsigned)max_width;
	struct pending *pending = control_pend(client, id);
	if (pending)
		picture_shoot(client->control->vm, &wish, on_picture, pending);
}

void control_verb_settle(struct client *client, json_int_t id, const struct wire_message *message)
{
	const json_t *object = message->object;
	struct settle_wish wish = { .quiet_ms = DEFAULT_QUIET_MS, .timeout_ms = DEFAULT_SETTLE_MS };

	if (!read_number(object, "quiet_ms", QUIET_MAX_MS, &wish.quiet_ms)) {
		refuse_member(client, id, "'quiet_ms' must be 1 to 60000");
		return;
	}
	if (!read_number(object, "timeout_ms", PROTO_TIMEOUT_MAX_MS, &wish.timeout_ms)) {
		refuse_member(client, id, "'timeout_ms' must be 1 to 3600000");
		return;
	}
	if (!read_area(object, "rect", &wish.area)) {
		refuse_member(client, id, "'rect' must be [x,y,width,height]");
		return;
	}
	struct pending *pending = control_pend(client, id);
	if (pending)
		settle(client->control->vm->settling, &wish, on_settled, pending);
}

/* What a comparison is about: "rect", or the one pixel of "point". */
static bool read_place(const json_t *object, struct rectangle *out_area)
{
	unsigned point[2] = { 0 };

	if (!json_object_get(object, "point"))
		return read_area(object, "rect", out_area);
	if (json_object_get(object, "rect") ||
	    !read_numbers(object, "point", 2, PROTO_DISPLAY_SIDE_MAX, point))
		return false;
	*out_area = (struct rectangle){ point[0], point[1], 1, 1 };
	return true;
}

void control_verb_compare(struct client *client, json_int_t id, const struct wire_message *message)
{
	const json_t *object = message->object;
	const json_t *against = json_object_get(object, "against");
	const json_t *picture = json_object_get(object, "picture");
	const json_t *name = json_object_get(object, "name");
	struct comparison_wish wish = {
		.frame = json_string_value(json_object_get(object, "frame")),
		.against = json_string_value(against),
		.picture = json_is_true(picture),
		.unnamed = json_is_false(name),
	};

	if (!wish.frame || (against && !wish.against)) {
		refuse_member(client, id,
		              "'frame', and 'against' if given, must be a frame's name");
		return;
	}
	if (!read_place(object, &wish.area)) {
		refuse_member(client, id,
		              "'rect' must be [x,y,width,height], or 'point' [x,y], not both");
		return;
	}
	if ((picture && !json_is_boolean(picture)) || (wish.picture && wish.against)) {
		refuse_member(client, id,
		              "'picture' must be a boolean; it is of the screen now: not with "
		              "'against'");
		return;
	}
	if (name && !json_is_boolean(name)) {
		refuse_member(client, id, "'name' must be a boolean");
		return;
	}
	struct pending *pending = control_pend(client, id);
	if (pending)
		picture_compare(client->control->vm, &wish, on_picture, pending);
}
