/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_picture.c - pictures and comparisons, as clients get them. The display thread is played here: its work
 * is done at once.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "tests/unit/xwd_fixture.h"
#include "vmm/frame_ids.h"
#include "vmm/picture.h"
#include "vmm/screen.h"
#include "vmm/vm.h"

#define WIDTH 256u
#define HEIGHT 96u

static struct {
	struct framebuffer *fb;
	int refuses; /* what screen_run() says instead */
} played;

int screen_run(struct screen *screen, struct screen_job *job)
{
	(void)screen;
	if (played.refuses)
		return played.refuses;
	job->work(job, played.fb);
	job->finished(job);
	return 0;
}

struct bed {
	struct vm vm;
	struct xwd_fixture file;
	/* The last answer. */
	json_t *reply;
	off_t file_size; /* of what came along; -1: nothing did */
	unsigned answers;
};

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	assert_non_null(bed);
	played.refuses = 0;
	xwd_fixture_open(&bed->file, WIDTH, HEIGHT, 160, 0, 4 * WIDTH);
	assert_int_equal(framebuffer_create(bed->file.pages, bed->file.count, WIDTH, HEIGHT,
	                                    &played.fb, NULL),
	                 0);
	assert_int_equal(frame_ids_create(&bed->vm.frame_ids), 0);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	json_decref(bed->reply);
	frame_ids_destroy(bed->vm.frame_ids);
	framebuffer_destroy(played.fb);
	xwd_fixture_close(&bed->file);
	free(bed);
	return 0;
}

static void paint(struct bed *bed, unsigned x, unsigned y)
{
	*xwd_byte(&bed->file, bed->file.offset + (size_t)y * bed->file.stride + 4 * x) ^= 1;
}

static void on_picture(void *arg, json_t *reply, int fd)
{
	struct bed *bed = arg;
	struct stat st;

	json_decref(bed->reply);
	bed->reply = reply;
	bed->answers++;
	bed->file_size = -1;
	if (fd >= 0) {
		assert_int_equal(fstat(fd, &st), 0);
		bed->file_size = st.st_size;
	}
}

static const json_t *shoot(struct bed *bed, const struct screenshot_wish *wish)
{
	unsigned before = bed->answers;

	picture_shoot(&bed->vm, wish, on_picture, bed);
	assert_int_equal(bed->answers, before + 1);
	return bed->reply;
}

static void take_name(struct bed *bed, char out_frame[FRAME_ID_SIZE])
{
	const struct screenshot_wish wish = { .format = SCREENSHOT_HASH };

	snprintf(out_frame, FRAME_ID_SIZE, "%s",
	         json_string_value(json_object_get(shoot(bed, &wish), "frame")));
	assert_true(out_frame[0]);
}

static const json_t *compare(struct bed *bed, const struct comparison_wish *wish)
{
	unsigned before = bed->answers;

	picture_compare(&bed->vm, wish, on_picture, bed);
	assert_int_equal(bed->answers, before + 1);
	return bed->reply;
}

static json_int_t number(const json_t *reply, const char *key)
{
	assert_true(json_is_integer(json_object_get(reply, key)));
	return json_integer_value(json_object_get(reply, key));
}

static void expect_error(const json_t *reply, const char *code)
{
	assert_true(json_is_false(json_object_get(reply, "ok")));
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(reply, "error"), "code")), code);
}

/* The answer's rectangles as text, "x,y,w,h ". */
static void expect_rects(const json_t *reply, const char *expected)
{
	char text[256] = "";
	size_t i;
	json_t *rect;

	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_array_foreach(json_object_get(reply, "rects"), i, rect)
	{
		json_int_t n[4] = { 0 };

		for (size_t k = 0; k < 4; k++)
			n[k] = json_integer_value(json_array_get(rect, k));
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%d,%d,%d,%d ",
		         (int)n[0], (int)n[1], (int)n[2], (int)n[3]);
	}
	assert_string_equal(text, expected);
	assert_true(json_is_boolean(json_object_get(reply, "changed")));
	assert_int_equal(json_is_true(json_object_get(reply, "changed")), expected[0] != '\0');
}

