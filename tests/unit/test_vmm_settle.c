/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_settle.c - waiting for the screen to stand still, on a real scan whose clock is the bed's: what is painted
 * when is a script, run as time passes.
 */
#include <unistd.h>

#include "lib/wire.h"
#include "tests/unit/vmm_scan_bed.h"
#include "vmm/frame_ids.h"
#include "vmm/settle.h"

#define PATIENCE_S 60

bool screen_size(const struct screen *screen, unsigned *out_width, unsigned *out_height)
{
	(void)screen;
	if (!shown.fb)
		return false;
	*out_width = framebuffer_width(shown.fb);
	*out_height = framebuffer_height(shown.fb);
	return true;
}

int screen_run(struct screen *screen, struct screen_job *job)
{
	(void)screen;
	(void)job;
	fail_msg("no job is needed to settle");
	return -EINVAL;
}

struct bed {
	struct vm vm;
	struct xwd_fixture file;
	json_t *reply; /* the last answer */
	unsigned answers;
};

/* The script: tiles that change each @every_ms, from @from_ms to @to_ms on. */
static struct {
	struct xwd_fixture *file;
	uint64_t begun_ns;
	struct {
		unsigned tiles, every_ms, from_ms, to_ms;
		bool grows;    /* each picture is new; else there are two */
		unsigned done; /* changes */
	} acts[3];
} script;

static void change(unsigned tile, bool grows)
{
	size_t x = tile % COLUMNS * TILE_WIDTH, y = tile / COLUMNS * TILE_HEIGHT;

	if (grows)
		++*xwd_byte(script.file, script.file->offset + y * script.file->stride + 4 * x);
	else
		paint_tile(script.file, tile);
}

static void play(void)
{
	uint64_t now = (atomic_load(&virtual_ns) - script.begun_ns) / NS_PER_MS;

	for (size_t i = 0; i < ARRAY_SIZE(script.acts); i++) {
		uint64_t until = now < script.acts[i].to_ms ? now : script.acts[i].to_ms;

		if (script.acts[i].every_ms == 0 || until < script.acts[i].from_ms)
			continue;
		unsigned due =
			(unsigned)(until - script.acts[i].from_ms) / script.acts[i].every_ms + 1;
		for (; script.acts[i].done < due; script.acts[i].done++)
			for (unsigned tile = 0; tile < TILES; tile++)
				if (script.acts[i].tiles >> tile & 1)
					change(tile, script.acts[i].grows);
	}
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	assert_non_null(bed);
	alarm(PATIENCE_S);
	atomic_store(&virtual_ns, 5 * NS_PER_S);
	memset(&script, 0, sizeof(script));
	script.file = &bed->file;
	script.begun_ns = atomic_load(&virtual_ns);
	time_has_passed = play;
	show(open_screen(&bed->file, WIDTH, HEIGHT));
	assert_int_equal(loop_create(&bed->vm.loop), 0);
	assert_int_equal(scan_create(&bed->vm, &bed->vm.scan), 0);
	assert_int_equal(frame_ids_create(&bed->vm.frame_ids), 0);
	assert_int_equal(settling_create(&bed->vm, &bed->vm.settling), 0);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	settling_destroy(bed->vm.settling);
	scan_destroy(bed->vm.scan);
	frame_ids_destroy(bed->vm.frame_ids);
	loop_destroy(bed->vm.loop);
	show(NULL);
	xwd_fixture_close(&bed->file);
	json_decref(bed->reply);
	free(bed);
	time_has_passed = NULL;
	alarm(0);
	return 0;
}

static void on_settled(void *arg, json_t *reply)
{
	struct bed *bed = arg;

	json_decref(bed->reply);
	bed->reply = reply;
	bed->answers++;
	loop_stop(bed->vm.loop);
}

static const json_t *wait_settled(struct bed *bed, const struct settle_wish *wish)
{
	unsigned before = bed->answers;

	settle(bed->vm.settling, wish, on_settled, bed);
	while (bed->answers == before)
		loop_run(bed->vm.loop);
	return bed->reply;
}

static json_int_t number(const json_t *reply, const char *key)
{
	assert_true(json_is_integer(json_object_get(reply, key)));
	return json_integer_value(json_object_get(reply, key));
}

static bool is_settled(const json_t *reply)
{
	assert_true(json_is_true(json_object_get(reply, "ok")));
	assert_true(json_string_length(json_object_get(reply, "frame")) > 0);
	return json_is_true(json_object_get(reply, "settled"));
}

static size_t periodic(const json_t *reply)
{
	assert_true(json_is_array(json_object_get(reply, "periodic")));
	return json_array_size(json_object_get(reply, "periodic"));
}

static void expect_error(const json_t *reply, const char *code)
{
	assert_true(json_is_false(json_object_get(reply, "ok")));
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(reply, "error"), "code")), code);
}

static const struct settle_wish usual = { .quiet_ms = 500, .timeout_ms = 10000 };

static void test_still_already(void **state)
{
	struct bed *bed = *state;
	const json_t *reply = wait_settled(bed, &usual);

	assert_true(is_settled(reply));
	assert_in_range(number(reply, "waited_ms"), 500, 560);
	assert_int_equal(periodic(reply), 0);
}

/* A page that is being built for three seconds. */
static void test_settles_in_the_end(void **state)
{
	struct bed *bed = *state;

	script.acts[0].tiles = 0xff;
	script.acts[0].every_ms = 90;
	script.acts[0].from_ms = 50;
	script.acts[0].to_ms = 3000;
	script.acts[0].grows = true;
	const json_t *reply = wait_settled(bed, &usual);
	assert_true(is_settled(reply));
	assert_in_range(number(reply, "waited_ms"), 3400, 3560);
}

