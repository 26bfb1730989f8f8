/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_supervisor_frames.c - the stream of frames as the CLI reads it: in any pieces, and from anybody.
 */
#include <xxhash.h>

#include "supervisor/frames.h"
#include "tests/unit/unit.h"

#define WIDTH 100u /* two tiles, the second 36 wide */
#define HEIGHT 40u /* two, the second 8 high */
#define TILES 4u

static uint8_t stream[64 << 10];
static size_t used;
static struct frames frames;
static unsigned told;
static unsigned stop_at;

static int on_told(struct frames *f, void *arg)
{
	(void)arg;
	assert_ptr_equal(f, &frames);
	return ++told == stop_at ? -1 : 0;
}

static int setup(void **state)
{
	(void)state;
	used = told = stop_at = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	frames_finish(&frames);
	return 0;
}

static void add_head(unsigned width, unsigned height, unsigned count)
{
	const struct frame_head head = { 7, 1700000000000000000ull, width, height, count };

	frame_head_encode(&head, stream + used);
	used += FRAME_HEAD_SIZE;
}

/* Tile @index of the WIDTH x HEIGHT screen, all of @colour. */
static void add_tile(uint32_t index, uint32_t colour)
{
	struct grid grid = grid_of(WIDTH, HEIGHT);
	struct rectangle tile = grid_tile(&grid, index % TILES);
	uint32_t pixels[PICTURE_TILE_PIXELS];
	size_t count = (size_t)tile.width * tile.height;

	for (size_t i = 0; i < count; i++)
		pixels[i] = colour;
	frame_tile_encode(index, XXH3_64bits(pixels, count * 4), stream + used);
	used += FRAME_TILE_HEAD_SIZE;
	memcpy(stream + used, pixels, count * 4);
	used += count * 4;
}

static void add_whole_frame(uint32_t colour)
{
	add_head(WIDTH, HEIGHT, TILES);
	for (unsigned i = 0; i < TILES; i++)
		add_tile(i, colour + i);
}

static int push(size_t piece)
{
	struct error err = { 0 };

	for (size_t at = 0; at < used; at += piece) {
		size_t size = used - at < piece ? used - at : piece;
		int ret = frames_push(&frames, stream + at, size, on_told, NULL, &err);

		if (ret)
			return ret;
	}
	return 0;
}

static void test_pieces(void **state)
{
	static const size_t pieces[] = { 1, 2, 7, 31, 32, 33, 4096, sizeof(stream) };

	(void)state;
	add_whole_frame(0x112200);
	add_head(WIDTH, HEIGHT, 1);
	add_tile(2, 0xabcdef);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		told = 0;
		assert_int_equal(push(pieces[i]), 0);
		assert_int_equal(told, 2);
		assert_true(frames_between(&frames));
		assert_int_equal(frames.head.number, 7);
		assert_int_equal(frames.picture.pixels[0], 0x112200);
		assert_int_equal(frames.picture.pixels[WIDTH - 1], 0x112201);
		assert_int_equal(frames.picture.pixels[(HEIGHT - 1) * WIDTH], 0xabcdef);
		assert_int_equal(frames.picture.pixels[HEIGHT * WIDTH - 1], 0x112203);
		static const uint8_t changed[TILES] = { 0, 0, 1, 0 };
		assert_memory_equal(frames.picture.changed, changed, TILES);
		frames_finish(&frames);
	}
}

static void test_new_size(void **state)
{
	(void)state;
	add_whole_frame(5);
	add_head(1, 1, 1);
	used += FRAME_TILE_HEAD_SIZE;
	const uint32_t pixel = 0x00ff00;
	memcpy(stream + used, &pixel, 4);
	frame_tile_encode(0, XXH3_64bits(&pixel, 4), stream + used - FRAME_TILE_HEAD_SIZE);
	used += 4;
	assert_int_equal(push(13), 0);
	assert_int_equal(told, 2);
	assert_int_equal(frames.picture.grid.width, 1);
	assert_int_equal(frames.picture.pixels[0], 0x00ff00);
}

static void test_stop(void **state)
{
	struct error err = { 0 };

	(void)state;
	add_whole_frame(1);
	add_whole_frame(2);
	stop_at = 1;
	assert_int_equal(push(sizeof(stream)), -ECANCELED);
	assert_int_equal(told, 1);
	assert_int_equal(frames.picture.pixels[0], 1);
	assert_int_equal(frames_push(&frames, stream, 1, on_told, NULL, &err), -ECANCELED);
}

/* The end may come between frames, not within one. */
static void test_end(void **state)
{
	(void)state;
	assert_true(frames_between(&frames));
	add_whole_frame(1);
	used--;
	assert_int_equal(push(1000), 0);
	assert_false(frames_between(&frames));
	assert_int_equal(told, 0);
}

struct lie {
	const char *name;
	void (*tell)(void);
};

static void no_magic(void)
{
	add_whole_frame(1);
	stream[0] ^= 1;
}

static void no_width(void)
{
	add_head(0, HEIGHT, 1);
}

static void too_high(void)
{
	add_head(WIDTH, 4097, 1);
}

static void huge(void)
{
	add_head(UINT32_MAX, UINT32_MAX, UINT32_MAX);
}

static void no_tiles(void)
{
	add_head(WIDTH, HEIGHT, 0);
}

static void too_many_tiles(void)
{
	add_head(WIDTH, HEIGHT, TILES + 1);
}

static void first_not_whole(void)
{
	add_head(WIDTH, HEIGHT, TILES - 1);
}

static void twice(void)
{
	add_whole_frame(1);
	add_head(WIDTH, HEIGHT, 2);
	add_tile(1, 1);
	add_tile(1, 2);
}

static void backwards(void)
{
	add_whole_frame(1);
	add_head(WIDTH, HEIGHT, 2);
	add_tile(2, 1);
	add_tile(1, 2);
}

static void beyond(void)
{
	add_whole_frame(1);
	add_head(WIDTH, HEIGHT, 1);
	add_tile(TILES, 1);
}

static void wrong_hash(void)
{
	add_whole_frame(1);
	stream[FRAME_HEAD_SIZE + FRAME_TILE_HEAD_SIZE] ^= 1;
}

static void no_colour(void)
{
	add_head(WIDTH, HEIGHT, TILES);
	add_tile(0, 0x01000000);
}

static void test_lies(void **state)
{
	static const struct lie lies[] = {
		{ "magic", no_magic },
		{ "width", no_width },
		{ "height", too_high },
		{ "huge", huge },
		{ "no tiles", no_tiles },
		{ "too many tiles", too_many_tiles },
		{ "not whole", first_not_whole },
		{ "a tile twice", twice },
		{ "backwards", backwards },
		{ "beyond", beyond },
		{ "hash", wrong_hash },
		{ "colour", no_colour },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++)
		for (size_t piece = 1; piece <= sizeof(stream); piece *= 16) {
			struct error err = { 0 };

			used = 0;
			lies[i].tell();
			assert_row(lies[i].name, push(piece) == -EPROTO);
			/* It stays so. */
			used = 0;
			add_whole_frame(1);
			assert_row(lies[i].name, frames_push(&frames, stream, used, on_told, NULL,
			                                     &err) == -EPROTO);
			frames_finish(&frames);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_new_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lies, setup, teardown),
	};

	return cmocka_run_group_tests_name("supervisor_frames", tests, NULL, NULL);
}
