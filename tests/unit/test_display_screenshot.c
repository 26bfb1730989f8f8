/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_display_screenshot.c - from guest pages to a sealed file, in each format.
 *
 * Wraps memfd_create and write: kernels that don't know MFD_NOEXEC_SEAL, interrupted and short
 * writes, no space.
 */
#include "tests/unit/xwd_fixture.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "display/memfile.h"
#include "display/screenshot.h"
#include "display/tiles.h"

static bool old_kernel, no_space;
static unsigned writes;
static size_t write_max;

int __real_memfd_create(const char *name, unsigned int flags);
ssize_t __real_write(int fd, const void *data, size_t size);
int __wrap_memfd_create(const char *name, unsigned int flags);
ssize_t __wrap_write(int fd, const void *data, size_t size);

int __wrap_memfd_create(const char *name, unsigned int flags)
{
	if (old_kernel && flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
		errno = EINVAL;
		return -1;
	}
	return __real_memfd_create(name, flags);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	if (write_max > 0 && writes++ % 2) {
		errno = EINTR;
		return -1;
	}
	if (no_space) {
		errno = ENOSPC;
		return -1;
	}
	return __real_write(fd, data, write_max > 0 && size > write_max ? write_max : size);
}

static int open_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static struct framebuffer *open_screen(struct xwd_fixture *file)
{
	struct framebuffer *fb;

	xwd_fixture_open(file, 321, 123, 160, 256, 4 * 321);
	assert_int_equal(framebuffer_create(file->pages, file->count, 321, 123, &fb, NULL), 0);
	return fb;
}

static int take(const struct framebuffer *fb, enum screenshot_format format,
                struct screenshot *out_shot, struct error *err)
{
	return screenshot_take(fb, &(struct screenshot_wish){ .format = format }, out_shot, err);
}

static void check_sealed(int fd, size_t size)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, size);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(__real_write(fd, "x", 1), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, (off_t)size + 1), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
}

static void test_formats(void **state)
{
	struct xwd_fixture file;
	struct framebuffer *fb = open_screen(&file);
	uint8_t *rgb = xwd_expected_rgb(&file);
	size_t rgb_size = (size_t)3 * 321 * 123;
	struct screenshot shot;
	uint8_t signature[8];

	(void)state;
	assert_int_equal(take(fb, SCREENSHOT_HASH, &shot, NULL), 0);
	assert_int_equal(shot.fd, -1);
	assert_int_equal(shot.size, 0);
	assert_int_equal(shot.width, 321);
	assert_int_equal(shot.height, 123);
	assert_true(shot.hash == XXH3_64bits(rgb, rgb_size));
	screenshot_finish(&shot);

	assert_int_equal(take(fb, SCREENSHOT_RGB, &shot, NULL), 0);
	assert_true(shot.hash == XXH3_64bits(rgb, rgb_size));
	assert_int_equal(shot.size, rgb_size);
	check_sealed(shot.fd, rgb_size);
	void *mapped = mmap(NULL, rgb_size, PROT_READ, MAP_SHARED, shot.fd, 0);
	assert_true(mapped != MAP_FAILED);
	assert_memory_equal(mapped, rgb, rgb_size);
	munmap(mapped, rgb_size);
	screenshot_finish(&shot);
	assert_int_equal(shot.fd, -1);

	assert_int_equal(take(fb, SCREENSHOT_PNG, &shot, NULL), 0);
	check_sealed(shot.fd, shot.size);
	assert_int_equal(pread(shot.fd, signature, 8, 0), 8);
	assert_memory_equal(signature, "\x89PNG\r\n\x1a\n", 8);
	assert_true(shot.hash == XXH3_64bits(rgb, rgb_size));
	screenshot_finish(&shot);

	free(rgb);
	framebuffer_destroy(fb);
	xwd_fixture_close(&file);
}

static void test_hash_follows_pixels(void **state)
{
	struct xwd_fixture file;
	struct framebuffer *fb = open_screen(&file);
	struct screenshot before, after;
	size_t last = file.offset + (size_t)file.stride * file.height - 4;

	(void)state;
	assert_int_equal(take(fb, SCREENSHOT_HASH, &before, NULL), 0);
	/* The unused byte of a pixel is no colour; the blue one is. */
	*xwd_byte(&file, last + 3) ^= 1;
	assert_int_equal(take(fb, SCREENSHOT_HASH, &after, NULL), 0);
	assert_true(before.hash == after.hash);
	screenshot_finish(&after);
	*xwd_byte(&file, last) ^= 1;
	assert_int_equal(take(fb, SCREENSHOT_HASH, &after, NULL), 0);
	assert_true(before.hash != after.hash);
	screenshot_finish(&before);
	screenshot_finish(&after);
	framebuffer_destroy(fb);
	xwd_fixture_close(&file);
}

