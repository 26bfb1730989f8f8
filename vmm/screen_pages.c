/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/screen_pages.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/proto.h"

void screen_pages_finish(struct screen_pages *pages)
{
	free(pages->list);
	*pages = (struct screen_pages){ 0 };
}

int screen_pages_copy(const void *blob, size_t size, struct screen_pages *pages, struct error *err)
{
	size_t count = size / sizeof(uint64_t);

	if (count == 0 || count > PROTO_DISPLAY_PAGES_MAX || size % sizeof(uint64_t))
		return error_set(err, -EINVAL, "display: a page list of %zu bytes", size);
	uint64_t *list = malloc(size);
	if (!list)
		return error_set(err, -ENOMEM, "display: no memory for the page list");
	memcpy(list, blob, size);
	pages->list = list;
	pages->count = count;
	return 0;
}

int screen_pages_read(const json_t *reply, const void *blob, size_t blob_size,
                      struct screen_pages *out_pages, struct error *err)
{
	json_int_t width = json_integer_value(json_object_get(reply, "width"));
	json_int_t height = json_integer_value(json_object_get(reply, "height"));
	struct screen_pages pages = { 0 };

	if (width < 0 || width > PROTO_DISPLAY_SIDE_MAX || height < 0 ||
	    height > PROTO_DISPLAY_SIDE_MAX)
		return error_set(err, -EINVAL, "display: the announced size is no possible screen");
	pages.width = (unsigned)width;
	pages.height = (unsigned)height;
	int ret = screen_pages_copy(blob, blob_size, &pages, err);
	if (ret == 0)
		*out_pages = pages;
	return ret;
}

static int resolve(const struct guest_memory *memory, const struct screen_pages *pages,
                   const void **out_pages, struct error *err)
{
	for (size_t i = 0; i < pages->count; i++) {
		uint64_t gfn = le64toh(pages->list[i]);

		if (gfn > UINT64_MAX / GUEST_PAGE_SIZE)
			return error_set(err, -EINVAL, "display: page %zu is outside RAM", i);
		/* GUEST_WRITE: the screen lies in RAM, not in the root image. */
		out_pages[i] = guest_memory_at(memory, GPA(gfn * GUEST_PAGE_SIZE), GUEST_PAGE_SIZE,
		                               GUEST_WRITE);
		if (!out_pages[i])
			return error_set(err, -EINVAL, "display: page %zu is outside RAM", i);
	}
	return 0;
}

int screen_pages_attach(const struct guest_memory *memory, const struct screen_pages *pages,
                        struct framebuffer **out_fb, struct error *err)
{
	cleanup_free const void **host = calloc(pages->count, sizeof(*host));

	if (!host)
		return error_set(err, -ENOMEM, "display: no memory for the page list");
	int ret = resolve(memory, pages, host, err);
	if (ret)
		return ret;
	return framebuffer_create(host, pages->count, pages->width, pages->height, out_fb, err);
}
