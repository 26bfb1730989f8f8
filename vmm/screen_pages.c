/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/screen_pages.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/proto.h"

static int resolve(const struct guest_memory *memory, const uint8_t *blob, size_t count,
                   const void **out_pages, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t gfn;

		memcpy(&gfn, blob + i * sizeof(gfn), sizeof(gfn));
		gfn = le64toh(gfn);
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

int screen_pages_attach(const struct guest_memory *memory, const json_t *reply, const void *blob,
                        size_t blob_size, struct framebuffer **out_fb, struct error *err)
{
	json_int_t width = json_integer_value(json_object_get(reply, "width"));
	json_int_t height = json_integer_value(json_object_get(reply, "height"));
	size_t count = blob_size / sizeof(uint64_t);

	if (width < 0 || width > PROTO_DISPLAY_SIDE_MAX || height < 0 ||
	    height > PROTO_DISPLAY_SIDE_MAX)
		return error_set(err, -EINVAL, "display: the announced size is no possible screen");
	if (count == 0 || count > PROTO_DISPLAY_PAGES_MAX || blob_size % sizeof(uint64_t))
		return error_set(err, -EINVAL, "display: a page list of %zu bytes", blob_size);
	cleanup_free const void **pages = calloc(count, sizeof(*pages));
	if (!pages)
		return error_set(err, -ENOMEM, "display: no memory for the page list");
	int ret = resolve(memory, blob, count, pages, err);
	if (ret)
		return ret;
	return framebuffer_create(pages, count, (unsigned)width, (unsigned)height, out_fb, err);
}
