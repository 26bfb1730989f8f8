/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay_html.c - `cloche replay --html`: a recording as one page. Single thread.
 *
 * The page is replay_page.html with the recording put into its middle, in the form that is told there. It is
 * written as the recording is read: memory is taken for a sheet of rows and the events between two sheets.
 */
#include "supervisor/replay.h"

#include <stdlib.h>
#include <string.h>

#include "display/deflate.h"
#include "display/pixels.h"
#include "display/png.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "supervisor/hostfile.h"
#include "supervisor/output.h"
#include "supervisor/recording_describe.h"

#define ATLAS_ROWS 8192u
#define ATLAS_COLUMN 512u /* rows of a column */
#define ATLAS_WIDTH (ATLAS_ROWS / ATLAS_COLUMN * ROW_PIXELS)
#define EVENTS_PIECE ((size_t)512 << 10)
#define ACTIONS_PIECE 500u
#define MARK "<!--DATA-->"

/* The page's text, with a NUL behind it. */
extern const char replay_page[];
__asm__(".section .rodata\n"
        ".global replay_page\n"
        ".hidden replay_page\n"
        "replay_page:\n"
        ".incbin \"supervisor/replay_page.html\"\n"
        ".byte 0\n"
        ".previous\n");

struct page {
	const struct invocation *inv; /* borrowed */
	struct recording *recording;  /* borrowed */
	struct hostfile file;
	const char *path;
	struct failure *failure;
	uint8_t *rgb;  /* owned: the sheet in the making */
	uint32_t rows; /* of all that have come */
	struct wire_writer events;
	json_t *actions; /* owned */
};

/* --- pieces of the page ---------------------------------------------------------------------- */

static int put(struct page *page, const char *text, size_t size)
{
	return output_write(page->file.fd, text, size, page->path, page->failure);
}

static int put_script(struct page *page, const char *attributes, const char *text)
{
	return put(page, "<script ", 8) < 0 || put(page, attributes, strlen(attributes)) < 0 ||
	                       put(page, ">", 1) < 0 || put(page, text, strlen(text)) < 0 ||
	                       put(page, "</script>\n", 10) < 0
	               ? -1
	               : 0;
}

static int put_base64(struct page *page, const char *attributes, const void *data, size_t size)
{
	cleanup_free char *text = output_base64(data, size);

	return text ? put_script(page, attributes, text) : failure_set_nomem(page->failure);
}

/* JSON that ends no script element, whatever its strings say. Steals @object. */
static int put_json(struct page *page, const char *attributes, json_t *object)
{
	cleanup_free char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
	cleanup_free char *safe = text ? malloc(strlen(text) * 6 + 1) : NULL;
	char *out = safe;

	json_decref(object);
	if (!safe)
		return failure_set_nomem(page->failure);
	for (const char *c = text; *c; c++) {
		if (*c == '<' || *c == '>' || *c == '&')
			out += sprintf(out, "\\u%04x", (unsigned)*c);
		else
			*out++ = *c;
	}
	*out = '\0';
	return put_script(page, attributes, safe);
}

static int put_events(struct page *page)
{
	struct wire_writer *events = &page->events;

	if (events->failed)
		return failure_set_nomem(page->failure);
	if (events->size == 0)
		return 0;
	cleanup_free void *work = calloc(1, deflate_work_size);
	cleanup_free uint8_t *packed = malloc(deflate_bound(events->size));
	if (!work || !packed)
		return failure_set_nomem(page->failure);
	size_t size = deflate_pack(events->data, events->size, work, packed);
	events->size = 0;
	return put_base64(page, "type=\"text/plain\" class=\"events\"", packed, size);
}

static int put_actions(struct page *page)
{
	json_t *actions = page->actions;

	page->actions = json_array();
	if (!page->actions || !actions) {
		json_decref(actions);
		return failure_set_nomem(page->failure);
	}
	return put_json(page, "type=\"application/json\" class=\"actions\"", actions);
}

/* --- rows ------------------------------------------------------------------------------------ */

/* Writes the sheet of which @rows have come, and begins a new one. */
static int put_atlas(struct page *page, uint32_t rows)
{
	unsigned columns = (rows + ATLAS_COLUMN - 1) / ATLAS_COLUMN;
	unsigned height = rows < ATLAS_COLUMN ? rows : ATLAS_COLUMN;
	unsigned width = columns * ROW_PIXELS;
	cleanup_free uint8_t *cut = malloc((size_t)width * height * 3);
	cleanup_free void *png = NULL;
	struct error err = { 0 };
	size_t size;

	if (!cut)
		return failure_set_nomem(page->failure);
	for (unsigned y = 0; y < height; y++)
		memcpy(cut + (size_t)y * width * 3, page->rgb + (size_t)y * ATLAS_WIDTH * 3,
		       (size_t)width * 3);
	memset(page->rgb, 0, (size_t)ATLAS_WIDTH * ATLAS_COLUMN * 3);
	if (png_encode_rgb(cut, width, height, &png, &size, &err))
		return failure_set_nomem(page->failure);
	return put_base64(page, "type=\"text/plain\" class=\"atlas\"", png, size);
}