/* A piece, and a smaller picture of it. */
static void test_regions(void **state)
{
	static const struct {
		const char *name;
		struct screenshot_wish wish;
		unsigned width, height;
		int rc;
	} rows[] = {
		{ "piece", { .region = { 10, 20, 30, 40 } }, 30, 40, 0 },
		{ "last pixel", { .region = { 320, 122, 1, 1 } }, 1, 1, 0 },
		{ "narrower", { .max_width = 160 }, 160, 61, 0 },
		{ "wider isn't wider", { .max_width = 4000, .max_pixels = 1u << 30 }, 321, 123, 0 },
		{ "fewer pixels", { .max_pixels = 1000 }, 50, 19, 0 },
		{ "piece, narrower", { .region = { 1, 2, 100, 50 }, .max_width = 10 }, 10, 5, 0 },
		{ "beyond", { .region = { 300, 0, 22, 10 } }, 0, 0, -ERANGE },
		{ "flat", { .region = { 0, 0, 10, 0 } }, 0, 0, -ERANGE },
	};
	struct xwd_fixture file;
	struct framebuffer *fb = open_screen(&file);
	struct tiles *tiles;

	(void)state;
	assert_int_equal(tiles_create(321, 123, &tiles), 0);
	tiles_scan(tiles, fb);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct screenshot_wish wish = rows[i].wish;
		struct screenshot shot = { .fd = -7 };
		struct error err = { 0 };

		wish.format = SCREENSHOT_RGB;
		assert_row(rows[i].name, screenshot_take(fb, &wish, &shot, &err) == rows[i].rc);
		assert_row(rows[i].name, err.code == rows[i].rc);
		if (rows[i].rc) {
			assert_row(rows[i].name, shot.fd == -7);
			continue;
		}
		assert_row(rows[i].name, shot.width == rows[i].width);
		assert_row(rows[i].name, shot.height == rows[i].height);
		check_sealed(shot.fd, (size_t)3 * shot.width * shot.height);
		assert_true(shot.size == (size_t)3 * shot.width * shot.height);
		/* Whatever is shown, the tiles are the whole screen's. */
		assert_int_equal(shot.grid.width, 321);
		assert_memory_equal(shot.hashes, tiles_hashes(tiles),
		                    tiles_count(tiles) * sizeof(*shot.hashes));
		screenshot_finish(&shot);
	}
	struct screenshot_wish piece = { .format = SCREENSHOT_RGB, .region = { 7, 9, 2, 1 } };
	struct screenshot shot;
	uint8_t rgb[6];
	assert_int_equal(screenshot_take(fb, &piece, &shot, NULL), 0);
	assert_int_equal(pread(shot.fd, rgb, 6, 0), 6);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(rgb[i], xwd_color(7 + i / 3, 9) >> (16 - 8 * (i % 3)) & 0xff);
	assert_true(shot.hash == XXH3_64bits(rgb, 6));
	screenshot_finish(&shot);
	tiles_destroy(tiles);
	framebuffer_destroy(fb);
	xwd_fixture_close(&file);
}

static void test_hard_times(void **state)
{
	struct xwd_fixture file;
	struct framebuffer *fb = open_screen(&file);
	struct screenshot shot = { .fd = -7 };
	struct error err = { 0 };
	int before = open_fds();

	(void)state;
	old_kernel = true;
	write_max = 1000;
	assert_int_equal(take(fb, SCREENSHOT_RGB, &shot, &err), 0);
	check_sealed(shot.fd, (size_t)3 * 321 * 123);
	screenshot_finish(&shot);
	old_kernel = false;
	write_max = 0;

	shot.fd = -7;
	no_space = true;
	assert_int_equal(take(fb, SCREENSHOT_RGB, &shot, &err), -ENOSPC);
	assert_int_equal(take(fb, SCREENSHOT_PNG, &shot, &err), -ENOSPC);
	no_space = false;
	assert_int_equal(err.code, -ENOSPC);
	assert_int_equal(shot.fd, -7);
	assert_int_equal(open_fds(), before);
	framebuffer_destroy(fb);
	xwd_fixture_close(&file);
}

static void test_format_names(void **state)
{
	static const struct {
		const char *name;
		int rc;
		enum screenshot_format format;
	} rows[] = {
		{ "png", 0, SCREENSHOT_PNG },       { "rgb", 0, SCREENSHOT_RGB },
		{ "hash", 0, SCREENSHOT_HASH },     { "", -EINVAL, SCREENSHOT_PNG },
		{ "PNG", -EINVAL, SCREENSHOT_PNG }, { "pngx", -EINVAL, SCREENSHOT_PNG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum screenshot_format format = SCREENSHOT_PNG;

		assert_row(rows[i].name,
		           screenshot_parse_format(rows[i].name, &format) == rows[i].rc);
		assert_row(rows[i].name, format == rows[i].format);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),      cmocka_unit_test(test_hash_follows_pixels),
		cmocka_unit_test(test_regions),      cmocka_unit_test(test_hard_times),
		cmocka_unit_test(test_format_names),
	};

	return cmocka_run_group_tests_name("display_screenshot", tests, NULL, NULL);
}