static void test_screenshot(void **state)
{
	struct bed *bed = *state;
	const json_t *reply = shoot(bed, &(struct screenshot_wish){ 0 });

	assert_int_equal(number(reply, "width"), WIDTH);
	assert_int_equal(number(reply, "height"), HEIGHT);
	assert_int_equal(number(reply, "size"), bed->file_size);
	assert_true(json_real_value(json_object_get(reply, "scale")) == 1.0);

	reply = shoot(bed, &(struct screenshot_wish){ .format = SCREENSHOT_RGB,
	                                              .region = { 8, 16, 100, 80 },
	                                              .max_width = 25 });
	assert_int_equal(number(reply, "width"), 25);
	assert_int_equal(number(reply, "height"), 20);
	assert_int_equal(bed->file_size, 3 * 25 * 20);
	assert_true(json_real_value(json_object_get(reply, "scale")) == 0.25);
	const json_t *region = json_object_get(reply, "region");
	assert_int_equal(json_integer_value(json_array_get(region, 0)), 8);
	assert_int_equal(json_integer_value(json_array_get(region, 1)), 16);
	assert_int_equal(json_integer_value(json_array_get(region, 2)), 100);
	assert_int_equal(json_integer_value(json_array_get(region, 3)), 80);

	reply = shoot(bed, &(struct screenshot_wish){ .region = { WIDTH, 0, 1, 1 } });
	expect_error(reply, "bad_request");
	assert_int_equal(bed->file_size, -1);
}

/* A frame is the whole screen, whatever the picture shows of it. */
static void test_frames(void **state)
{
	struct bed *bed = *state;
	char first[FRAME_ID_SIZE], same[FRAME_ID_SIZE];

	take_name(bed, first);
	const json_t *reply =
		shoot(bed, &(struct screenshot_wish){ .region = { 0, 0, 5, 5 }, .max_width = 2 });
	assert_string_equal(json_string_value(json_object_get(reply, "frame")), first);
	paint(bed, 200, 90);
	take_name(bed, same);
	assert_string_not_equal(same, first);
}

static void test_compare(void **state)
{
	struct bed *bed = *state;
	char first[FRAME_ID_SIZE], second[FRAME_ID_SIZE];

	take_name(bed, first);
	expect_rects(compare(bed, &(struct comparison_wish){ .frame = first }), "");
	assert_string_equal(json_string_value(json_object_get(bed->reply, "frame")), first);
	paint(bed, 70, 40);
	paint(bed, 130, 40);
	paint(bed, 0, 95);
	expect_rects(compare(bed, &(struct comparison_wish){ .frame = first }),
	             "64,32,128,32 0,64,64,32 ");
	assert_int_equal(bed->file_size, -1);
	snprintf(second, sizeof(second), "%s",
	         json_string_value(json_object_get(bed->reply, "frame")));
	assert_string_not_equal(second, first);
	expect_rects(compare(bed, &(struct comparison_wish){ .frame = second }), "");

	/* Parts of it; a tile counts whole. */
	expect_rects(compare(bed,
	                     &(struct comparison_wish){ .frame = first, .area = { 0, 64, 1, 1 } }),
	             "0,64,64,32 ");
	expect_rects(compare(bed, &(struct comparison_wish){ .frame = first,
	                                                     .area = { 120, 0, 70, 33 } }),
	             "64,32,128,32 ");
	expect_rects(compare(bed, &(struct comparison_wish){ .frame = first,
	                                                     .area = { 64, 0, 192, 32 } }),
	             "");
	expect_error(compare(bed,
	                     &(struct comparison_wish){ .frame = first, .area = { 0, 90, 5, 7 } }),
	             "bad_request");

	/* Two that are gone, while the screen goes on. */
	paint(bed, 255, 0);
	expect_rects(compare(bed, &(struct comparison_wish){ .frame = first, .against = second }),
	             "64,32,128,32 0,64,64,32 ");
	assert_string_equal(json_string_value(json_object_get(bed->reply, "frame")), second);
	expect_rects(compare(bed, &(struct comparison_wish){ .frame = second }), "192,0,64,32 ");
}

