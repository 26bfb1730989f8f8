/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_frame.c - see actions_frame.h. Pure.
 */
#include "supervisor/actions_frame.h"

#include <stdio.h>
#include <string.h>

#include "lib/proto.h"

struct action_view action_view_of_screen(uint32_t width, uint32_t height)
{
	return (struct action_view){ width, height, { 0, 0 }, width, height };
}

static bool view_ok(const struct action_view *v)
{
	const uint32_t most = PROTO_DISPLAY_SIDE_MAX;

	return v->width >= 1 && v->width <= most && v->height >= 1 && v->height <= most &&
	       v->of_width >= 1 && v->of_width <= most && v->of_height >= 1 &&
	       v->of_height <= most && v->origin.x <= most - v->of_width &&
	       v->origin.y <= most - v->of_height;
}

bool action_frame_parse(const char *text, struct action_frame *out_frame)
{
	struct action_frame frame = { 0 };
	struct action_view *v = &frame.view;
	size_t size = strcspn(text, "@");
	char name[ACTION_FRAME_MAX];

	if (size == 0 || size >= sizeof(frame.id) || strspn(text, "0123456789abcdef-") != size)
		return false;
	memcpy(frame.id, text, size);
	frame.has_view = text[size] == '@';
	if (frame.has_view &&
	    (sscanf(text + size, "@%4ux%4u/%4ux%4u+%4u+%4u", &v->width, &v->height, &v->of_width,
	            &v->of_height, &v->origin.x, &v->origin.y) != 6 ||
	     !view_ok(v)))
		return false;
	/* sscanf() takes signs, blanks and what follows; a frame's name has one form. */
	action_frame_name(&frame, frame.id, name);
	if (strcmp(name, text) != 0)
		return false;
	*out_frame = frame;
	return true;
}

void action_frame_name(const struct action_frame *frame, const char *id,
                       char out_name[ACTION_FRAME_MAX])
{
	const struct action_view *v = &frame->view;

	if (frame->has_view)
		snprintf(out_name, ACTION_FRAME_MAX, "%s@%ux%u/%ux%u+%u+%u", id, v->width,
		         v->height, v->of_width, v->of_height, v->origin.x, v->origin.y);
	else
		snprintf(out_name, ACTION_FRAME_MAX, "%s", id);
}

struct action_point action_view_place(const struct action_view *view, struct action_point pixel)
{
	return (struct action_point){
		view->origin.x + (2 * pixel.x + 1) * view->of_width / (2 * view->width),
		view->origin.y + (2 * pixel.y + 1) * view->of_height / (2 * view->height),
	};
}

/* From @begin and as long as @length, on a side of @from pixels that shows one of @to. */
static void stretch(uint32_t begin, uint32_t length, uint32_t from, uint32_t to,
                    uint32_t *out_begin, uint32_t *out_length)
{
	uint32_t end = ((begin + length) * to + from - 1) / from;

	*out_begin = begin * to / from;
	*out_length = end - *out_begin;
}

void action_view_place_rectangle(const struct action_view *view, const uint32_t rectangle[4],
                                 uint32_t out_rectangle[4])
{
	stretch(rectangle[0], rectangle[2], view->width, view->of_width, &out_rectangle[0],
	        &out_rectangle[2]);
	stretch(rectangle[1], rectangle[3], view->height, view->of_height, &out_rectangle[1],
	        &out_rectangle[3]);
	out_rectangle[0] += view->origin.x;
	out_rectangle[1] += view->origin.y;
}

/* What of @begin and @length lies in the part of @part pixels that begins at @origin. */
static bool clip(uint32_t *begin, uint32_t *length, uint32_t origin, uint32_t part)
{
	uint32_t end = *begin + *length;

	if (*begin < origin)
		*begin = origin;
	if (end > origin + part)
		end = origin + part;
	if (end <= *begin)
		return false;
	*length = end - *begin;
	*begin -= origin;
	return true;
}

json_t *action_view_show(const struct action_view *view, const json_t *rectangles)
{
	json_t *shown = json_array();
	size_t index;
	json_t *item;

	json_array_foreach(rectangles, index, item)
	{
		uint32_t r[4];
		uint32_t s[4];

		if (!shot_rectangle(item, r) ||
		    !clip(&r[0], &r[2], view->origin.x, view->of_width) ||
		    !clip(&r[1], &r[3], view->origin.y, view->of_height))
			continue;
		stretch(r[0], r[2], view->of_width, view->width, &s[0], &s[2]);
		stretch(r[1], r[3], view->of_height, view->height, &s[1], &s[3]);
		json_array_append_new(shown,
		                      json_pack("[I,I,I,I]", (json_int_t)s[0], (json_int_t)s[1],
		                                (json_int_t)s[2], (json_int_t)s[3]));
	}
	return shown;
}