static void test_caret_is_left_out(void **state)
{
	struct bed *bed = *state;

	script.acts[0].tiles = 1 << 5;
	script.acts[0].every_ms = 500;
	script.acts[0].from_ms = 100;
	script.acts[0].to_ms = 100000;
	const json_t *reply =
		wait_settled(bed, &(struct settle_wish){ .quiet_ms = 2000, .timeout_ms = 10000 });
	assert_true(is_settled(reply));
	assert_in_range(number(reply, "waited_ms"), 2000, 2100);
	assert_int_equal(periodic(reply), 1);
	const json_t *rect = json_array_get(json_object_get(reply, "periodic"), 0);
	assert_int_equal(json_integer_value(json_array_get(rect, 0)), 64);
	assert_int_equal(json_integer_value(json_array_get(rect, 1)), 32);
	assert_int_equal(json_integer_value(json_array_get(rect, 2)), 64);
	assert_int_equal(json_integer_value(json_array_get(rect, 3)), 32);
}

/* Now here, now there, at odd times. */
static void restless(void)
{
	uint64_t now = (atomic_load(&virtual_ns) - script.begun_ns) / NS_PER_MS;

	script.acts[0].done++;
	xwd_byte(script.file, script.file->offset)[0] = (uint8_t)(now * 7);
}

static void test_never_settles(void **state)
{
	struct bed *bed = *state;

	time_has_passed = restless;
	const json_t *reply =
		wait_settled(bed, &(struct settle_wish){ .quiet_ms = 200, .timeout_ms = 1500 });
	assert_false(is_settled(reply));
	assert_in_range(number(reply, "waited_ms"), 1500, 1600);
	/* Elsewhere it is still. */
	reply = wait_settled(bed, &(struct settle_wish){ .quiet_ms = 200,
	                                                 .timeout_ms = 1500,
	                                                 .area = { 64, 0, 10, 10 } });
	assert_true(is_settled(reply));
	reply = wait_settled(bed, &(struct settle_wish){ .quiet_ms = 200,
	                                                 .timeout_ms = 1500,
	                                                 .area = { 63, 0, 10, 10 } });
	assert_false(is_settled(reply));
}

static void test_area_beyond(void **state)
{
	struct bed *bed = *state;

	expect_error(wait_settled(bed, &(struct settle_wish){ .quiet_ms = 200,
	                                                      .timeout_ms = 1500,
	                                                      .area = { WIDTH - 1, 0, 2, 1 } }),
	             "bad_request");
	assert_true(is_settled(wait_settled(bed, &usual)));
}

/* The frame it tells is the screen that stood still. */
static void test_frame(void **state)
{
	struct bed *bed = *state;
	struct grid grid;
	uint64_t *hashes;

	const json_t *reply = wait_settled(bed, &usual);
	assert_true(is_settled(reply));
	assert_int_equal(frame_ids_find(bed->vm.frame_ids,
	                                json_string_value(json_object_get(reply, "frame")), &grid,
	                                &hashes),
	                 0);
	assert_int_equal(grid.width, WIDTH);
	struct tiles *tiles;
	assert_int_equal(tiles_create(WIDTH, HEIGHT, &tiles), 0);
	tiles_scan(tiles, shown.fb);
	assert_memory_equal(hashes, tiles_hashes(tiles), TILES * sizeof(*hashes));
	tiles_destroy(tiles);
	free(hashes);
}

/* Another screen, of another size: it begins anew with that. */
static struct framebuffer *other;

static void replace(void)
{
	uint64_t now = (atomic_load(&virtual_ns) - script.begun_ns) / NS_PER_MS;

	if (now > 300 && other) {
		show(other);
		other = NULL;
	}
}

static void test_other_screen(void **state)
{
	struct bed *bed = *state;
	struct xwd_fixture file;

	other = open_screen(&file, 64, 64);
	time_has_passed = replace;
	const json_t *reply = wait_settled(bed, &usual);
	assert_true(is_settled(reply));
	assert_in_range(number(reply, "waited_ms"), 800, 900);
	show(NULL);
	expect_error(wait_settled(bed, &usual), "not_ready");
	xwd_fixture_close(&file);
}

static void test_many_at_once(void **state)
{
	struct bed *bed = *state;

	for (unsigned i = 0; i < SETTLE_MAX; i++)
		settle(bed->vm.settling, &usual, on_settled, bed);
	assert_int_equal(bed->answers, 0);
	settle(bed->vm.settling, &usual, on_settled, bed);
	assert_int_equal(bed->answers, 1);
	expect_error(bed->reply, "busy");
	while (bed->answers < SETTLE_MAX + 1)
		loop_run(bed->vm.loop);
	assert_true(is_settled(bed->reply));
}

static void test_session_ends(void **state)
{
	struct bed *bed = *state;

	settle(bed->vm.settling, &(struct settle_wish){ .quiet_ms = 60000, .timeout_ms = 3600000 },
	       on_settled, bed);
	settling_destroy(bed->vm.settling);
	assert_int_equal(bed->answers, 1);
	assert_int_equal(settling_create(&bed->vm, &bed->vm.settling), 0);
}

int main(void)
{
#define SETTLE_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		SETTLE_TEST(test_still_already),     SETTLE_TEST(test_settles_in_the_end),
		SETTLE_TEST(test_caret_is_left_out), SETTLE_TEST(test_never_settles),
		SETTLE_TEST(test_area_beyond),       SETTLE_TEST(test_frame),
		SETTLE_TEST(test_other_screen),      SETTLE_TEST(test_many_at_once),
		SETTLE_TEST(test_session_ends),
	};

	return cmocka_run_group_tests_name("vmm_settle", tests, NULL, NULL);
}