/* Asked again and again without a name, it makes no frame be forgotten. */
static void test_compare_without_name(void **state)
{
	struct bed *bed = *state;
	char frame[FRAME_ID_SIZE];

	take_name(bed, frame);
	for (unsigned i = 0; i < 2 * FRAME_IDS_KEPT; i++) {
		paint(bed, 70, 40);
		expect_rects(compare(bed,
		                     &(struct comparison_wish){ .frame = frame, .unnamed = true }),
		             i % 2 ? "" : "64,32,64,32 ");
		assert_null(json_object_get(bed->reply, "frame"));
	}
}

static void test_compare_with_picture(void **state)
{
	struct bed *bed = *state;
	char frame[FRAME_ID_SIZE];

	take_name(bed, frame);
	paint(bed, 70, 40);
	const json_t *reply =
		compare(bed, &(struct comparison_wish){ .frame = frame, .picture = true });
	expect_rects(reply, "64,32,64,32 ");
	assert_true(bed->file_size > 0);
	assert_int_equal(number(reply, "size"), bed->file_size);
}

static void test_stale_frames(void **state)
{
	struct bed *bed = *state;
	char frame[FRAME_ID_SIZE], newer[FRAME_ID_SIZE];

	expect_error(compare(bed, &(struct comparison_wish){ .frame = "" }), "stale_frame");
	take_name(bed, frame);
	expect_error(compare(bed, &(struct comparison_wish){ .frame = frame, .against = "x" }),
	             "stale_frame");
	for (unsigned i = 0; i < FRAME_IDS_KEPT; i++) {
		paint(bed, 64 * (i % 4), 32 * (i % 3));
		take_name(bed, newer);
	}
	expect_error(compare(bed, &(struct comparison_wish){ .frame = frame }), "stale_frame");
	expect_rects(compare(bed, &(struct comparison_wish){ .frame = newer }), "");
}

/* The screen is another: all of it has changed. */
static void test_other_size(void **state)
{
	struct bed *bed = *state;
	struct framebuffer *before = played.fb;
	struct xwd_fixture other;
	char frame[FRAME_ID_SIZE];

	take_name(bed, frame);
	xwd_fixture_open(&other, 128, 64, 160, 0, 4 * 128);
	assert_int_equal(framebuffer_create(other.pages, other.count, 128, 64, &played.fb, NULL),
	                 0);
	expect_rects(compare(bed, &(struct comparison_wish){ .frame = frame }), "0,0,128,64 ");
	framebuffer_destroy(before);
	framebuffer_destroy(played.fb);
	played.fb = NULL;
	xwd_fixture_close(&other);
}

static void test_no_thread(void **state)
{
	static const struct {
		int refuses;
		const char *code;
	} rows[] = { { -ENODATA, "not_ready" }, { -EBUSY, "busy" }, { -EAGAIN, "failed" } };
	struct bed *bed = *state;
	char frame[FRAME_ID_SIZE];

	take_name(bed, frame);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		played.refuses = rows[i].refuses;
		expect_error(shoot(bed, &(struct screenshot_wish){ 0 }), rows[i].code);
		expect_error(compare(bed, &(struct comparison_wish){ .frame = frame }),
		             rows[i].code);
	}
}

int main(void)
{
#define PICTURE_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		PICTURE_TEST(test_screenshot),
		PICTURE_TEST(test_frames),
		PICTURE_TEST(test_compare),
		PICTURE_TEST(test_compare_without_name),
		PICTURE_TEST(test_compare_with_picture),
		PICTURE_TEST(test_stale_frames),
		PICTURE_TEST(test_other_size),
		PICTURE_TEST(test_no_thread),
	};

	return cmocka_run_group_tests_name("vmm_picture", tests, NULL, NULL);
}