static int add_rows(struct page *page, const struct recording_content *content)
{
	for (uint32_t i = 0; i < content->rows; i++) {
		uint32_t at = page->rows % ATLAS_ROWS;
		const uint32_t *pixels = content->pixels + (size_t)i * ROW_PIXELS;
		uint8_t *out = page->rgb + ((size_t)(at % ATLAS_COLUMN) * ATLAS_WIDTH +
		                            at / ATLAS_COLUMN * ROW_PIXELS) *
		                                   3;

		pixels_to_rgb(pixels, ROW_PIXELS, out);
		if (++page->rows % ATLAS_ROWS == 0 && put_atlas(page, ATLAS_ROWS) < 0)
			return -1;
	}
	return 0;
}

/* --- events ---------------------------------------------------------------------------------- */

static void begin_event(struct page *page, uint8_t kind, uint64_t time_ns)
{
	wire_put_u8(&page->events, kind);
	wire_put_u32(&page->events, (uint32_t)(time_ns / NS_PER_MS));
}

static void add_screen(struct page *page, const struct recording_event *event)
{
	begin_event(page, 1, event->time_ns);
	wire_put_u16(&page->events, (uint16_t)event->width);
	wire_put_u16(&page->events, (uint16_t)event->height);
}

static void add_tiles(struct page *page, const struct recording_content *content)
{
	for (uint32_t i = 0; i < content->tiles; i++) {
		wire_put_u8(&page->events, (uint8_t)(content->starts[i + 1] - content->starts[i]));
		for (uint32_t k = content->starts[i]; k < content->starts[i + 1]; k++)
			wire_put_u32(&page->events, content->runs[k]);
	}
}

static int add_frame(struct page *page, const struct recording_event *event)
{
	const struct recording_content *content = NULL;
	struct error err = { 0 };

	if (recording_get_content(page->recording, &content, &err))
		return replay_failed(&err, page->failure);
	begin_event(page, 2, event->time_ns);
	wire_put_u16(&page->events, event->fields.tiles);
	wire_put_u16(&page->events, (uint16_t)event->place_count);
	if (content)
		add_tiles(page, content);
	for (size_t i = 0; i < event->place_count; i++) {
		wire_put_u16(&page->events, (uint16_t)event->places[2 * i]);
		wire_put_u32(&page->events, event->places[2 * i + 1]);
	}
	return content ? add_rows(page, content) : 0;
}

static int add_action(struct page *page, const struct recording_event *event)
{
	char line[ACTION_LINE_SIZE];

	recording_describe(event->text, event->text_size, line);
	json_array_append_new(page->actions,
	                      json_pack("[I,s]", (json_int_t)(event->time_ns / NS_PER_MS), line));
	return json_array_size(page->actions) < ACTIONS_PIECE ? 0 : put_actions(page);
}

static int add_event(struct page *page, const struct recording_event *event)
{
	int ret = 0;

	if (event->kind == RECORDING_SCREEN)
		add_screen(page, event);
	else if (event->kind == RECORDING_FRAME)
		ret = add_frame(page, event);
	else
		ret = add_action(page, event);
	if (ret == 0 && page->events.size > EVENTS_PIECE)
		ret = put_events(page);
	return ret;
}

static int put_recording(struct page *page)
{
	const struct recording_info *info = recording_info(page->recording);
	struct recording_event event;
	struct error err = { 0 };
	int ret;

	if (put_json(page, "type=\"application/json\" id=\"info\"",
	             json_pack("{s:s,s:I,s:I,s:b}", "name", info->header.name, "begun",
	                       (json_int_t)(info->header.begun_ns / NS_PER_MS), "duration",
	                       (json_int_t)(info->duration_ns / NS_PER_MS), "whole", info->whole)) <
	    0)
		return -1;
	recording_rewind(page->recording);
	while ((ret = recording_next(page->recording, &event, &err)) > 0) {
		if (add_event(page, &event) < 0)
			return -1;
		output_progress(page->inv, "%llu s of %llu s",
		                (unsigned long long)(event.time_ns / NS_PER_S),
		                (unsigned long long)(info->duration_ns / NS_PER_S));
	}
	output_progress_clear(page->inv);
	if (ret < 0)
		return replay_failed(&err, page->failure);
	if (page->rows % ATLAS_ROWS && put_atlas(page, page->rows % ATLAS_ROWS) < 0)
		return -1;
	return put_events(page) < 0 || put_actions(page) < 0 ? -1 : 0;
}

static int write_page(struct page *page)
{
	const char *mark = strstr(replay_page, MARK);

	if (put(page, replay_page, (size_t)(mark - replay_page)) < 0 || put_recording(page) < 0)
		return -1;
	return put(page, mark + strlen(MARK), strlen(mark + strlen(MARK)));
}

int replay_html(const struct invocation *inv, struct recording *recording, const char *path,
                struct failure *failure)
{
	struct page page = { .inv = inv,
		             .recording = recording,
		             .path = path,
		             .failure = failure,
		             .file = HOSTFILE_INIT };

	page.rgb = calloc((size_t)ATLAS_WIDTH * ATLAS_COLUMN, 3);
	page.actions = json_array();
	int ret = page.rgb && page.actions ? hostfile_begin(path, &page.file, failure)
	                                   : failure_set_nomem(failure);
	if (ret == 0)
		ret = write_page(&page);
	/* As private as the recording: it shows the same. */
	if (ret == 0)
		ret = hostfile_commit(&page.file, 0600, failure);
	hostfile_finish(&page.file);
	free(page.rgb);
	wire_writer_finish(&page.events);
	json_decref(page.actions);
	return ret;
}
