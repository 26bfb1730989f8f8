/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "display/png.h"

#include <errno.h>
#include <spng.h>
#include <zlib.h>

/* Measured by `make bench ONLY=shot.png`; ARCHITECTURE.md says what was tried. */
#define COMPRESSION_LEVEL 1
#define FILTERS SPNG_FILTER_CHOICE_UP

static int failed(int code, struct error *err)
{
	return error_set(err, -EIO, "PNG: %s", spng_strerror(code));
}

static int encode(spng_ctx *ctx, const uint8_t *rgb, unsigned width, unsigned height,
                  void **out_png, size_t *out_size, struct error *err)
{
	struct spng_ihdr header = { .width = width,
		                    .height = height,
		                    .bit_depth = 8,
		                    .color_type = SPNG_COLOR_TYPE_TRUECOLOR };
	int ret = spng_set_option(ctx, SPNG_ENCODE_TO_BUFFER, 1);

	if (ret == 0)
		ret = spng_set_option(ctx, SPNG_IMG_COMPRESSION_LEVEL, COMPRESSION_LEVEL);
	if (ret == 0)
		ret = spng_set_option(ctx, SPNG_FILTER_CHOICE, FILTERS);
	if (ret == 0)
		ret = spng_set_ihdr(ctx, &header);
	if (ret == 0)
		ret = spng_encode_image(ctx, rgb, (size_t)width * height * 3, SPNG_FMT_PNG,
		                        SPNG_ENCODE_FINALIZE);
	if (ret)
		return failed(ret, err);
	void *png = spng_get_png_buffer(ctx, out_size, &ret);
	if (!png)
		return failed(ret, err);
	*out_png = png;
	return 0;
}

int png_encode_rgb(const uint8_t *rgb, unsigned width, unsigned height, void **out_png,
                   size_t *out_size, struct error *err)
{
	spng_ctx *ctx = spng_ctx_new(SPNG_CTX_ENCODER);

	if (!ctx)
		return error_set(err, -ENOMEM, "PNG: no memory");
	int ret = encode(ctx, rgb, width, height, out_png, out_size, err);
	spng_ctx_free(ctx);
	return ret;
}
