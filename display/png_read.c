/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * png_read.c - see png_read.h. No state, any thread.
 */
#include "display/png_read.h"

#include <errno.h>
#include <spng.h>
#include <stdlib.h>

#include "lib/proto.h"

#define CHUNK_MAX                                                                                  \
	((size_t)1 << 20) /* bytes of a chunk that isn't pixels, and of all that are kept */

static int refuse(int code, struct error *err)
{
	return error_set(err, code == SPNG_EMEM ? -ENOMEM : -EINVAL, "%s", spng_strerror(code));
}

static int decode(spng_ctx *ctx, const void *data, size_t size, struct png_pixels *pixels,
                  struct error *err)
{
	struct spng_ihdr ihdr;
	size_t bytes;
	int ret = spng_set_image_limits(ctx, PROTO_DISPLAY_SIDE_MAX, PROTO_DISPLAY_SIDE_MAX);

	if (ret == 0)
		ret = spng_set_chunk_limits(ctx, CHUNK_MAX, CHUNK_MAX);
	if (ret == 0)
		ret = spng_set_png_buffer(ctx, data, size);
	if (ret == 0)
		ret = spng_get_ihdr(ctx, &ihdr);
	if (ret == 0)
		ret = spng_decoded_image_size(ctx, SPNG_FMT_RGBA8, &bytes);
	if (ret)
		return refuse(ret, err);
	pixels->argb = malloc(bytes);
	if (!pixels->argb)
		return refuse(SPNG_EMEM, err);
	ret = spng_decode_image(ctx, pixels->argb, bytes, SPNG_FMT_RGBA8, SPNG_DECODE_TRNS);
	if (ret)
		return refuse(ret, err);
	pixels->width = ihdr.width;
	pixels->height = ihdr.height;
	const uint8_t *rgba = (const uint8_t *)pixels->argb;
	for (size_t i = 0; i < bytes / 4; i++, rgba += 4)
		pixels->argb[i] = (uint32_t)rgba[3] << 24 | (uint32_t)rgba[0] << 16 |
		                  (uint32_t)rgba[1] << 8 | rgba[2];
	return 0;
}

int png_read(const void *data, size_t size, struct png_pixels *out_pixels, struct error *err)
{
	struct png_pixels pixels = { 0 };

	if (size > PNG_READ_MAX)
		return error_set(err, -EINVAL, "more than %zu MiB", PNG_READ_MAX >> 20);
	spng_ctx *ctx = spng_ctx_new(0);
	int ret = ctx ? decode(ctx, data, size, &pixels, err) : refuse(SPNG_EMEM, err);
	spng_ctx_free(ctx);
	if (ret) {
		free(pixels.argb);
		return ret;
	}
	*out_pixels = pixels;
	return 0;
}
