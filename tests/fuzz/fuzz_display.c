/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_display.c - vmm/screen_pages.c and display/: the agent's display message, the XWD header that
 * it leads to, and a picture of what they agree on.
 *
 *	u8     flags
 *	u24    where the header is put
 *	u8     how much of the header comes (it is put over a good one), and its bytes
 *	then   a message as it comes over the wire; with BARE only width, height (u16) and page numbers
 */
#include <stdlib.h>

#include "display/screenshot.h"
#include "lib/wire.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/guest_ram.h"
#include "tests/unit/xwd_fixture.h"
#include "vmm/screen_pages.h"

#define BARE 1u
#define RUN 2u /* the page list is a run of pages, as many as the screen takes */
#define PICTURE 4u

void fuzz_init(void)
{
}

static void put_header(const struct guest_memory *memory, struct input *in)
{
	uint8_t header[100];
	const uint8_t *bytes;
	uint64_t where = input_number(in, 3);
	size_t size = input_u8(in);

	xwd_fill_header(header, 64, 64);
	size = input_bytes(in, size < sizeof(header) ? size : sizeof(header), &bytes);
	memcpy(header, bytes, size);
	void *to =
		guest_memory_at(memory, GPA(where & ~(uint64_t)0xfff), sizeof(header), GUEST_WRITE);
	if (to)
		memcpy(to, header, sizeof(header));
}

static void attach(const struct guest_memory *memory, const struct wire_message *message,
                   bool picture)
{
	struct framebuffer *fb = NULL;
	struct screenshot shot = { .fd = -1 };
	struct screen_pages pages = { 0 };
	struct error err = { 0 };

	if (screen_pages_read(message->object, message->blob, message->blob_size, &pages, &err)) {
		CHECK(err.code < 0 && !pages.list);
		return;
	}
	int ret = screen_pages_attach(memory, &pages, &fb, &err);
	screen_pages_finish(&pages);
	if (ret) {
		CHECK(err.code < 0 && !fb);
		return;
	}
	struct screenshot_wish wish = {
		.format = picture ? SCREENSHOT_PNG : SCREENSHOT_HASH,
	};
	CHECK(screenshot_take(fb, &wish, &shot, &err) == 0);
	CHECK(shot.width == framebuffer_width(fb) && shot.height == framebuffer_height(fb));
	screenshot_finish(&shot);
	framebuffer_destroy(fb);
}

static void attach_bare(const struct guest_memory *memory, struct input *in, uint8_t flags)
{
	struct wire_message message = WIRE_MESSAGE_INIT;
	uint64_t run[64];
	const uint8_t *pages;
	uint32_t width = input_u16(in), height = input_u16(in);

	message.object = json_pack("{s:i,s:i}", "width", width, "height", height);
	message.blob_size = input_bytes(in, in->size, &pages);
	if (flags & RUN) {
		uint64_t first = pages && message.blob_size ? pages[0] : 0;
		size_t count = ((size_t)width * height * 4 + 160 + 256 * 12 + 4095) / 4096;

		for (size_t i = 0; i < 64; i++)
			run[i] = first + i;
		message.blob_size = (count < 64 ? count : 64) * sizeof(run[0]);
		pages = (const uint8_t *)run;
	}
	if (message.blob_size) {
		message.blob = malloc(message.blob_size);
		CHECK(message.blob);
		memcpy(message.blob, pages, message.blob_size);
	}
	attach(memory, &message, flags & PICTURE);
	wire_message_finish(&message);
}

static void attach_wire(const struct guest_memory *memory, struct input *in, uint8_t flags)
{
	struct wire_message message = WIRE_MESSAGE_INIT;
	struct wire_parser parser;
	struct error err = { 0 };

	wire_parser_init(&parser);
	if (wire_parser_push(&parser, in->data, in->size, &err) == 0 &&
	    wire_parser_next(&parser, &message, &err) > 0)
		attach(memory, &message, flags & PICTURE);
	wire_message_finish(&message);
	wire_parser_finish(&parser);
}

void fuzz_one(struct input *in)
{
	const struct guest_memory *memory = guest_ram_reset();
	uint8_t flags = input_u8(in);

	put_header(memory, in);
	if (flags & BARE)
		attach_bare(memory, in, flags);
	else
		attach_wire(memory, in, flags);
}
